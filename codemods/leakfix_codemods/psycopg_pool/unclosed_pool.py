"""A ``ConnectionPool`` made inside a function and never closed.

What leaks
----------
A pool made in a function that uses it itself and drops it, with its connections and its worker threads.

Why it hurts
------------
The pool starts threads and opens ``min_size`` connections, four by default, for every call, and reuses none
of them. They stay until the last reference goes, which a kept traceback delays.

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
