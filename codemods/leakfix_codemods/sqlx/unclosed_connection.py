"""A single connection of sqlx that some path does not give back.

What leaks
----------
``Connx(ctx)`` takes one connection out of the pool; only ``Close`` gives it back, the end of the context does not.

Why it hurts
------------
The pool has one connection less for as long as the process lives.

How it is repaired
------------------
``defer conn.Close()`` behind the check of the error; calls of ``Close`` that become superfluous go away.

When it is left alone
---------------------
The connection is returned, stored or given to a function that closes it.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlx/connection",
    repairs="defer conn.Close() behind the check of the error",
)
