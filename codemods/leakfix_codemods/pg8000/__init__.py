"""How pg8000 leaks.

A connection, native or DB-API, is closed by ``close()`` or by ``with``; a dropped one is part of reference
cycles and waits for the cyclic collector. Leaving the block commits nothing. Closing it twice raises
``InterfaceError: connection is closed``.
"""
