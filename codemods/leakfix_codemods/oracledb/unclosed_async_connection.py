"""An async python-oracledb connection, pooled or not, that some path never closes.

What leaks
----------
``await oracledb.connect_async()`` or ``await pool.acquire()`` of an async pool without ``await close()`` on
every path out of the coroutine; a cancelled task is such a path at every ``await``.

Why it hurts
------------
Closing needs the event loop, so nothing closes a dropped connection in an orderly way; cursors and kept tasks
refer to it and its slot in the pool stays taken.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``async with ... as connection:``; the ``await``
before the call goes away. The block closes and rolls back what was not committed.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it, or
entered into an ``AsyncExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="oracledb/async-connection",
    repairs="async with oracledb.connect_async(...) as connection:, up to the last use",
)
