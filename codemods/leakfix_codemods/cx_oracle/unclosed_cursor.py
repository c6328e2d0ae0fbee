"""A cursor of a lasting cx_Oracle connection that some path never closes.

What leaks
----------
``cursor()`` of a connection that outlives the function (kept on ``self`` or in a global) without ``close()``
on every path.

Why it hurts
------------
The session has a fixed number of open cursors, 300 by default. Those kept by a traceback, a list or a closure
are not closed, and then every statement on that connection fails with ``ORA-01000: maximum open cursors
exceeded``.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with connection.cursor() as cursor:``. Closing
a cursor touches no transaction.

When it is left alone
---------------------
The connection is made and closed in the same function: it takes its cursors along. The cursor is returned or
yielded to a caller, or stored on an object.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="cx_oracle/cursor",
    repairs="with connection.cursor() as cursor:, up to the last use",
)
