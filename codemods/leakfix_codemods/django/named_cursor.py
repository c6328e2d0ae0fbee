"""``connection.cursor(name=...)`` on Django's connection, which has no such argument.

What leaks
----------
Nothing: the call raises ``TypeError`` every time. It is advice found in articles on memory, meant to get a server-side
cursor, which psycopg2's own connections make that way and Django's do not.

Why it hurts
------------
``BaseDatabaseWrapper.cursor()`` takes no arguments (run on Django 5.2): the export, or whatever it stands in, never
worked, or works only where nobody looks.

How it is repaired
------------------
``connection.chunked_cursor()``: a server-side cursor on PostgreSQL, a plain one elsewhere
(``django/db/backends/base/base.py``: "Return a cursor that tries to avoid caching in the database (if supported by
the database), otherwise return a regular cursor"). Offered for review.

When it is left alone
---------------------
Connections that are not Django's, and Django's own underlying connection (``connection.connection``).
"""

import ast
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.source import Span

_CURSORS = (
    "django.db.connection.cursor",
    "django.db.connections[].cursor",
    "django.db.transaction.get_connection().cursor",
)


def find(view: View) -> Iterator[Match]:
    """Cursors of Django's connections that are given a name."""
    for call in view.calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr == "cursor" and (call.args or call.keywords):
            if all(word.arg is not None for word in call.keywords):
                if set(_CURSORS) & set(view.of(call.func, view.function_of(call))):
                    yield Match(
                        call,
                        "a cursor of Django's connection takes no arguments: this raises TypeError",
                        partial(repair, view, call, call.func),
                        severity=Severity.ERROR,
                    )


def repair(view: View, call: ast.Call, method: ast.Attribute) -> Fix | Refusal:
    """Ask for a cursor that reads in chunks."""
    if len(call.args) + len(call.keywords) != 1 or (call.keywords and call.keywords[0].arg != "name"):
        return Refusal("what the other arguments were meant to do is not known")
    layout = view.layout()
    if "#" in layout.text(call):
        return Refusal("a comment stands among the arguments")
    end = layout.span(call).end
    layout.replace(Span(layout.span(method.value).end, end), ".chunked_cursor()")
    check = "that it reads one SELECT to its end: on PostgreSQL it is a server-side cursor, which can do nothing else"
    return Fix("use a chunked cursor", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    imports=("django",),
    shape=r"\.cursor\([ \t\r\n]*[\w'\"]",
    noun="cursor",
    repairs="connection.chunked_cursor()",
    category=Category.LEAK,
)
