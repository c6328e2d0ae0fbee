"""An asyncpg pool made inside a function and never closed.

What leaks
----------
``create_pool()`` in a coroutine that uses the pool itself and drops it.

Why it hurts
------------
A pool opens ``min_size`` connections, ten by default, for every call, and reuses none of them. They stay open
until the collector runs, and then they are cut off rather than closed.

How it is repaired
------------------
The statements from the pool to its last use move into ``async with asyncpg.create_pool(...) as pool:``,
offered for review: a pool belongs to the process, made where the application starts.

When it is left alone
---------------------
The pool is returned or yielded, stored on an object, in a global or in a registry, or closed on every path.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="asyncpg/pool",
    repairs="async with asyncpg.create_pool(...) as pool:, for review: one pool per process is better",
)
