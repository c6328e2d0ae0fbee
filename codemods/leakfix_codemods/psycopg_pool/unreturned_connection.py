"""A connection taken with ``pool.getconn()`` and not given back on some path.

What leaks
----------
``getconn()`` lends a connection until ``putconn()``. An exception between the two, or an early ``return``,
loses it. Neither a ``with`` block on the connection, which only ends the transaction, nor ``close()`` gives
the slot back.

Why it hurts
------------
Nothing gives the slot back, not even the collector. When ``max_size`` of them are lost, every ``getconn`` and
every ``pool.connection()`` waits for its timeout and raises ``PoolTimeout``.

How it is repaired
------------------
The statements after ``getconn()`` up to the last use move into a ``try`` whose ``finally`` calls ``putconn``,
which rolls an open transaction back. ``with pool.connection()`` reads better but commits on success, so it is
left to you.

When it is left alone
---------------------
The connection is returned or yielded to a caller who gives it back, or passed to a helper that calls
``putconn``. ``with pool.connection() as connection:`` is always in order.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="psycopg_pool/pooled-connection",
    repairs="try/finally with pool.putconn(connection)",
)
