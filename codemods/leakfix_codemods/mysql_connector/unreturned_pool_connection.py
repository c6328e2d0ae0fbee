"""A connection taken with ``get_connection()`` and not given back on some path.

What leaks
----------
``MySQLConnectionPool.get_connection()`` lends a connection until ``close()``. An exception between the two,
or an early ``return``, loses it.

Why it hurts
------------
The pool holds its free connections in a queue and does not know who has the others: a dropped one never comes
back. A pool of five serves five failures and then raises ``PoolError: Failed getting connection; pool
exhausted``.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with pool.get_connection() as connection:``.
Every ``close()`` inside goes away, because giving a connection back twice raises. Commits stay where they
are.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it, or
passed to a helper that closes it.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="mysql_connector/pooled-connection",
    repairs="with pool.get_connection() as connection:, up to the last use",
)
