"""Rows of gorm that some path neither closes nor reads to the end.

What leaks
----------
``Rows()`` ends a chain with the ``sql.Rows`` of ``database/sql``. They keep a connection until ``Next`` says there are
no more or ``Close`` is called; ``ScanRows`` reads one row and closes nothing.

Why it hurts
------------
The connection does not go back to the pool, and nothing collects it.

How it is repaired
------------------
``defer rows.Close()`` behind the check of the error; superfluous calls of ``Close`` go away.

When it is left alone
---------------------
``Find``, ``First``, ``Scan``, ``Pluck`` and ``FindInBatches`` close what they open. Rows that are returned, stored or
given to a function that closes them are not touched.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="gorm/rows",
    repairs="defer rows.Close() behind the check of the error",
)
