"""A row of sqlx that nobody scans.

What leaks
----------
``QueryRowx`` runs the query and keeps the connection until ``Scan``, ``StructScan``, ``MapScan`` or ``SliceScan``.
``Err()`` alone does not let it go.

Why it hurts
------------
A connection of the pool stays in use for ever: a row has no ``Close``.

How it is repaired
------------------
A row nobody has a name for becomes ``Exec``, and its error is the error of that.

When it is left alone
---------------------
Any of the scanning methods is called, also where it fails; the row is returned or given away. A row with a name that
some path does not scan is reported without a repair.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlx/row",
    repairs="Exec for a row nobody scans",
)
