"""``len()`` of all rows of a table: they are fetched, made into objects, and thrown away.

What leaks
----------
``len(Order.objects.all())`` fills the queryset's result cache ("When QuerySets are evaluated", Django's documentation)
to count what is in it. It is reported where the queryset has no condition or only fixed ones, over tables that are sure
to grow.

Why it hurts
------------
Memory and time follow the size of the table, for a number that the database has.

How it is repaired
------------------
``Order.objects.all().count()``, which asks for the number: ``SELECT COUNT(*)`` over the same query.

When it is left alone
---------------------
A queryset in a variable, whose rows somebody may use afterwards. Conditions on a variable, slices, tables of which
nothing says that they grow, tests. No repair where rows are locked (``select_for_update``), and where a manager or
queryset class of the project answers otherwise.
"""

import ast
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Fix, Match, PatternCodemod, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.patterns import many
from leakfix.patterns.called import is_called
from leakfix.project.kinds import is_copy, is_test
from leakfix_codemods.django._managers import answering_otherwise
from leakfix_codemods.django._querysets import is_large, is_whole, links
from leakfix_codemods.django._text import MANAGED


def find(view: View) -> Iterator[Match]:
    """Tables that are fetched to be counted."""
    if is_test(view.module.path) or is_copy(view.module.path):
        return
    for function in view.functions:
        for node in view.own(function):
            match node:
                case ast.Call(func=ast.Name(id="len") as called, args=[chain], keywords=[]):
                    if is_whole(chain) and view.is_a(called, function, "builtins.len"):
                        if is_large(view, function, chain) and is_called(view, function):
                            yield Match(
                                chain,
                                "all rows of the table are fetched to be counted",
                                partial(repair, view, function, node, chain),
                                held="until-unreferenced",
                            )


def repair(view: View, function: FunctionInfo, call: ast.Call, chain: ast.expr) -> Fix | Refusal:
    """Ask the database for the number."""
    if any(name_of(link) == "select_for_update" for link in links(chain)):
        return Refusal("the rows are locked by fetching them")
    otherwise = answering_otherwise(view, function, chain, "count")
    if otherwise:
        return Refusal(f"{otherwise} of the project stands between, and count() may not go through it")
    layout = view.layout()
    if not layout.unwrap(call, chain):
        return Refusal("a comment stands between len() and the queryset")
    layout.insert(layout.span(chain).end, ".count()")
    return Fix("count the rows in the database", Safety.SAFE, tuple(layout.edits))


CODEMOD = PatternCodemod(
    find=find,
    words=MANAGED,
    shape=r"\blen\(\s*(?:[\w.]+|\w+\.get_model\([^()]*\))\.(?:objects|_default_manager)\b",
    noun="queryset",
    asks=many.WORDS,
    repairs=".count()",
)
