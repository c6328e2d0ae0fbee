"""A connection taken with ``await pool.acquire()`` and not released on some path.

What leaks
----------
``await pool.acquire()`` lends a connection until ``pool.release(connection)``. An exception, an early
``return`` or a cancellation in between loses it; closing the connection does not free its slot.

Why it hurts
------------
The pool keeps a reference to what it lent, so nothing ever collects it. After ``maxsize`` lost connections,
ten by default, every ``acquire`` waits for ever.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``async with pool.acquire() as connection:``.
Every ``release`` inside goes away, because releasing twice fails an assertion. The block commits nothing.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that releases it, or
passed to a helper that does.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="aiomysql/pooled-connection",
    repairs="async with pool.acquire() as connection:, up to the last use",
)
