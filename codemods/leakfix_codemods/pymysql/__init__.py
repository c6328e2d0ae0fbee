"""How PyMySQL leaks.

A connection is closed by ``close()``, by ``with`` (since 1.0; before, the block ended the transaction only)
or when its last reference goes. Closing it twice raises ``Error: Already closed``.
"""
