"""A loop over a queryset that asks the database again for every row: its body follows a relation.

What leaks
----------
``for book in Book.objects.all(): book.author.name`` runs one query for the books and one more for each author.
Nothing stays open, but the connection is held for as long as all of them take.

Why it hurts
------------
A page of a hundred rows makes a hundred and one round trips. The connection is busy that long, so a pool or a
server's limit is reached with few users, and it gets worse as the table grows.

How it is repaired
------------------
``.select_related("author")`` for relations to one object, which joins its table; an optional one by an outer join,
so that the rows stay the same. ``.prefetch_related("tags")`` for ``row.tags.all()``, which takes one more query for
all rows. For review: more is fetched than before, which is lost where the loop seldom gets to it.

When it is left alone
---------------------
Models that are not the project's own, or whose manager may load relations itself; foreign keys that the database does
not check (``db_constraint=False``), whose rows a join may lose. Chains that say what to load (``select_related``,
``prefetch_related``, ``only``, ``defer``, ``values``), lock rows (``select_for_update`` refuses the outer join on
PostgreSQL), or take one row. Relations the loop sets, related rows that are filtered, counted or sliced, what stands
in functions, failures and ``raise``, and loops that may end early: a search. ``prefetch_related`` with
``iterator()``, which needs a ``chunk_size``. Tests and data migrations.
"""

import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.project.kinds import is_test
from leakfix_codemods._bodies import writes
from leakfix_codemods._items import add_link, quote_of
from leakfix_codemods.django._relations import Rows, followed, loops

MIGRATION = re.compile(r"(?:^|/)migrations/")
CHECK = "that most rounds of the loop get to what is fetched with the rows"


def find(view: View) -> Iterator[Match]:
    """Loops whose body follows relations of the row."""
    if is_test(view.module.path) or MIGRATION.search(view.module.path):
        return
    for function in view.functions:
        for rows in loops(view, function):
            ones, manies = followed(view, rows)
            manies = [] if rows.iterates else manies
            if ones or manies:
                names = ", ".join(f"{rows.row}.{name.replace('__', '.')}" for name in [*ones, *manies])
                yield Match(
                    rows.source,
                    f"{names} is fetched by a query of its own for every row",
                    partial(repair, view, function, rows, ones, manies),
                    severity=Severity.NOTE,
                    identity=f"{rows.position} {names}",
                )


def repair(view: View, function: FunctionInfo, rows: Rows, ones: list[str], manies: list[str]) -> Fix:
    """Fetch the related objects with the rows."""
    written = writes(view, function, rows.body)
    check = f"{CHECK}; and that {written}(), which the loop runs, writes nothing of it" if written else CHECK
    layout, quote = view.layout(), quote_of(view.module)
    calls = []
    for method, names in (("select_related", ones), ("prefetch_related", manies)):
        if names:
            calls.append(f".{method}({', '.join(f'{quote}{name}{quote}' for name in names)})")
    add_link(layout, rows.at, "".join(calls))
    return Fix(f"add {''.join(calls)[1:]}", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    words=(".objects", "_default_manager"),
    shape=r"\bfor\b",
    noun="queryset",
    repairs=".select_related() or .prefetch_related()",
    category=Category.ADVICE,
)
