"""An async engine made inside a function and never disposed of.

What leaks
----------
``create_async_engine()`` in a coroutine that uses the engine itself and drops it: every call brings a new
connection pool, bound to the event loop it ran on.

Why it hurts
------------
Pooled connections of a dropped engine stay open until the collector terminates them, with warnings such as
``Event loop is closed`` when the loop ended first. The server's ``max_connections`` is reached although no
single pool is full.

How it is repaired
------------------
``await engine.dispose()`` in a ``finally``, offered for review: the better repair is nearly always one engine
per process, made where the application starts and disposed of where it stops.

When it is left alone
---------------------
The engine is returned, stored on an object, in a global or in a registry, or disposed of on every path. A
script that makes one engine, disposes of it at the end and exits is in order.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlalchemy/async-engine",
    repairs="await engine.dispose() in a finally, for review: one engine per process is better",
)
