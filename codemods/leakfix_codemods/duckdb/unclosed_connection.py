"""A DuckDB connection that some path never closes.

What leaks
----------
``duckdb.connect()`` without ``close()`` on every path out of the function.

Why it hurts
------------
An open connection to a file holds its lock: another process cannot open it, and changes may still sit in the
write-ahead log. Cursors, relations and kept tracebacks keep the connection open.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with duckdb.connect(...) as connection:``,
which closes and commits nothing. Relations are lazy, so everything that reads one stays inside the block.

When it is left alone
---------------------
The connection, a cursor or a relation of it is returned or yielded to a caller, stored on an object that
closes it, or entered into an ``ExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="duckdb/connection",
    repairs="with duckdb.connect(...) as connection:, up to the last use",
)
