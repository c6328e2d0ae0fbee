"""How sqlite3 leaks.

``with sqlite3.connect(path) as conn:`` commits or rolls back and leaves the file open. A connection that a
statement or a traceback still refers to waits for the cyclic collector: file descriptors pile up, write locks
stay, and on Windows the file cannot be deleted. Python 3.13 began to warn about each one.
"""
