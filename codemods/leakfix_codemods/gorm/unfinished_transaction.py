"""A transaction of gorm that some path neither commits nor rolls back.

What leaks
----------
``db.Begin()`` gives a ``*gorm.DB`` that keeps a connection until ``Commit`` or ``Rollback``. The usual fault is a
``return`` between two statements.

Why it hurts
------------
The connection never goes back to the pool; on the server the transaction stays open with all its locks.

How it is repaired
------------------
``defer tx.Rollback()`` right behind ``Begin``; after a ``Commit`` it does nothing.

When it is left alone
---------------------
``db.Transaction(func...)`` ends what it begins. A ``defer`` that rolls back, also one that recovers first; a
transaction that is returned, stored or given to a function that ends it.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="gorm/transaction",
    repairs="defer tx.Rollback()",
)
