"""How DuckDB leaks.

A connection to a file holds the file and its lock until ``close()`` or until nothing refers to it:
``execute`` returns the connection itself, and a cursor is a second connection to the same database. Relations
are lazy, they cannot be read once the connection is closed.
"""
