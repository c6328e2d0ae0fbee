"""How python-oracledb leaks.

A connection, pooled or not, is released by ``close()``, by ``with``, or when nothing refers to it any more:
cursors, LOBs and subscriptions do. A connection kept by an object keeps every cursor that was opened and not
closed, and the server limits them (``ORA-01000: maximum open cursors exceeded``). Closing one twice raises.
"""
