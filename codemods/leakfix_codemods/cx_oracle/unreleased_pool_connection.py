"""A connection taken with ``SessionPool.acquire()`` and not released on some path.

What leaks
----------
``pool.acquire()`` lends a connection until ``connection.close()`` or ``pool.release(connection)``. An
exception between the two, or an early ``return``, leaves it to the reference counter.

Why it hurts
------------
Every cursor, LOB and kept traceback refers to its connection, so its slot stays taken. At ``max`` lent
connections the next ``acquire`` waits or fails with ``ORA-24418``.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with pool.acquire() as connection:``, which
gives it back and rolls back what was not committed. Every release inside goes away, because releasing twice
raises.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that releases it, or
passed to a helper that does.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="cx_oracle/pooled-connection",
    repairs="with pool.acquire() as connection:, up to the last use",
)
