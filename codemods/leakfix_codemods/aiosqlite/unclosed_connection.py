"""An aiosqlite connection that some path never closes.

What leaks
----------
``await aiosqlite.connect()`` without ``await close()`` on every path out of the coroutine; a cancelled task
is such a path at every ``await``.

Why it hurts
------------
Each connection runs a thread. Before aiosqlite 0.22 the thread keeps itself and the connection alive for
good, and the process hangs at exit; since then a dropped one is a ``ResourceWarning``. Either way the file
stays open and an open transaction locks other writers out.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``async with aiosqlite.connect(...) as
connection:``; the ``await`` before the call goes away. The block closes and commits nothing.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it,
passed to a helper that closes it, or entered into an ``AsyncExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="aiosqlite/connection",
    repairs="async with aiosqlite.connect(...) as connection:, up to the last use",
)
