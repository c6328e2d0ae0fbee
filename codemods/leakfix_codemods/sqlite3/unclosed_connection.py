"""A sqlite3 connection that some path never closes.

What leaks
----------
``sqlite3.connect()`` without ``close()`` on every path. ``with sqlite3.connect(...) as conn:`` counts as
well: that block commits or rolls back and leaves the file open.

Why it hurts
------------
A connection that a statement, a cursor or a traceback still refers to waits for the cyclic collector. File
descriptors pile up, an open transaction keeps other writers out with ``database is locked``, and on Windows
the file cannot be removed. Since Python 3.13 each one is a ``ResourceWarning``.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with closing(sqlite3.connect(...)) as
connection:``. Where ``with connect()`` stood, ``with closing(connect(...)) as connection, connection:`` keeps
its commit and closes as well.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it,
passed to a helper that closes it, or entered into an ``ExitStack``. Cursors have no rule: the connection owns
them.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlite3/connection",
    repairs="with closing(sqlite3.connect(...)) as connection:, up to the last use",
)
