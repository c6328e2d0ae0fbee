"""A connection taken with ``await pool.acquire()`` and not released on some path.

What leaks
----------
``await pool.acquire()`` lends a connection until ``await pool.release(connection)``. An exception, an early
``return`` or a cancellation in between loses it.

Why it hurts
------------
The pool keeps a reference to what it lent, so nothing ever collects it. After ``max_size`` lost connections
every ``acquire`` waits for ever, because it has no timeout by default.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``async with pool.acquire() as connection:``;
the ``await`` before ``pool.acquire()`` and the superfluous ``release`` calls go away. The block neither
commits nor opens a transaction.

When it is left alone
---------------------
The connection, a cursor or a prepared statement of it is returned or yielded to a caller, stored on an object
that releases it, or passed to a helper that does.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="asyncpg/pooled-connection",
    repairs="async with pool.acquire() as connection:, up to the last use",
)
