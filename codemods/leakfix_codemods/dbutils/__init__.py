"""How DBUtils leaks.

A connection of ``PooledDB`` goes back to its pool by ``close()``, by ``with``, or when its last reference
goes; with ``maxconnections`` set and a traceback kept somewhere the next caller is refused or blocks. A
``PersistentDB`` keeps one connection per thread on purpose.
"""
