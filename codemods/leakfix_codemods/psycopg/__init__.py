"""How psycopg (version 3) leaks.

A connection that nobody closes stays open until its last reference goes; psycopg then warns with a
``ResourceWarning``. ``with psycopg.connect(...)`` does close, but commits first: put around code that never
committed, it changes what the code does.
"""
