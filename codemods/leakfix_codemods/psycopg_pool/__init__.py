"""How psycopg_pool leaks.

``with pool.connection()`` always gives the connection back. ``pool.getconn()`` does not: the pool counts the
connection as lent until ``putconn`` is called, garbage collection never returns it, and every lost one makes
the pool smaller until the next ``getconn`` times out.
"""
