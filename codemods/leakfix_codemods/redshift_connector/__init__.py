"""How redshift_connector leaks.

A connection is closed by ``close()``, by ``with``, or when its last reference goes. Leaving the block commits
nothing. Closing it twice raises ``InterfaceError: connection is closed``.
"""
