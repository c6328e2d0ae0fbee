"""Results of a pgx batch that some path does not close.

What leaks
----------
``SendBatch`` gives results that hold the connection until ``Close``, however many of them were read. A ``return`` at
the first statement that fails leaves them open.

Why it hurts
------------
The connection stays busy: a pool has lost it, and in a transaction even ``Commit`` finds it so.

How it is repaired
------------------
``defer results.Close()`` right behind ``SendBatch``, which has no error to check.

When it is left alone
---------------------
``SendBatch(...).Close()``, results that are closed on every path, returned, stored or given away.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="pgx/batch",
    repairs="defer results.Close() behind SendBatch",
)
