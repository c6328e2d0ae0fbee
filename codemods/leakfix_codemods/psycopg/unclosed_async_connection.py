"""A psycopg 3 ``AsyncConnection`` that some path never closes.

What leaks
----------
``await AsyncConnection.connect()`` without ``await close()`` on every path out of the coroutine; a cancelled
task is such a path at every ``await``.

Why it hurts
------------
The connection stays open until its last reference goes; a task that is kept, a traceback or a cursor delay
that. Each one is a server process, and an open transaction keeps its locks.

How it is repaired
------------------
``await connection.close()`` in a ``finally``, so that no commit appears where there was none: ``async with
await AsyncConnection.connect(...)`` closes but commits first.

When it is left alone
---------------------
The connection is returned or yielded to a caller, stored on an object that closes it, entered into an
``AsyncExitStack``, or used in ``async with await AsyncConnection.connect(...) as connection:``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="psycopg/async-connection",
    repairs="try/finally with await connection.close()",
)
