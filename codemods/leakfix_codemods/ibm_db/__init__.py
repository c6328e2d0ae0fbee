"""How ibm_db and ibm_db_dbi leak.

``ibm_db`` is a module of functions: what ``ibm_db.connect()`` returns is a handle that
``ibm_db.close(handle)`` releases, there is no ``with``. The DB-API connection of ``ibm_db_dbi`` has
``close()`` and a ``with`` that closes and rolls back. Persistent connections (``pconnect``) are kept on
purpose.
"""
