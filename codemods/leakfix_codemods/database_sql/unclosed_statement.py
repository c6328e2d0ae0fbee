"""A prepared statement of Go's ``database/sql`` that some path never closes.

What leaks
----------
``Prepare`` and ``PrepareContext`` of a ``sql.DB`` or a ``sql.Conn`` give a statement that lives until ``Close``, on
every connection it was ever run on. A function that prepares and does not close leaves one behind with each call.

Why it hurts
------------
It holds no connection, but memory of the client and of the server. MySQL refuses more than
``max_prepared_stmt_count``, for all clients together.

How it is repaired
------------------
``defer stmt.Close()`` behind the check of the error. In a loop it is closed before every way out of the round.

When it is left alone
---------------------
A statement of a transaction ends with the transaction. A statement that is stored in a struct or a package variable,
or returned, is its holder's business.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="database_sql/statement",
    repairs="defer stmt.Close() behind the check of the error",
)
