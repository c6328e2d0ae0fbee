"""A ``scoped_session`` of a Flask application that nothing removes at the end of a request.

What leaks
----------
``scoped_session(...)`` keeps one session for each thread. Handlers use it through the registry, and nothing in the
project calls ``remove()``.

Why it hurts
------------
The session of a worker's thread stays open between requests: with its connection, its transaction ("idle in
transaction") and every object it has loaded; and what one request left undone is committed by another.

How it is repaired
------------------
A function for ``teardown_appcontext`` that calls ``remove()``, as SQLAlchemy's documentation recommends for web
applications. Offered for review: what no request commits is rolled back from then on.

When it is left alone
---------------------
``remove()`` or ``close()`` is called on it anywhere in the project; programs without Flask; applications made in
another file: where the teardown belongs is for the project to say.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, View
from leakfix.patterns.domain import words_of
from leakfix_codemods.flask._context import with_teardown

REGISTRIES = ("sqlalchemy.orm.scoped_session()", "sqlalchemy.orm.scoping.scoped_session()")


def find(view: View) -> Iterator[Match]:
    """Module-level registries that nothing removes."""
    for statement in view.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as made) if view.is_a(
                made, None, *REGISTRIES
            ):
                if _serves_flask(view, name) and not _is_removed(view, name):
                    message = f"{name} keeps the session of each thread open after the request"
                    yield Match(made, message, partial(repair, view, statement, name), held="forever")


def _texts(view: View, name: str) -> Iterator[bytes]:
    yield view.module.source.data
    yield from view.texts(name)


def _serves_flask(view: View, name: str) -> bool:
    return any(re.search(rb"\b(?:from|import) flask\b", text) for text in _texts(view, name))


def _is_removed(view: View, name: str) -> bool:
    released = re.compile(rb"\b" + name.encode() + rb"(?:\(\))?\.(?:remove|close)\b")
    return any(released.search(text) for text in _texts(view, name))


def repair(view: View, statement: ast.Assign, name: str) -> Fix | Refusal:
    """Remove it when the application context ends."""
    layout = with_teardown(view, statement, "_".join(["remove", *words_of(name)]), [f"{name}.remove()"])
    if isinstance(layout, Refusal):
        return layout
    check = "that every request commits what is to be kept"
    return Fix("remove it when the application context ends", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    words=("scoped_session", "Flask("),
    noun="scoped session",
    repairs="remove() in teardown_appcontext",
    category=Category.LEAK,
)
