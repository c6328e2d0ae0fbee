"""Rows of sqlx that some path neither closes nor reads to the end.

What leaks
----------
``Queryx``, ``NamedQuery`` and their forms with a context give ``sqlx.Rows``, which keep a connection busy until
``Next`` says there are no more or ``Close`` is called. A ``StructScan`` that fails and returns leaves them open.

Why it hurts
------------
The connection does not go back to the pool, and nothing collects it. A row that does not fit its struct costs one
connection with every call.

How it is repaired
------------------
``defer rows.Close()`` behind the check of the error; superfluous calls of ``Close`` go away. In a loop the rows are
closed before every way out of the round. Rows that are thrown away become ``Exec`` or ``NamedExec``.

When it is left alone
---------------------
``Get`` and ``Select`` close what they open, and so do functions of the project that read rows to the end. Rows that
are returned, stored or given away are their new owner's.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlx/rows",
    repairs="defer rows.Close() behind the check of the error; Exec for what nobody reads",
)
