"""A pyodbc connection that some path never closes.

What leaks
----------
``pyodbc.connect()`` without ``close()`` on every path. ``with pyodbc.connect(...) as conn:`` counts as well:
that block ends the transaction and leaves the connection open.

Why it hurts
------------
Cursors, rows being iterated and kept tracebacks hold the connection, and with it a session on the server and
the locks of an open transaction. ODBC pooling hides it in small tests and not under load.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with closing(pyodbc.connect(...)) as
connection:``. Where ``with connect()`` stood, ``with closing(connect(...)) as connection, connection:`` keeps
its commit and closes as well.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it,
passed to a helper that closes it, or entered into an ``ExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="pyodbc/connection",
    repairs="with closing(pyodbc.connect(...)) as connection:, up to the last use",
)
