"""How SQLAlchemy (and SQLModel on top of it) leaks.

An engine owns a pool of connections. ``Session``, ``engine.connect()`` and ``engine.raw_connection()`` check
one out and give it back when they are closed. A dropped session or connection sits in reference cycles, so it
keeps its slot until the cyclic collector happens to run: under load the pool of 5 + 10 is empty first, and
the next caller waits thirty seconds for a ``TimeoutError``. A ``scoped_session`` registry keeps its session
for the life of the thread, and an engine made per call brings a pool of its own each time.
"""
