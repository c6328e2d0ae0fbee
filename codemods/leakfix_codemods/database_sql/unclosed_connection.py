"""A single connection of Go's ``database/sql`` that some path does not give back.

What leaks
----------
``db.Conn(ctx)`` takes one connection out of the pool. Only ``conn.Close()`` gives it back; that the context it was
taken with is cancelled does not.

Why it hurts
------------
The pool has one connection less for as long as the process lives. Code that needs a connection of its own, for a lock
or a temporary table, often returns early when the lock is taken.

How it is repaired
------------------
``defer conn.Close()`` behind the check of the error; calls of ``Close`` that become superfluous go away.

When it is left alone
---------------------
The connection is returned, stored in a struct that has a ``Close`` of its own, or given to a function that closes
it.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="database_sql/connection",
    repairs="defer conn.Close() behind the check of the error",
)
