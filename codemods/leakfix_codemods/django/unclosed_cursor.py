"""A cursor from Django's ``connection.cursor()`` that some path never closes.

What leaks
----------
``connection.cursor()``, also of ``connections["..."]``, without ``close()`` on every path. Connections
themselves are no concern here: Django opens and closes them per request.

Why it hurts
------------
An open cursor keeps its result set as long as something refers to it, a kept traceback for instance. On
Oracle the number of open cursors per connection is limited (``ORA-01000``), on MySQL an unread result blocks
the connection, and a persistent connection (``CONN_MAX_AGE``) carries all of it into the next request.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with connection.cursor() as cursor:``. Closing
a cursor touches no transaction; commits stay where they are.

When it is left alone
---------------------
The cursor, or a generator reading from it, is returned or yielded to a caller, stored on an object that
closes it, or entered into an ``ExitStack``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="django/cursor",
    repairs="with connection.cursor() as cursor:, up to the last use",
)
