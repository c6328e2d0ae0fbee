"""Rows of Go's ``database/sql`` that some path neither closes nor reads to the end.

What leaks
----------
``Query`` and ``QueryContext`` of a ``sql.DB``, ``Tx``, ``Conn`` or ``Stmt`` give rows that keep a connection busy.
They close themselves only when ``Next`` says there are no more; a ``return`` out of the loop, a single ``Next``, or a
query run with ``Query`` although nobody reads what it gives, leaves them open. ``rows.Err()`` does not close them.

Why it hurts
------------
The connection does not go back to the pool, and nothing ever collects it. With ``SetMaxOpenConns`` the pool is used
up and every further query waits for ever; without it the server runs out of connections.

How it is repaired
------------------
``defer rows.Close()`` behind the check of the error, where the rows are surely there; a later ``defer`` and calls of
``Close`` that become superfluous go away. In ``if rows, err := ...; err == nil {`` it is the first line of the branch.
In a loop, where a ``defer`` waits for the end of the function, the rows are closed behind the reading and before every
way out. Rows that are thrown away become ``Exec``; a query that selects is only proposed.

When it is left alone
---------------------
The rows are returned, stored, sent or given to a goroutine; a function of the project closes them or reads them to
the end; the receiver is a type of the project that only has methods of the same name. An error that is not checked,
or whose check goes on, is reported without a repair: a ``Close`` of what is not there panics.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="database_sql/rows",
    repairs="defer rows.Close() behind the check of the error; Exec for what nobody reads",
)
