"""A python-oracledb connection that some path never closes.

What leaks
----------
``oracledb.connect()`` without ``close()`` on every path out of the function, most often because a query
raised before it.

Why it hurts
------------
Every cursor, LOB and subscription refers to its connection, so a forgotten one lives long. The database
limits sessions and processes: ``ORA-00018`` or ``ORA-12516`` is what the next caller sees.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with oracledb.connect(...) as connection:``,
which closes and rolls back what was not committed. Every ``close()`` inside goes away, because closing twice
raises.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it,
passed to a helper that closes it, or entered into an ``ExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="oracledb/connection",
    repairs="with oracledb.connect(...) as connection:, up to the last use",
)
