"""How psycopg2 leaks.

``with psycopg2.connect(...) as conn:`` ends the transaction and leaves the connection open, so the code that
looks safest is a common leak. A connection is closed when its last reference goes, which an exception kept by
an error tracker, a long-running function or another interpreter delays. A pool keeps its own reference to
every connection it lent out: one that never comes back through ``putconn`` is gone for good.
"""
