"""A pgx connection that some path never closes.

What leaks
----------
``pgx.Connect`` and ``ConnectConfig`` open a connection outside any pool. It stays open until ``Close(ctx)``.

Why it hurts
------------
A connection of PostgreSQL is a process on the server, and there are a hundred of them by default. A job that connects
for every run uses them up.

How it is repaired
------------------
``defer conn.Close(ctx)`` behind the check of the error, with the context ``Connect`` was given; calls of ``Close`` that
become superfluous go away.

When it is left alone
---------------------
The connection is returned, stored in a struct or a package variable, or given to a function that closes it. Where the
context of ``Connect`` has no name, there is no repair.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="pgx/connection",
    repairs="defer conn.Close(ctx) behind the check of the error",
)
