"""A MySQL Connector/Python connection that some path never closes.

What leaks
----------
``mysql.connector.connect()`` without ``close()`` on every path out of the function, most often because a
query raised before it.

Why it hurts
------------
The connection stays open until its last reference goes, and counts against ``max_connections``. With
``pool_name`` the call takes a connection from a pool, which never gets a dropped one back: ``Failed getting
connection; pool exhausted``.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with mysql.connector.connect(...) as
connection:``, which closes (or gives back to the pool) and commits nothing.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it,
passed to a helper that closes it, or entered into an ``ExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="mysql_connector/connection",
    repairs="with mysql.connector.connect(...) as connection:, up to the last use",
)
