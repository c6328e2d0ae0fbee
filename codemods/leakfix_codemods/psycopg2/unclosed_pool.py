"""A psycopg2 pool made inside a function and never closed.

What leaks
----------
``SimpleConnectionPool`` or ``ThreadedConnectionPool`` in a function that uses the pool itself and drops it.

Why it hurts
------------
A pool opens ``minconn`` connections at once. Made per call it reuses nothing, and what an exception or a
cycle keeps alive keeps all of its connections open.

How it is repaired
------------------
``pool.closeall()`` in a ``finally``, offered for review: a pool belongs to the process, made once at module
level or where the application starts.

When it is left alone
---------------------
The pool is returned, stored on an object, in a global or in a registry, or closed on every path. A pool at
module level is no leak.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="psycopg2/pool",
    repairs="pool.closeall() in a finally, for review: one pool per process is better",
)
