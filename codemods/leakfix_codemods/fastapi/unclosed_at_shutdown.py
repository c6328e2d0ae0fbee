"""A pool, an engine or a connection that is opened when the application starts and never closed.

What leaks
----------
A lifespan, or a function for the "startup" event, opens something and keeps it on ``app.state``, on an object or in a
global. Nothing that runs when the application stops closes it, and nothing else in the project does.

Why it hurts
------------
Every reload and every worker that is replaced leaves its connections behind until the server notices; transactions
that were open stay open. Tests that start the application many times run into the server's limit.

How it is repaired
------------------
In a lifespan the ``yield`` moves into ``try``, and the ``finally`` closes what was opened. A "startup" function becomes
the first half of a lifespan that does the same, because events are deprecated and ignored beside a lifespan
(FastAPI's documentation, "Lifespan Events"). Offered for review: what else runs at the end may still need it.

When it is left alone
---------------------
Anything in the project closes it, under its name. Start-up functions beside other handlers of events, routers with
events of their own, applications that have a lifespan already or are made in another file.
"""

from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Match, PatternCodemod, View
from leakfix_codemods.fastapi._lifespans import opened_at_startup, repair


def find(view: View) -> Iterator[Match]:
    """What is opened when the application starts and closed nowhere."""
    for item in opened_at_startup(view):
        yield Match(
            item.call,
            f"{item.resource.noun} is opened when the application starts and never closed",
            partial(repair, view, item),
            held=item.resource.held,
            identity=item.place,
        )


CODEMOD = PatternCodemod(
    find=find,
    imports=("fastapi", "starlette"),
    shape=r"on_event\(\s*.startup|lifespan\s*=\s*\w|def \w*lifespan",
    noun="resource",
    repairs="a lifespan that closes what it opened",
    category=Category.LEAK,
)
