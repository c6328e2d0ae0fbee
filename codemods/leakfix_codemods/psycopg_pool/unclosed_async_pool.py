"""An ``AsyncConnectionPool`` made inside a function and never closed.

What leaks
----------
A pool made in a coroutine that uses it itself and drops it, with its connections and its worker tasks.

Why it hurts
------------
The pool starts tasks and opens ``min_size`` connections, four by default, for every call, and reuses none of
them. The tasks of a dropped pool are never awaited: the loop reports ``Task was destroyed but it is
pending``.

How it is repaired
------------------
The statements from the pool to its last use move into ``async with AsyncConnectionPool(...) as pool:``,
offered for review: a pool belongs to the process, opened in the application's lifespan.

When it is left alone
---------------------
The pool is returned or yielded, stored on an object, in a global or in a registry, or closed on every path.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="psycopg_pool/async-pool",
    repairs="async with AsyncConnectionPool(...) as pool:, for review: one pool per process is better",
)
