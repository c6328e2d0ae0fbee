"""A psycopg2 connection that some path never closes.

What leaks
----------
``psycopg2.connect()`` without ``close()`` on every path. ``with psycopg2.connect(...) as conn:`` counts as
well: that block commits or rolls back and leaves the connection open.

Why it hurts
------------
A connection lives until its last reference goes. A traceback kept by an error tracker, a cursor stored
somewhere, a long-running function or another interpreter than CPython keep it, and each one is a whole server
process. Left with an open transaction it also keeps its locks and holds back vacuum.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with closing(psycopg2.connect(...)) as
connection:``. Where ``with connect()`` stood, ``with closing(connect(...)) as connection, connection:`` keeps
its commit and closes as well. Commits and rollbacks stay where they are.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it, put
into a registry, passed to a helper that closes it, or entered into an ``ExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="psycopg2/connection",
    repairs="with closing(psycopg2.connect(...)) as connection:, up to the last use",
)
