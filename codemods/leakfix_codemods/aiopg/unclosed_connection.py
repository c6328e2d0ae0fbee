"""An aiopg connection that some path never closes.

What leaks
----------
``await aiopg.connect()`` without ``close()`` on every path out of the coroutine; a cancelled task is such a
path at every ``await``.

Why it hurts
------------
The connection stays open until its last reference goes, with a ``ResourceWarning`` then. Each one is a server
process and counts against ``max_connections`` meanwhile.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``async with aiopg.connect(...) as
connection:``; the ``await`` before the call goes away. aiopg connections are always in autocommit mode.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it, or
entered into an ``AsyncExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="aiopg/connection",
    repairs="async with aiopg.connect(...) as connection:, up to the last use",
)
