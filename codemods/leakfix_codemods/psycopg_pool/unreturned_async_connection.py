"""A connection taken with ``await pool.getconn()`` and not given back on some path.

What leaks
----------
``getconn()`` of an ``AsyncConnectionPool`` lends a connection until ``await putconn()``. An exception, an
early ``return`` or a cancellation at any ``await`` between the two loses it.

Why it hurts
------------
Nothing gives the slot back, not even the collector. When ``max_size`` of them are lost, every task that needs
a connection waits for its timeout and gets ``PoolTimeout``.

How it is repaired
------------------
The statements after ``getconn()`` up to the last use move into a ``try`` whose ``finally`` awaits
``putconn``, which rolls an open transaction back. ``async with pool.connection()`` reads better but commits
on success, so it is left to you.

When it is left alone
---------------------
The connection is returned or yielded to a caller who gives it back, or passed to a helper that awaits
``putconn``. ``async with pool.connection() as connection:`` is always in order.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="psycopg_pool/async-pooled-connection",
    repairs="try/finally with await pool.putconn(connection)",
)
