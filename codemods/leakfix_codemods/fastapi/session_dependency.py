"""An endpoint that opens a session itself, in a project that has a dependency for that.

What leaks
----------
A path operation makes its own session and some path out of it does not close it, while the project has, or in the same
file can have, a dependency that yields sessions of the same factory and closes them.

Why it hurts
------------
Every request keeps a connection until the cyclic garbage collector runs. Under load the pool is empty before that.

How it is repaired
------------------
The session becomes a parameter: ``db: Session = Depends(get_db)``, written as the file writes its others
(``Annotated``, an alias of it, or a default). FastAPI closes it after the response, so that what the endpoint returns
can still be turned into an answer. Where several endpoints of a file need it and the factory stands there, a
dependency is made beside the factory.

When it is left alone
---------------------
The session is put into a ``with`` instead, by the rule of its library, where the endpoint streams, sleeps or calls out:
a dependency would hold the connection all that time. So it is where a coroutine has a session that is not asynchronous,
which FastAPI would close in another thread (a database of SQLite in memory does not allow that), where tests put
something else in the place of the factory, where other code calls the endpoint, which would have to
bring a session, where the dependency does more than open and close or has parameters, where something else of the same
request has it too (FastAPI makes one for all), where something beside the route decorates the endpoint, where the
dependency is only defined below it, and where the endpoint opens the session under a condition.
"""

from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Match, PatternCodemod, View
from leakfix_codemods.fastapi._dependencies import dependency_for
from leakfix_codemods.fastapi._endpoints import with_parameter
from leakfix_codemods.fastapi._sessions import (
    changes_thread,
    endpoint_sessions,
    is_called,
    is_last_use,
    is_replaced,
    outlasts,
)


def find(view: View) -> Iterator[Match]:
    """Sessions that endpoints open and could be given."""
    for session in endpoint_sessions(view):
        if changes_thread(session) or is_replaced(view, session.call) or is_last_use(view, session):
            continue
        dependency = dependency_for(view, session)
        if dependency is not None and not outlasts(view, session.function) and not is_called(view, session.function):
            yield Match(
                session.call,
                "the endpoint opens a session that a dependency could give it",
                partial(with_parameter, view, session, dependency),
                identity=session.name,
            )


CODEMOD = PatternCodemod(
    find=find,
    imports=("fastapi",),
    noun="session",
    repairs="db: Session = Depends(get_db)",
    category=Category.LEAK,
    refines=True,
)
