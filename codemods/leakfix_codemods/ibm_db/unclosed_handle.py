"""An ``ibm_db`` connection handle that some path never closes.

What leaks
----------
``ibm_db.connect()`` without ``ibm_db.close(handle)`` on every path out of the function.

Why it hurts
------------
The handle, and with it the connection to Db2, lives until its last reference goes; statement handles and kept
tracebacks delay that. Uncommitted work keeps its locks.

How it is repaired
------------------
``ibm_db.close(connection)`` in a ``finally`` around the statements from the acquisition to the last use: a
handle has no ``with``.

When it is left alone
---------------------
The handle or a statement of it is returned or yielded to a caller, stored on an object that closes it, or
given to ``ibm_db_dbi.Connection``. Handles of ``ibm_db.pconnect()`` are kept on purpose.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(resource="ibm_db/handle", repairs="try/finally with ibm_db.close(connection)")
