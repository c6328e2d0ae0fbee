"""How pyodbc leaks.

``with pyodbc.connect(...) as conn:`` ends the transaction and leaves the connection open. It is closed by
``close()`` or when its last reference goes, and every cursor, row iterator and kept traceback is one. Closing
it twice raises.
"""
