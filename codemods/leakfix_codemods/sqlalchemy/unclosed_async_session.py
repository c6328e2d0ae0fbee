"""An ``AsyncSession`` that some path never closes.

What leaks
----------
A session made by calling ``AsyncSession`` or an ``async_sessionmaker`` keeps the connection of its first
query until ``await session.close()``. It is reported where a path out of the coroutine does not await that; a
cancelled task is such a path at every ``await``.

Why it hurts
------------
A dropped async session cannot be cleaned up by the collector: giving a connection back needs the event loop,
so SQLAlchemy terminates the connection and warns. Until then the slot is taken, and a pool of 5 + 10 runs dry
quickly under concurrency.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``async with AsyncSession(...) as session:``.
The block closes and rolls back, it never commits. Where ORM objects outlive the block, the repair is offered
for review: expired or lazy attributes cannot be loaded afterwards.

When it is left alone
---------------------
The session is yielded or returned to a caller who owns it, stored on an object, entered into an
``AsyncExitStack`` or wrapped in ``aclosing``, or passed to a helper that closes it.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlalchemy/async-session",
    repairs="async with AsyncSession(...) as session:, up to the last use",
)
