"""A pymssql connection that some path never closes.

What leaks
----------
``pymssql.connect()`` without ``close()`` on every path out of the function, most often because a query raised
before it.

Why it hurts
------------
The connection stays open until its last reference goes; cursors and kept tracebacks delay that, and the
session keeps the locks of its transaction meanwhile.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with pymssql.connect(...) as connection:``,
which closes and rolls back what was not committed.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it,
passed to a helper that closes it, or entered into an ``ExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="pymssql/connection",
    repairs="with pymssql.connect(...) as connection:, up to the last use",
)
