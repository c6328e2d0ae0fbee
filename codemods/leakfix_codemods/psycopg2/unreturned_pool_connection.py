"""A connection taken from a pool with ``getconn()`` and not given back on some path.

What leaks
----------
``pool.getconn()`` lends a connection; only ``pool.putconn()`` gives it back. An exception between the two, or
an early ``return``, loses it. ``close()`` on the connection does not help: the pool still counts it as lent.

Why it hurts
------------
The pool keeps a reference to what it lent, so nothing ever collects it. A pool of ten serves ten such
failures and then raises ``PoolError: connection pool exhausted`` until the process is restarted.

How it is repaired
------------------
The statements after ``getconn()`` up to the last use move into a ``try`` whose ``finally`` calls ``putconn``;
``putconn`` calls that become superfluous go away, because giving a connection back twice raises. A connection
with an open transaction is rolled back by ``putconn``.

When it is left alone
---------------------
The connection is returned or yielded to a caller who gives it back, stored on an object that does, or passed
to a helper that calls ``putconn``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="psycopg2/pooled-connection",
    repairs="try/finally with pool.putconn(connection)",
)
