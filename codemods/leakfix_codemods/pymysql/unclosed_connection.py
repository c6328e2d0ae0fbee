"""A PyMySQL connection that some path never closes.

What leaks
----------
``pymysql.connect()`` without ``close()`` on every path out of the function, most often because a query raised
before it.

Why it hurts
------------
The connection stays open until its last reference goes; cursors and kept tracebacks delay that. The server
counts each one against ``max_connections`` and keeps the locks of its transaction until ``wait_timeout``,
eight hours by default.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with pymysql.connect(...) as connection:``,
which closes and commits nothing (PyMySQL 1.0 and later). Every ``close()`` inside goes away, because closing
twice raises.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it,
passed to a helper that closes it, or entered into an ``ExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="pymysql/connection",
    repairs="with pymysql.connect(...) as connection:, up to the last use",
)
