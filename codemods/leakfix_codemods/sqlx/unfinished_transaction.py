"""A transaction of sqlx that some path neither commits nor rolls back.

What leaks
----------
``Beginx``, ``BeginTxx`` and ``MustBegin`` keep a connection until ``Commit`` or ``Rollback``. ``MustExec`` panics where
``Exec`` returns an error, and then the ``Rollback`` further down is not reached either.

Why it hurts
------------
The connection stays out of the pool and the transaction open on the server, with all its locks.

How it is repaired
------------------
``defer tx.Rollback()`` behind the check of the error, or right behind ``MustBegin``, which has none. After a ``Commit``
it does nothing.

When it is left alone
---------------------
A ``defer`` rolls back, also through a function literal; the transaction is returned, stored or given to a function
that ends it.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlx/transaction",
    repairs="defer tx.Rollback() behind the check of the error",
)
