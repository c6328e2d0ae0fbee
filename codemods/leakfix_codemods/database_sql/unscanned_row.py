"""A row of Go's ``database/sql`` that nobody scans.

What leaks
----------
``QueryRow`` runs the query at once and keeps the connection until ``Scan`` was called, whatever came of it. A row that
some path does not scan, or of which only ``Err()`` is asked, is never let go.

Why it hurts
------------
A connection of the pool stays in use for ever: there is no ``Close`` to call later. It often stands in a check of
whether something exists, or in an ``INSERT`` somebody runs with ``QueryRow``.

How it is repaired
------------------
A row nobody has a name for becomes ``Exec``: ``err := db.QueryRow(...).Err()`` becomes ``_, err := db.Exec(...)``. A
query that selects, or whose text is not at hand, is only proposed.

When it is left alone
---------------------
``QueryRow(...).Scan(...)``, also where the scan fails; a row that is returned or given to a function that scans it.
A row with a name that some path does not scan is reported without a repair: what to scan into is not known.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="database_sql/row",
    repairs="Exec for a row nobody scans",
)
