"""A connection of ``mysql.connector.aio`` that some path never closes.

What leaks
----------
``await mysql.connector.aio.connect()`` without ``await close()`` on every path out of the coroutine; a
cancelled task is such a path at every ``await``.

Why it hurts
------------
Nothing closes the connection on the server in an orderly way once the coroutine is gone: it counts against
``max_connections`` until its last reference goes or the server's ``wait_timeout`` passes.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``async with await connect(...) as
connection:``, which closes and commits nothing.

When it is left alone
---------------------
The connection is returned or yielded to a caller, stored on an object that closes it, or entered into an
``AsyncExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="mysql_connector/async-connection",
    repairs="async with await connect(...) as connection:, up to the last use",
)
