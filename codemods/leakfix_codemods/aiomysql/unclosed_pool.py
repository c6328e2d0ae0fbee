"""An aiomysql pool made inside a function and never closed.

What leaks
----------
``create_pool()`` in a coroutine that uses the pool itself and drops it.

Why it hurts
------------
Each call opens connections of its own and reuses none of them; they are cut off, not closed, when the last
reference goes.

How it is repaired
------------------
The statements from the pool to its last use move into ``async with aiomysql.create_pool(...) as pool:``,
which closes and waits, offered for review: a pool belongs to the process, made where the application starts.

When it is left alone
---------------------
The pool is returned or yielded, stored on an object, in a global or in a registry, or closed on every path.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="aiomysql/pool",
    repairs="async with aiomysql.create_pool(...) as pool:, for review: one pool per process is better",
)
