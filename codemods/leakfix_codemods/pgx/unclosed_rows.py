"""Rows of pgx that some path neither closes nor reads to the end.

What leaks
----------
``Query`` of a connection, a transaction or a pool gives rows that hold the connection until ``Next`` is false, ``Scan``
fails or ``Close`` is called. A ``return`` out of the loop for any other reason leaves them open.

Why it hurts
------------
A pool has lost the connection for good. On a single connection, or in a transaction, the next query fails with
``conn busy``.

How it is repaired
------------------
``defer rows.Close()`` behind the check of the error, without anything to look at: it returns nothing. In a loop the
rows are closed before every way out of the round. Rows that are thrown away become ``Exec``.

When it is left alone
---------------------
``pgx.CollectRows``, ``CollectOneRow``, ``AppendRows`` and ``ForEachRow`` close what they are given. Rows that are read
to the end with no way out but a failed ``Scan``, returned, stored or given away stay as they are.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="pgx/rows",
    repairs="defer rows.Close() behind the check of the error; Exec for what nobody reads",
)
