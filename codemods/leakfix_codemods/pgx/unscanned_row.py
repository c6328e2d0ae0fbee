"""A row of pgx that nobody scans.

What leaks
----------
``QueryRow`` sends the query at once; the connection is free again after ``Scan``, whatever comes of it. A row some path
does not scan keeps it.

Why it hurts
------------
A pool has lost the connection for good; a single connection is busy for the next query. ``pgx.Row`` has no ``Close``.

How it is repaired
------------------
A row that is thrown away becomes ``Exec``; a query that selects is only proposed.

When it is left alone
---------------------
``QueryRow(...).Scan(...)``, or a row that is returned or given to a function. A row with a name that some path does
not scan is reported without a repair.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="pgx/row",
    repairs="Exec for a row nobody scans",
)
