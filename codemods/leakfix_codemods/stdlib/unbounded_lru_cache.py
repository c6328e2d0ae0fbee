"""A ``functools`` cache without a bound on a function whose arguments never repeat for good.

What leaks
----------
``@lru_cache(maxsize=None)`` and ``@cache`` keep an entry for every combination of arguments ever seen. It is
reported where a parameter's name or type tells of an open domain: ids, texts, addresses, dates; of a method where the
object is made once, when its module is imported.

Why it hurts
------------
Nothing ever leaves such a cache. Memory grows with the number of different users, pages or days, not with the
load, so it looks like a slow leak in a service that runs for weeks.

How it is repaired
------------------
The cache gets a bound, ``maxsize=4096``: the least recently used entries go, and are computed again when they are
asked for. Offered for review, because how many entries are needed is for the project to say, and because a
function that is used to make the one object of its kind would make a second one.

When it is left alone
---------------------
No arguments, or only those of a closed domain (enumerations, flags, kinds, languages, files of the program); a
function that calls itself, whose cache is its algorithm; a cache that something clears; tests, commands, migrations
and scripts, which end; a function that all of the project calls with constants or without arguments; clients and
connections, of which there is one for each server; processes that are replaced after some thousand requests, where
the project's files say so (``--max-requests``).
"""

import ast
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Match, PatternCodemod, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.patterns.caches import (
    MOST_ENTRIES,
    bound,
    calls_itself,
    compiles_patterns,
    grows,
    is_cleared,
    is_made_at_import,
    is_met_by_many,
    keeps_self,
    may_be_unbounded,
    parameters,
    unbounded_caches,
)
from leakfix.patterns.called import SERVES, serves_what_ends
from leakfix.project.kinds import is_run_once
from leakfix_codemods._recycled import RECYCLING, is_recycled

CHECK = "that 4,096 entries are enough, that a value computed again is the same, and that nobody changes what it gave"


def find(view: View) -> Iterator[Match]:
    """Unbounded caches on functions with a parameter of an open domain."""
    reported = set()
    for found in () if is_run_once(view.module.path) else unbounded_caches(view):
        function = found.function
        if function.parent is not None or calls_itself(function):
            continue
        if keeps_self(function) and not (function.owner and is_made_at_import(view, function.owner.node.name)):
            continue  # what it keeps are objects, which is another rule's
        if compiles_patterns(view, function) or _makes_classes(function):
            continue
        keys = [argument.arg for argument in parameters(function) if grows(view, function, argument)]
        if found.made in reported or not keys or is_cleared(view, function):
            continue
        if is_met_by_many(view, function, keys) and not (is_recycled(view) or serves_what_ends(view)):
            reported.add(found.made)
            message = f"cache of {function.node.name}() keeps an entry for every {keys[0]} there ever was"
            yield Match(
                found.made,
                message,
                partial(bound, view, found, MOST_ENTRIES, CHECK),
                held="forever",
                identity=function.qualname,
            )


def _makes_classes(function: FunctionInfo) -> bool:
    """Whether what is kept are classes, by its annotation: each must be made once."""
    returned = function.node.returns
    made = returned.value if isinstance(returned, ast.Subscript) else returned
    return isinstance(made, ast.Name) and made.id in ("type", "Type")


CODEMOD = PatternCodemod(
    find=find,
    imports=("functools",),
    shape=may_be_unbounded,
    noun="cache",
    asks=("cache_clear", *RECYCLING, *SERVES),
    repairs="lru_cache(maxsize=4096)",
)
