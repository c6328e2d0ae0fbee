"""A pg8000 connection, native or DB-API, that some path never closes.

What leaks
----------
``pg8000.dbapi.connect()`` or ``pg8000.native.Connection()`` without ``close()`` on every path out of the
function.

Why it hurts
------------
A dropped connection is part of reference cycles, so the socket stays open until the cyclic collector runs.
Each one is a server process, and an open transaction keeps its locks.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with ... as connection:``, which closes and
commits nothing. Every ``close()`` inside goes away, because closing twice raises.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it,
passed to a helper that closes it, or entered into an ``ExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="pg8000/connection",
    repairs="with pg8000.dbapi.connect(...) as connection:, up to the last use",
)
