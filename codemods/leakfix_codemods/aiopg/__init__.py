"""How aiopg leaks.

The pool keeps a reference to what it lent: a connection of ``await pool.acquire()`` that never goes through
``pool.release()`` is lost until the process ends. Neither ``conn.close()`` nor ``pool.release()`` is a
coroutine, though both can be awaited.
"""
