"""A connection of a DBUtils ``PooledDB`` that some path never gives back.

What leaks
----------
``pool.connection()`` without ``close()`` on every path out of the function.

Why it hurts
------------
A dropped connection goes back when its last reference goes; a cursor, a list or a kept traceback is one. With
``maxconnections`` set, the next caller gets ``TooManyConnections`` or blocks.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with pool.connection() as connection:``, which
gives it back; the pool rolls back what was not committed.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it, or
passed to a helper that closes it. Connections of ``PersistentDB`` are kept on purpose.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="dbutils/pooled-connection",
    repairs="with pool.connection() as connection:, up to the last use",
)
