"""An aiopg pool (or ``aiopg.sa`` engine) made inside a function and never closed.

What leaks
----------
``create_pool()`` or ``aiopg.sa.create_engine()`` in a coroutine that uses the result itself and drops it.

Why it hurts
------------
Each call opens connections of its own and reuses none of them; they are cut off, not closed, when the last
reference goes.

How it is repaired
------------------
The statements from the pool to its last use move into ``async with aiopg.create_pool(...) as pool:``, which
closes and waits, offered for review: a pool belongs to the process, made where the application starts.

When it is left alone
---------------------
The pool is returned or yielded, stored on an object, in a global or in a registry, or closed on every path.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="aiopg/pool",
    repairs="async with aiopg.create_pool(...) as pool:, for review: one pool per process is better",
)
