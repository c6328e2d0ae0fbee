"""How asyncpg leaks.

A connection has neither ``async with`` nor ``aclose``: it is closed by ``await conn.close()`` in a
``finally``, or not at all, and a cancelled task skips every line that is not in one. A pool keeps its own
reference to what it lent, so a connection taken by ``await pool.acquire()`` and never released is lost until
the process ends.
"""
