"""How MySQL Connector/Python leaks.

A connection of ``mysql.connector.connect()`` stays open until ``close()`` or until its last reference goes.
One that came from a pool, by ``get_connection()`` or ``connect(pool_name=...)``, goes back only by
``close()``: the pool never sees a dropped one again. Cursors are unbuffered by default, and one with unread
rows blocks the connection (``Unread result found``).
"""
