"""A Snowflake connection that some path never closes.

What leaks
----------
``snowflake.connector.connect()`` without ``close()`` on every path out of the function.

Why it hurts
------------
Each connection is a session on the server and, on the client, a heartbeat or a pool of requests. A job that
makes one per item keeps hundreds of sessions alive, and an open transaction keeps its locks.

How it is repaired
------------------
The statements from the acquisition to the last use move into a block. ``with connect(...)`` closes but
commits first where autocommit is off, so it is used only where the function commits anyway; otherwise ``with
closing(...)`` keeps the behaviour.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it, or
entered into an ``ExitStack``. ``with snowflake.connector.connect(...) as conn:`` is in order: it closes.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="snowflake_connector/connection",
    repairs="with closing(connect(...)), or with connect(...) where it commits anyway",
)
