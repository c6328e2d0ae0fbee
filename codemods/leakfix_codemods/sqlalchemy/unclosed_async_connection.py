"""A connection from an async engine's ``connect()`` that some path never closes.

What leaks
----------
``await engine.connect()`` checks a connection out of the pool. It is reported where a path out of the
coroutine, an exception or a cancellation among them, does not await ``close()``.

Why it hurts
------------
The collector cannot give an async connection back, it can only terminate it, some time later and with a
warning. Until then the slot and the transaction on the server stay taken.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``async with engine.connect() as connection:``;
the ``await`` before ``engine.connect()`` goes away. Leaving the block rolls back what was not committed, as
``close()`` did.

When it is left alone
---------------------
The connection or a streaming result of it is returned or yielded to a caller, stored on an object or entered
into an ``AsyncExitStack``. ``engine.begin()`` is a block already.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlalchemy/async-connection",
    repairs="async with engine.connect() as connection:, up to the last use",
)
