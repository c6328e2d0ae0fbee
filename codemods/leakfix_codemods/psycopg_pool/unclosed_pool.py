"""A ``ConnectionPool`` made inside a function and never closed.

What leaks
----------
A pool made in a function that uses it itself and drops it, with its connections and its worker threads.

Why it hurts
------------
The pool opens ``min_size`` connections and starts threads that outlive the function. Made per call it reuses
nothing and the server's ``max_connections`` is reached soon.

How it is repaired
------------------
The statements from the pool to its last use move into ``with ConnectionPool(...) as pool:``, offered for
review: a pool belongs to the process, opened where the application starts.

When it is left alone
---------------------
The pool is returned, stored on an object, in a global or in a registry, or closed on every path. A pool at
module level is no leak.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="psycopg_pool/pool",
    repairs="with ConnectionPool(...) as pool:, for review: one pool per process is better",
)
