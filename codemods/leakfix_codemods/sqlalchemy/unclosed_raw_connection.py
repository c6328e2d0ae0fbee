"""A DBAPI connection from ``raw_connection()`` or ``pool.connect()`` that some path never closes.

What leaks
----------
``engine.raw_connection()`` and a pool's ``connect()`` check a DBAPI connection out. ``close()`` gives it
back; a path that does not reach it keeps the slot.

Why it hurts
------------
The pool gets the slot back when the last reference goes: an exception whose traceback is kept, a cursor
stored somewhere or a long loop hold it, together with an open transaction.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with closing(...)``. The plain ``with`` of the
connection exists only in SQLAlchemy 2.1, so the repair does not rely on it. Commits stay where they are.

When it is left alone
---------------------
The connection or one of its cursors is returned or yielded, stored on an object, closed by a helper, or
``detach()``-ed to live on its own.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlalchemy/raw-connection",
    repairs="with closing(engine.raw_connection()) as connection:, up to the last use",
)
