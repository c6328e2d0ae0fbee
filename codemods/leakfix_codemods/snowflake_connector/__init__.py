"""How the Snowflake connector leaks.

A connection is a session on the server with a heartbeat or token of its own; it ends by ``close()`` or by
``with``. The block commits first where autocommit is off, so put around code that never committed it would
change what the code does.
"""
