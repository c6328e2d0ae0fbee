"""A prepared statement of sqlx that some path never closes.

What leaks
----------
``Preparex``, ``PrepareNamed`` and their forms with a context give a statement that lives until ``Close``.

Why it hurts
------------
Each call leaves a statement behind, on the client and on the server, until the server refuses to prepare more.

How it is repaired
------------------
``defer stmt.Close()`` behind the check of the error. In a loop it is closed before every way out of the round.

When it is left alone
---------------------
Statements of a transaction end with it. One that is stored or returned is its holder's business.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlx/statement",
    repairs="defer stmt.Close() behind the check of the error",
)
