"""A transaction of Go's ``database/sql`` that some path neither commits nor rolls back.

What leaks
----------
``Begin`` and ``BeginTx`` keep a connection until ``Commit`` or ``Rollback``. The usual fault is the ``return err``
between two statements, with ``Commit`` only at the end.

Why it hurts
------------
The connection never goes back to the pool, and on the server the transaction stays open: its locks stay, other
writers wait, old rows cannot be cleaned up.

How it is repaired
------------------
``defer tx.Rollback()`` behind the check of the error. After a ``Commit`` it does nothing but return ``sql.ErrTxDone``,
so it is right on every path. A ``Rollback`` right before a ``return`` becomes superfluous and goes away. Files that
write ``defer func() { _ = ... }()`` get that form.

When it is left alone
---------------------
A ``defer`` that rolls back, also one in a function literal that looks at a named result first; a transaction that is
returned, stored or given to a function that ends it. A ``Commit`` ends it even where it fails.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="database_sql/transaction",
    repairs="defer tx.Rollback() behind the check of the error",
)
