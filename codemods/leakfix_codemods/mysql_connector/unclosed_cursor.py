"""A cursor of a lasting MySQL connection that some path never closes.

What leaks
----------
``cursor()`` of a connection that outlives the function (kept on ``self`` or in a global) without ``close()``
on every path.

Why it hurts
------------
Cursors are unbuffered by default. One that was left with unread rows blocks the connection, and the next
statement on it raises ``InternalError: Unread result found``; a prepared one also keeps its statement on the
server.

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
    resource="mysql_connector/cursor",
    repairs="with connection.cursor() as cursor:, up to the last use",
)
