"""A psycopg 3 connection that some path never closes.

What leaks
----------
``psycopg.connect()`` or ``Connection.connect()`` without ``close()`` on every path out of the function.

Why it hurts
------------
The connection stays open until its last reference goes, which a kept traceback, a cursor or another
interpreter delay; psycopg then says ``ResourceWarning: connection ... was deleted while still open``. Each
one is a server process, and an open transaction keeps its locks.

How it is repaired
------------------
The statements from the acquisition to the last use move into a block. ``with psycopg.connect(...)`` closes
but also commits, so it is used only where the function ends with a commit anyway; otherwise ``with
closing(...)`` keeps the behaviour: what was not committed is rolled back.

When it is left alone
---------------------
The connection is returned or yielded to a caller, stored on an object that closes it, entered into an
``ExitStack``, or passed to a helper that closes it. ``with psycopg.connect(...) as conn:`` is in order: in
version 3 it closes.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="psycopg/connection",
    repairs="with closing(psycopg.connect(...)), or with psycopg.connect(...) where it commits anyway",
)
