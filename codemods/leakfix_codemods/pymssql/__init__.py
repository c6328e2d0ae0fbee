"""How pymssql leaks.

A connection is closed by ``close()``, by ``with``, or when its last reference goes; what was not committed is
rolled back. One connection can have one active cursor, so a forgotten one also blocks its neighbours.
"""
