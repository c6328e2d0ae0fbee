"""A loop over a query that asks the database again for every row: its body reads a relationship.

What leaks
----------
``for order in session.scalars(select(Order)): order.lines`` runs one query for the orders and one more for the lines
of each; for a relationship to one object, one more for each that the session does not hold yet. Nothing stays open,
but the session's connection is checked out for as long as all of them take.

Why it hurts
------------
A page of a hundred rows makes a hundred and one round trips. A connection that is busy so long is not in the pool,
which is empty with few users, and it gets worse as the table grows.

How it is repaired
------------------
``.options(selectinload(Order.lines))``: one more query for all rows, which leaves the rows of the first as they are,
for relationships to one and to many alike (SQLAlchemy's documentation, "Relationship Loading Techniques"). For
review: more is loaded than before, which is lost where the loop seldom gets to it.

When it is left alone
---------------------
Models that are not the project's own, relationships declared with another ``lazy``, and those only a ``backref`` of
the other side declares. Queries with options of their own, for columns, or for more than one thing. Relationships the
loop sets or adds to, what stands in functions, failures and ``raise``, and loops that may end early: a search.
Asynchronous sessions, where reading one raises ``MissingGreenlet`` at once. Tests and migrations.
"""

import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.project.kinds import is_test
from leakfix.project.requirements import only_before
from leakfix.repairs.python.imports import imported
from leakfix_codemods._bodies import writes
from leakfix_codemods._items import add_link
from leakfix_codemods.sqlalchemy._relations import Rows, followed, loops

MIGRATION = re.compile(r"(?:^|/)(?:migrations?|alembic|versions)/")
CHECK = "that most rounds of the loop get to what is loaded with the rows"


def find(view: View) -> Iterator[Match]:
    """Loops whose body reads relationships of the row."""
    if is_test(view.module.path) or MIGRATION.search(view.module.path):
        return
    for function in view.functions:
        for rows in loops(view, function):
            names = followed(view, rows)
            if names:
                told = ", ".join(f"{rows.row}.{name}" for name in names)
                yield Match(
                    rows.source,
                    f"{told} may take a query of its own for every row",
                    partial(repair, view, function, rows, names),
                    severity=Severity.NOTE,
                    identity=f"{rows.position} {told}",
                )


def repair(view: View, function: FunctionInfo, rows: Rows, names: list[str]) -> Fix | Refusal:
    """Load the related objects of all rows at once."""
    if only_before(view.module.path, "sqlalchemy 1.2"):
        return Refusal("selectinload() came with SQLAlchemy 1.2")
    written = writes(view, function, rows.body)
    check = f"{CHECK}; and that {written}(), which the loop runs, writes nothing of it" if written else CHECK
    layout = view.layout()
    entity = layout.text(rows.entity)
    loader = imported(view.module, layout, "sqlalchemy.orm", "selectinload")
    options = ", ".join(f"{loader}({entity}.{name})" for name in names)
    add_link(layout, rows.at, f".options({options})")
    return Fix(f"add options({options})", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    words=(".query", "select("),
    shape=r"\bfor\b",
    noun="query",
    repairs=".options(selectinload(...))",
    category=Category.ADVICE,
)
