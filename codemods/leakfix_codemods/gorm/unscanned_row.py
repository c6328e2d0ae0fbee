"""A row of gorm that nobody scans.

What leaks
----------
``Row()`` ends a chain with a ``sql.Row``, which keeps its connection until ``Scan`` was called.

Why it hurts
------------
A connection of the pool stays in use for ever: a row has no ``Close``.

How it is repaired
------------------
There is no repair that is surely right: what to scan into, or whether ``Exec`` was meant, is for a person to decide.

When it is left alone
---------------------
``Row().Scan(...)``, also where it fails, and a row that is returned or given away.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="gorm/row",
    repairs="none: scan it, or use Exec",
)
