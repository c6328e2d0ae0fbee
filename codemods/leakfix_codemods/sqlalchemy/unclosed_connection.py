"""A connection from ``engine.connect()`` that some path never closes.

What leaks
----------
``engine.connect()`` checks a connection out of the pool. It is reported where a path out of the function,
most often an exception in a query, does not close it.

Why it hurts
------------
A dropped ``Connection`` waits for the cyclic collector before its slot is free again, with its transaction
open on the server. The pool of 5 + 10 runs dry, and the error appears in whatever asks next.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with engine.connect() as connection:``.
Leaving the block rolls back what was not committed, exactly as ``close()`` did; nothing is committed that was
not committed before.

When it is left alone
---------------------
The connection, or a result that still reads from it, is returned or yielded to a caller; it is stored on an
object, passed to a helper that closes it, or entered into an ``ExitStack``. ``engine.begin()`` is a block
already.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlalchemy/connection",
    repairs="with engine.connect() as connection:, up to the last use",
)
