"""How aiomysql leaks.

``conn.close()`` is an ordinary call and cuts the socket, ``await conn.ensure_closed()`` says goodbye first.
The pool keeps a reference to what it lent: a connection of ``await pool.acquire()`` that never goes through
``pool.release()`` is lost until the process ends. ``release`` is no coroutine but returns something that can
be awaited.
"""
