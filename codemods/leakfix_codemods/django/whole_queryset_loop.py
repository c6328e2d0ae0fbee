"""A loop over all rows of a table: the queryset keeps every one of them until the loop is over.

What leaks
----------
Iterating a queryset fills its result cache first: all rows are fetched and turned into objects before the loop sees
one. It is reported in management commands, tasks, functions that these call, data migrations, exports and streamed
answers, for ``for row in Model.objects.all()``, ``list(queryset)``, comprehensions and ``values_list`` alike, where the
queryset has no condition or only fixed ones.

Why it hurts
------------
Memory follows the size of the table. What ran in 100 MB on the developer's machine takes gigabytes a year later,
and the worker is killed half-way through.

How it is repaired
------------------
``.iterator(chunk_size=2000)`` is added: rows come in chunks, from a server-side cursor where the database has one
(Django's documentation, ``QuerySet.iterator``). The order and the rows are the same. A progress bar (tqdm, rich) is
told how many there are, ``total=....count()``. Where the loop writes rows, or hands them to code that may, the repair
is offered for review: SQLite shows a running query what is written meanwhile.

When it is left alone
---------------------
The queryset is used again (a second loop, ``len``, an index, a truth test): its cache serves those. Slices, lookups by
key, conditions on a variable, on a part of a text, on what came lately (``created__gte``), on what waits to be done, on
a rare flag, on a relation to another row of the same table or on something counted for each row, which mostly select
few rows. So does one text or state (``status="refunded"``), unless new rows begin with it, or the project writes that
table's rows in masses, or they belong to users who sign up by themselves. Tables of which nothing says that they grow
with use (roles, settings, templates, kinds of pages); users where nobody signs up by himself; products, pictures,
articles that neither belong to users nor are written or read in masses anywhere in the project; tables that only
Django's administration pages fill, or that nothing in a web project fills. Rows that the loop puts into a list,
themselves, as a dict of their values, in objects that refer to them or are made of many of their values; lists of new
objects or of values, one for each row, that are kept or written at once after the loop. Functions that nothing in a web
project calls, whose comment says that they are unused or that only take a migration back; loops in the migrations of a
whole web project, unless their rows weigh much: what they refer to is fetched and stays on them, they have several long
texts or documents, or the loop says how far it is; migrations written within nine months of the table they go through,
or of the project's first; commands and migrations that import from the project what is not there. Folders of old
copies, commands and functions for a developer's database (fake, sample, anonymize). ``prefetch_related`` before Django
4.1, which ``iterator`` ignores there, and loops that close the connection.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Fix, Match, PatternCodemod, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.names import Place
from leakfix.languages.python.syntax import name_of
from leakfix.patterns import many
from leakfix.patterns.batches import is_batch
from leakfix.patterns.called import is_called
from leakfix.patterns.many import has_long_history
from leakfix.project.kinds import is_migration_file, is_test
from leakfix.project.requirements import only_before
from leakfix_codemods._items import add_items
from leakfix_codemods.django._feeds import Feed, feeds, shown_by
from leakfix_codemods.django._loops import ends_reading, why_not_plain
from leakfix_codemods.django._managers import answering_otherwise
from leakfix_codemods.django._outdated import is_broken, is_outdated, only_takes_back
from leakfix_codemods.django._querysets import is_indexed, links, manager_of, ordering_of, prefetches, sets_one_of
from leakfix_codemods.django._text import MANAGED, RUN_BY, called_by_commands, may_loop, may_loop_over_many
from leakfix_codemods.django._weight import weighs_much

CHUNK = 2000
_DEEPEST = 2
_RANGES = frozenset({"gt", "gte", "lt", "lte", "range", "in", "isnull", "startswith"})


def find(view: View) -> Iterator[Match]:
    """Loops over whole querysets in functions that are made for many rows."""
    for function in view.functions:
        batch = is_batch(view, function) or _is_called_by_batch(view, function)
        goes_through = batch or isinstance(function.node, ast.AsyncFunctionDef)
        if not goes_through or only_takes_back(view, function):
            continue
        for feed in feeds(view, function):
            runs = is_called(view, function) and not is_outdated(view) and not is_broken(view)
            if (
                (batch or feed.is_async)
                and runs
                and _is_reached(view, feed.queryset)
                and _is_worth(view, function, feed)
            ):
                yield Match(
                    feed.queryset,
                    "all rows of the table are kept in memory until the loop is over",
                    partial(repair, view, function, feed),
                    held="until-unreferenced",
                )


def _is_worth(view: View, function: FunctionInfo, feed: Feed) -> bool:
    """Whether a loop is worth a word; one in a migration, which is run once, is where its rows weigh much.

    How many rows there were on that day is known to people only.
    """
    of_long_ago = is_migration_file(view.module.path) and has_long_history(view)
    return not of_long_ago or weighs_much(view, function, feed)


def _is_called_by_batch(view: View, function: FunctionInfo) -> bool:
    """Whether a command or a task calls a function of another file, in so many words."""
    name = function.node.name
    if function.owner is not None or function.parent is not None or is_test(view.module.path):
        return False
    if name.encode() not in called_by_commands(view.text):
        return False
    called = re.compile(rb"\b" + name.encode() + rb"\(")
    for word in RUN_BY:
        for module in view.others(word, lambda text: called.search(text) is not None):
            other = view.elsewhere(module)
            for call in other.calls:
                caller = other.function_of(call)
                if (
                    name_of(call) == name
                    and is_batch(other, caller)
                    and view.symbol(function) in other.of(call.func, caller)
                ):
                    return True
    return False


def _is_reached(view: View, node: ast.AST) -> bool:
    """Whether nothing before a place, in the suites it stands in, leaves the function at once."""
    at: ast.AST = view.statement_of(node)
    while not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
        above = view.parents[at]
        for suite in (getattr(above, part, ()) for part in ("body", "orelse", "finalbody")):
            if isinstance(suite, list) and at in suite:
                if any(isinstance(item, ast.Return | ast.Raise) for item in suite[: suite.index(at)]):
                    return False
        at = above
    return True


def repair(view: View, function: FunctionInfo, feed: Feed) -> Fix | Refusal:
    """Let the rows come in chunks."""
    if prefetches(feed.chain) and only_before(view.module.path, "django 4.1"):
        return Refusal("iterator() ignores prefetch_related before Django 4.1")
    reader = feed.reader or function
    otherwise = answering_otherwise(view, function, feed.chain)
    if otherwise:
        return Refusal(f"{otherwise} of the project stands between, and iterator() may not go through it")
    ended = ends_reading(view, reader, feed.body)
    if ended:
        return Refusal(f"the loop {ended} the rows would come from")
    if _gives_keys(feed):
        return Refusal("the loop gives rows other keys, and could meet them again under those")
    if _moves_rows(view, function, feed):
        return Refusal("the loop writes what the rows are ordered or found by, and could meet them again further on")
    if _adds_rows(view, reader, feed):
        return Refusal("the loop adds rows to the table, and a database that reads as it goes could meet them too")
    if feed.is_async and only_before(view.module.path, "django 4.1"):
        return Refusal("aiterator() came with Django 4.1")
    if feed.is_async and prefetches(feed.chain) and only_before(view.module.path, "django 5.0"):
        return Refusal("aiterator() ignores prefetch_related before Django 5.0")
    layout = view.layout()
    method = "aiterator" if feed.is_async else "iterator"
    size = "" if only_before(view.module.path, "django 2.0") else f"chunk_size={CHUNK}"
    layout.insert(layout.span(feed.at).end, f".{method}({size})")
    shown = shown_by(view, reader, feed.listed or feed.at)
    if shown is not None:
        add_items(layout, shown, [f"total={layout.text(feed.at)}.count()"])
    if feed.listed is not None:
        if not layout.unwrap(feed.listed, feed.at):
            return Refusal("a comment stands between list() and the queryset")
    doubt = why_not_plain(view, reader, feed.chain, feed.body, feed.variables)
    doubt = doubt or _consumer(view, feed)
    if feed.listed is not None:
        doubt = doubt or "list() may have been written to take the rows before anything changes"
    check = f"{doubt}: rows that are written, or transactions that end, while others are still to come" if doubt else ""
    if not doubt and prefetches(feed.chain) and _marks_related(feed):
        doubt = check = "rows share what was prefetched only within a chunk, and the loop sets something on it"
    return Fix("fetch the rows in chunks", Safety.REVIEW if doubt else Safety.SAFE, tuple(layout.edits), check)


def _moves_rows(view: View, function: FunctionInfo, feed: Feed) -> bool:
    """Whether a loop writes a field of its row by which the rows come in order, or are found further on.

    SQLite goes through the rows by an index on such a field where there is one, and meets a row again that was moved.
    """
    manager = manager_of(feed.chain)
    found = [view.names.class_(name) for name in view.of(manager.value, function)] if manager is not None else []
    models = [each[1].node for each in found if each is not None]
    ranged = {field for field in _ranged(feed.chain) if any(is_indexed(model, field) for model in models)}
    moving = {*_ordered_by(feed, models), *ranged}
    return bool(moving) and not moving.isdisjoint(_written(view, function, feed, moving))


def _ordered_by(feed: Feed, models: list[ast.ClassDef]) -> Iterator[str]:
    named = [call for call in links(feed.chain) if getattr(call.func, "attr", "") == "order_by"]
    given = [item for call in named for item in call.args]
    if not named:
        given = [item for model in models for item in ordering_of(model)]
    yield from (str(item.value).lstrip("-") for item in given if isinstance(item, ast.Constant))


def _ranged(chain: ast.expr) -> Iterator[str]:
    """The fields that a chain wants below, above or among some values."""
    for call in links(chain):
        for word in (item for node in [*call.args, *call.keywords] for item in ast.walk(node)):
            if isinstance(word, ast.keyword) and word.arg is not None:
                field, _, lookup = word.arg.partition("__")
                if lookup in _RANGES:
                    yield field


def _written(view: View, function: FunctionInfo, feed: Feed, fields: set[str]) -> set[str]:
    """Which of some fields a loop sets on its row, or by a query, itself or in what it calls with or on the row."""
    reader = feed.reader or function
    own = [node for statement in feed.body for node in ast.walk(statement)]
    found = {
        node.attr
        for node in own
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if isinstance(node.value, ast.Name) and node.value.id in feed.variables
    }
    for node in _reached(view, Place(view.module, reader), feed.body, _DEEPEST):
        match node:
            case ast.Call(func=ast.Attribute(attr="update"), keywords=words):
                found.update(word.arg for word in words if word.arg is not None)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if name in feed.variables:
                found.update({field for field in fields if sets_one_of(view, function, feed.chain, method, {field})})
            case ast.Attribute(attr=field, ctx=ast.Store()) if node not in own:
                found.add(field)
    return found & fields


def _gives_keys(feed: Feed) -> bool:
    """Whether a loop writes a row under another primary key."""
    for statement in feed.body:
        for node in ast.walk(statement):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr="id" | "pk", ctx=ast.Store()) if (
                    name in feed.variables
                ):
                    return True
    return False


_READING = frozenset("sum any all min max len sorted join write writelines writerows dict set tuple Counter".split())


def _consumer(view: View, feed: Feed) -> str:
    """What goes through a generator over the rows, where that may write."""
    at: ast.AST | None = feed.queryset
    while isinstance(at, ast.expr | ast.comprehension) and not isinstance(at, ast.GeneratorExp):
        at = view.parents.get(at)
    call = view.parents.get(at) if isinstance(at, ast.GeneratorExp) else None
    if isinstance(at, ast.GeneratorExp) and not isinstance(call, ast.Call):
        return "what is done between two rows is up to whoever takes them"
    if isinstance(call, ast.Call) and name_of(call) not in _READING:
        return f"{name_of(call)}() goes through them"
    return ""


def _adds_rows(view: View, function: FunctionInfo, feed: Feed) -> bool:
    """Whether a loop, or a function of the project that it calls, makes rows of the model it goes through."""
    manager = manager_of(feed.chain)
    model = ast.unparse(manager.value) if manager is not None else ""
    for node in _reached(view, Place(view.module, function), feed.body, _DEEPEST):
        match node:
            case ast.Call(func=ast.Name() | ast.Attribute() as made) if ast.unparse(made) == model:
                return True
            case ast.Call(func=ast.Attribute(attr=word, value=ast.Attribute(value=owner))) if (
                word.endswith("create") and ast.unparse(owner) == model
            ):
                return True
    return False


def _reached(view: View, place: Place, body: list[ast.stmt], depth: int) -> Iterator[ast.AST]:
    """The nodes of statements, and of the functions of the project that they call."""
    for node in (node for statement in body for node in ast.walk(statement)):
        yield node
        for name in view.names.of(node.func, place) if isinstance(node, ast.Call) and depth else ():
            found = view.names.function(name)
            if found is not None and found[1] is not place.function:
                yield from _reached(view, Place(*found), found[1].node.body, depth - 1)


def _marks_related(feed: Feed) -> bool:
    """Whether a loop sets an attribute of what a row refers to."""
    for statement in feed.body:
        for node in ast.walk(statement):
            match node:
                case ast.Attribute(value=ast.Attribute(value=ast.Name(id=name)), ctx=ast.Store()) if (
                    name in feed.variables
                ):
                    return True
    return False


CODEMOD = PatternCodemod(
    find=find,
    words=MANAGED,
    shape=may_loop,
    worth=may_loop_over_many,
    noun="queryset",
    asks=(*many.WORDS, *RUN_BY),
    repairs=".iterator(chunk_size=2000)",
)
