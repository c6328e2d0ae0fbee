"""An asyncpg connection that some path never closes.

What leaks
----------
``await asyncpg.connect()`` without ``await close()`` on every path out of the coroutine; a cancelled task is
such a path at every ``await``.

Why it hurts
------------
The connection stays open until its last reference goes, and a kept task, a prepared statement or a traceback
delays that. Each one is a server process; reconnecting in a retry loop reaches ``max_connections``.

How it is repaired
------------------
``await connection.close()`` in a ``finally`` around the statements from the acquisition to the last use. An
asyncpg connection has no ``async with`` and no ``aclose``, so there is no shorter form.

When it is left alone
---------------------
The connection is returned or yielded to a caller, stored on an object that closes it, passed to a helper that
closes it, or its ``close`` is pushed on an ``AsyncExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(resource="asyncpg/connection", repairs="try/finally with await connection.close()")
