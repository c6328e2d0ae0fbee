"""An engine made inside a function and never disposed of.

What leaks
----------
``create_engine()`` in a function that uses the engine itself and drops it: every call brings a new connection
pool.

Why it hurts
------------
The connections a pool keeps for reuse are never reused. They stay open until the cyclic collector runs, so
the database sees up to five per call and the server's ``max_connections`` is reached although no single pool
is full. Connecting anew for every call also costs more than most queries.

How it is repaired
------------------
``engine.dispose()`` in a ``finally``, offered for review: the better repair is nearly always one engine per
process, made at module level or in the application's start-up, which changes more than one function.

When it is left alone
---------------------
The engine is returned (a factory, perhaps cached), stored on an object, in a global or in a registry, or
disposed of on every path. An engine at module level, or in a function that only the program itself runs (a command, a
``main``), lives as long as the process and is no leak.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlalchemy/engine",
    repairs="engine.dispose() in a finally, for review: one engine per process is better",
)
