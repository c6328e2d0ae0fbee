"""A connection acquired from a pgx pool and not released on some path.

What leaks
----------
``pool.Acquire(ctx)`` lends a connection; ``Release`` gives it back. An early ``return`` between the two loses it.

Why it hurts
------------
A pool has few connections: four, or one for each processor where those are more. When they are lost,
every ``Acquire`` waits until its context ends, and ``pool.Close()`` waits for ever.

How it is repaired
------------------
``defer conn.Release()`` behind the check of the error; calls of ``Release`` that become superfluous go away.

When it is left alone
---------------------
``AcquireFunc`` releases by itself; ``Hijack`` takes the connection out of the pool. A connection that is returned,
stored or given to a function that releases it is not touched.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="pgx/pooled-connection",
    repairs="defer conn.Release() behind the check of the error",
)
