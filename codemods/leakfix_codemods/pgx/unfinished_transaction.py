"""A transaction of pgx that some path neither commits nor rolls back.

What leaks
----------
``Begin`` and ``BeginTx`` of a connection or a pool give a transaction that lasts until ``Commit`` or ``Rollback``.
A cancelled context does not end it, unlike in ``database/sql``.

Why it hurts
------------
The pool has lost the connection, and its locks stay on the server.

How it is repaired
------------------
``defer tx.Rollback(ctx)`` behind the check of the error, with the context that ``Begin`` was given. After a ``Commit``
it returns ``pgx.ErrTxClosed`` and does nothing.

When it is left alone
---------------------
``pgx.BeginFunc`` and ``BeginTxFunc`` end what they begin. A transaction that is returned, stored or given to a function
that ends it is not touched. Where the context of ``Begin`` has no name, there is no repair.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="pgx/transaction",
    repairs="defer tx.Rollback(ctx) behind the check of the error",
)
