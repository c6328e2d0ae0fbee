"""An ``ibm_db_dbi`` connection that some path never closes.

What leaks
----------
``ibm_db_dbi.connect()`` without ``close()`` on every path out of the function, most often because a query
raised before it.

Why it hurts
------------
The connection stays open until its last reference goes; cursors and kept tracebacks delay that, and
uncommitted work keeps its locks.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with ibm_db_dbi.connect(...) as connection:``,
which rolls back what was not committed and closes, as ``close()`` does.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it, or
passed to a helper that closes it.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="ibm_db/connection",
    repairs="with ibm_db_dbi.connect(...) as connection:, up to the last use",
)
