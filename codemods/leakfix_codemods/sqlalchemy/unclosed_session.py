"""A ``Session`` (also SQLModel's) that some path never closes.

What leaks
----------
A session made by calling ``Session`` or a ``sessionmaker`` keeps the connection of its first query until
``close()``. It is reported where a path out of the function (a ``return``, an exception, the end) neither
closes it nor hands it to somebody else.

Why it hurts
------------
A dropped session is part of reference cycles: its connection goes back to the pool when the cyclic collector
runs, not when the variable goes away. Under load the pool of 5 + 10 is empty before that, and every other
request waits thirty seconds and fails with ``QueuePool limit ... reached``. Meanwhile the server shows
sessions "idle in transaction".

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with Session(...) as session:``; ``close()``
calls that become superfluous go away, every ``commit()`` and ``rollback()`` stays where it is. The block
never commits by itself. Where ORM objects outlive the block, the repair is offered for review: after a commit
their attributes are expired, and a lazy relationship cannot be loaded any more.

When it is left alone
---------------------
The session is returned or yielded to a caller who owns it, stored on an object or in a container, passed to a
helper that closes it, entered into an ``ExitStack`` or wrapped in ``closing``. The session of a
``scoped_session`` registry has a rule of its own.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlalchemy/session",
    repairs="with Session(...) as session:, up to the last use",
)
