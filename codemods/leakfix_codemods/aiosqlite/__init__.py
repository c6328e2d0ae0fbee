"""How aiosqlite leaks.

Each connection has a thread of its own that runs until ``await close()``. Before version 0.22 that thread
keeps a forgotten connection alive for good, and the process does not exit while it runs; since then the
connection is cleaned up, with a ``ResourceWarning``, when its last reference goes.
"""
