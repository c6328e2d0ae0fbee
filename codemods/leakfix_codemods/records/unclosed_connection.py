"""A Records connection that some path never closes.

What leaks
----------
``db.get_connection()`` without ``close()`` on every path out of the function.

Why it hurts
------------
It holds a SQLAlchemy connection, which waits for the cyclic collector before its slot in the pool is free
again.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with db.get_connection() as connection:``.
Rows are read lazily, so everything that reads them stays inside the block.

When it is left alone
---------------------
The connection, or a result that still reads from it, is returned or yielded to a caller, or stored on an
object that closes it. ``db.transaction()`` is a block already.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="records/connection",
    repairs="with db.get_connection() as connection:, up to the last use",
)
