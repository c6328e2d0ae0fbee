"""A ``dataset`` database that some path never closes.

What leaks
----------
``dataset.connect()`` without ``close()`` on every path. ``with dataset.connect(...) as db:`` counts as well:
that block is a transaction and leaves everything open.

Why it hurts
------------
Each call makes a SQLAlchemy engine with a pool and keeps a connection per thread until the cyclic collector
runs.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with closing(dataset.connect(...)) as db:``.
Where ``with connect()`` stood, ``with closing(connect(...)) as db, db:`` keeps its commit and closes as well.

When it is left alone
---------------------
The database, one of its tables or a lazy result is returned or yielded to a caller, or stored on an object
that closes it. A database at module level lives as long as the process.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="dataset/database",
    repairs="with closing(dataset.connect(...)) as db:, up to the last use",
)
