"""A ``scoped_session`` whose session stays in the registry.

What leaks
----------
Calling a ``scoped_session`` registry gives the session of this thread (or task). It is reported where a path
out of the function neither closes it nor calls ``remove()`` on the registry.

Why it hurts
------------
The registry keeps the reference, so nothing ever collects the session: each worker thread holds on to one
connection and its open transaction, and the next request on that thread sees the identity map of the last
one.

How it is repaired
------------------
The session is closed in a ``finally``, which gives its connection back. This is offered for review only: code
further up the stack may be using the same session, and then a teardown that calls ``Session.remove()`` once
per request is the right place.

When it is left alone
---------------------
The registry is removed on the way out or by a teardown, the session is used in a ``with`` block, or the
registry belongs to an extension that removes it itself, as Flask-SQLAlchemy does with ``db.session``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="sqlalchemy/scoped-session",
    repairs="close() in a finally, for review: a teardown with remove() may be better",
)
