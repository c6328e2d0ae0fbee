"""Rows kept for as long as the process runs: a queryset at module level that is evaluated.

What leaks
----------
``ALL = list(Model.objects.all())`` or a comprehension over a queryset where a module or class is defined; and a
queryset kept there (or on an object made there) that functions go through, measure or test.

Why it hurts
------------
A queryset keeps the rows it fetched ("QuerySets and caching", Django's documentation). One that lives as long as the
process keeps them all, and never sees a row that is added, changed or deleted later. Rows fetched by an import also
need the database when the module is loaded: ``migrate`` on an empty one fails.

How it is repaired
------------------
Where it is used, the queryset is asked again: ``ACTIVE.all()``, and ``for row in ACTIVE.iterator(chunk_size=2000):``
where a loop only works on its row, which keeps none. Every use then sees the rows as they are, which is why it is
offered for review. Lists made by an import are for you to put into a function. No repair where a loop sets something on
its rows that it does not save, or where they come in any order.

When it is left alone
---------------------
Querysets that are only refined, counted or sliced, which fills no cache; ``queryset =`` of views and forms, which
take copies; names that are set again; scripts that set Django up themselves, commands and migrations, whose process
ends; querysets over tables that are not called like what grows with use (states, kinds, roles, settings); the
different values of a column. Those never see a new row either, but memory does not grow with them.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from leakfix.codemod import Fix, Match, PatternCodemod, Refusal, Safety, Step, View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo, local_bindings
from leakfix.languages.python.names import Place
from leakfix.patterns.caches import parameters
from leakfix.patterns.tables import says_large
from leakfix.project.kinds import is_run_once, is_test
from leakfix.project.requirements import only_before
from leakfix_codemods.django._loops import bound_names, ends_reading, why_not_plain
from leakfix_codemods.django._orm import is_of_django, nodes_of
from leakfix_codemods.django._querysets import links, manager_of, prefetches
from leakfix_codemods.django._text import MANAGED, may_be_kept

CHUNK = 2000

_LISTS = frozenset("list set tuple dict sorted frozenset".split())
_FILLS = frozenset({*_LISTS, *"len sum bool max min any all enumerate zip map filter iter".split()})
_SCRIPT = re.compile(rb"\A#!|\bsys\.argv\b|django\.setup\(\)|call_command\(|if __name__ == ['\"]__main__['\"]")
_NOT_A_MODULE = re.compile(r"(?:^|/)migrations/")


@dataclass(frozen=True)
class Kept:
    """A queryset that lives as long as the process: its name, its owner where it is an attribute, and its chain."""

    name: str
    owner: ClassInfo | None
    chain: ast.expr
    statement: ast.stmt


def find(view: View) -> Iterator[Match]:
    """Querysets evaluated once for the whole process."""
    path = view.module.path
    if is_test(path) or is_run_once(path) or _NOT_A_MODULE.search(path) or _SCRIPT.search(view.module.source.data):
        return
    for statement in view.tree.body:
        yield from _at_import(view, statement)
    for kept in _kept(view):
        uses = [] if _is_of_few(kept.chain) else list(_evaluating(view, kept))
        if uses:
            yield Match(
                kept.chain,
                "the rows are kept for as long as the process runs, and never looked up again",
                partial(repair, view, kept, uses),
                held="forever",
                steps=tuple(Step(use.lineno, "fills its cache, or is served from it") for use in uses),
            )


# -- evaluated by the import itself ------------------------------------------------------------------------------------


def _at_import(view: View, statement: ast.stmt) -> Iterator[Match]:
    if isinstance(statement, ast.ClassDef | ast.Try | ast.If):
        for inner in statement.body:
            yield from _at_import(view, inner)
    elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        for node in nodes_of([ast.Expr(statement.value)]):
            source = _evaluated(view, node)
            if source is not None and not _is_of_few(source):
                assert isinstance(node, ast.expr)
                yield Match(
                    node,
                    "the rows are fetched when the module is imported, and kept for as long as the process runs",
                    lambda: Refusal("make it a function that asks when it is called (fields take one as choices)"),
                    held="forever",
                )
                return


def _evaluated(view: View, node: ast.AST) -> ast.expr | None:
    match node:
        case ast.Call(func=ast.Name(id=word), args=[source, *_]) if word in _LISTS and _is_queryset(view, source):
            return source
        case (
            ast.ListComp(generators=[first, *_])
            | ast.SetComp(generators=[first, *_])
            | ast.DictComp(generators=[first, *_])
        ) if _is_queryset(view, first.iter):
            return first.iter
    return None


def _is_queryset(view: View, node: ast.expr, function: FunctionInfo | None = None) -> bool:
    while isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        node = node.value
    manager = manager_of(node) if links(node) else None
    return manager is not None and is_of_django(view.names, Place(view.module, function), manager)


# -- evaluated by the functions that use it ----------------------------------------------------------------------------


def _kept(view: View) -> Iterator[Kept]:
    for statement in view.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_queryset(view, value):
                if len(view.module.names.get(name, ())) == 1:
                    yield Kept(name, None, value, statement)
    for info in view.module.classes.values():
        for statement in info.node.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_queryset(view, value):
                    yield Kept(name, info, value, statement)
        start = info.methods.get("__init__")
        for node in view.own(start) if start is not None else ():
            match node:
                case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value):
                    if start is not None and _is_queryset(view, value, start) and not _varies(value, start):
                        kept = Kept(name, info, value, node)
                        if any(_evaluating(view, kept)) and _is_made_at_import(view, info):
                            yield kept


def _is_of_few(chain: ast.expr) -> bool:
    """Whether nothing says that the table grows, or only different values of it are kept: for ever, but few."""
    manager = manager_of(chain)
    model = manager.value if manager is not None else None
    table = str(getattr(model, "attr", getattr(model, "id", "")))
    distinct = any(isinstance(call.func, ast.Attribute) and call.func.attr == "distinct" for call in links(chain))
    return distinct or not says_large(table)


def _varies(value: ast.expr, function: FunctionInfo) -> bool:
    given = {argument.arg for argument in parameters(function)}
    return any(isinstance(node, ast.Name) and node.id in given for node in ast.walk(value))


def _is_made_at_import(view: View, info: ClassInfo) -> bool:
    """Whether a module keeps an object of the class."""
    name = re.escape(info.node.name)
    made = re.compile(rf"^\w+[ \t]*(?::[^=\n]+)?=[ \t]*(?:\w+\.)*{name}\(".encode(), re.MULTILINE)
    return any(made.search(text) for text in (view.module.source.data, *view.texts(info.node.name)))


def _evaluating(view: View, kept: Kept) -> Iterator[ast.expr]:
    """Where functions of the file go through a kept queryset; nothing where it is ever set to something else."""
    found: list[ast.expr] = []
    functions = [function for function in view.functions if view.may_name(function, (kept.name,))]
    for function in functions:
        for node in view.own(function):
            if not _refers(node, kept, function):
                continue
            assert isinstance(node, ast.expr)
            if not isinstance(getattr(node, "ctx", None), ast.Load):
                if view.statement_of(node) is not kept.statement:
                    return
            elif _fills(view, node):
                found.append(node)
    for function in functions:
        for node in view.own(function):
            if isinstance(node, ast.Global | ast.Nonlocal) and kept.owner is None and kept.name in node.names:
                return
    yield from found


def _refers(node: ast.AST, kept: Kept, function: FunctionInfo) -> bool:
    match node:
        case ast.Name(id=name):
            return kept.owner is None and name == kept.name and not _is_local(name, function)
        case ast.Attribute(value=ast.Name(id=base), attr=name) if kept.owner is not None and name == kept.name:
            owner = function.owner
            return base == kept.owner.node.name or (base in ("self", "cls") and owner is kept.owner)
    return False


def _is_local(name: str, function: FunctionInfo | None) -> bool:
    while function is not None:
        if name in local_bindings(function.node) or any(item.arg == name for item in parameters(function)):
            return True
        function = function.parent
    return False


def _fills(view: View, node: ast.expr) -> bool:
    """Whether a use fetches all rows and keeps them in the queryset."""
    parent = view.parents[node]
    match parent:
        case ast.For(iter=source) | ast.comprehension(iter=source, is_async=0) if source is node:
            return True
        case ast.Call(func=ast.Name(id=word), args=given) if node in given:
            return word in _FILLS
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if test is node:
            return True
        case ast.UnaryOp(op=ast.Not()) | ast.BoolOp() | ast.Starred():
            return True
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[source]) if source is node:
            return True
    return False


def repair(view: View, kept: Kept, uses: list[ast.expr]) -> Fix | Refusal:
    """Ask again at every use; loops get their rows in chunks, where nothing in them may change those to come."""
    if any(_sets_on_rows(view.statement_of(use)) for use in uses):
        return Refusal("a loop sets something on its rows, which those that are asked for again do not have")
    if any(isinstance(item, ast.Constant) and item.value == "?" for call in links(kept.chain) for item in call.args):
        return Refusal("the rows come in another order each time they are asked for")
    layout = view.layout()
    for use in uses:
        layout.insert(layout.span(use).end, f".iterator(chunk_size={CHUNK})" if _streams(view, kept, use) else ".all()")
    check = "that every use may see the rows as they are by then, at the price of a query"
    return Fix("ask the database at every use", Safety.REVIEW, tuple(layout.edits), check)


def _sets_on_rows(loop: ast.stmt) -> bool:
    """Whether a loop sets an attribute of its row, and does not save it."""
    rows = bound_names(loop.target) if isinstance(loop, ast.For) else set()
    of_rows = [
        node
        for statement in (loop.body if isinstance(loop, ast.For) else ())
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in rows
    ]
    return any(isinstance(node.ctx, ast.Store) for node in of_rows) and all(node.attr != "save" for node in of_rows)


def _streams(view: View, kept: Kept, use: ast.expr) -> bool:
    """Whether a use is a loop that only works on the row it is at."""
    loop, function = view.parents[use], view.function_of(use)
    if only_before(view.module.path, "django 2.0") or prefetches(kept.chain) or function is None:
        return False
    body: list[ast.stmt] = []
    match loop, view.parents[loop]:
        case ast.For(body=statements), _:
            body = statements
        case ast.comprehension(), ast.GeneratorExp(elt=element, generators=[_]):
            body = [ast.Expr(element)]
        case _:
            return False
    ended = ends_reading(view, function, body)
    return not ended and not why_not_plain(view, function, kept.chain, body, bound_names(loop.target))


CODEMOD = PatternCodemod(
    find=find,
    words=MANAGED,
    shape=may_be_kept,
    noun="queryset",
    repairs="ask again at each use: QUERYSET.all(), .iterator(chunk_size=2000)",
)
