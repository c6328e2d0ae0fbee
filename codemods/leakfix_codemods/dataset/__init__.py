"""How dataset leaks.

``dataset.connect()`` makes a SQLAlchemy engine and keeps one connection per thread. ``with`` on it is a
transaction: it commits or rolls back and leaves everything open. Only ``close()`` releases the connections
and the engine.
"""
