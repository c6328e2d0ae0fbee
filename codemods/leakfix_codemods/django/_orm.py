"""Where a function asks the database through Django, itself or in what it calls, and where it closes connections."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

from leakfix.languages.python.modules import FunctionInfo, Module, Scoped, own_nodes
from leakfix.languages.python.names import Names, Place
from leakfix_codemods.django._dispatch import looked_up
from leakfix_codemods.django._querysets import manager_of

DJANGO = ("django.", "wagtail.", "mptt.", "polymorphic.", "model_utils.", "treebeard.", "netbox.", "modelcluster.")
_ASKS = re.compile(
    r"django\.db\.connections?(\[\])?\.(?:cursor|chunked_cursor)|django\.db\.transaction\.atomic|"
    r"django\.shortcuts\.get_(?:object_or_404|list_or_404)"
)
_OF_A_ROW = frozenset({"save", "delete", "refresh_from_db"})
_CLOSES = frozenset({"close_old_connections", "close_all", "close_if_unusable_or_obsolete", "close_connection"})
_DEPTH = 3


def is_of_django(names: Names, place: Place, manager: ast.Attribute) -> bool:
    """Whether a ``Model.objects`` is one of Django's, not of another mapper that calls it so."""
    found = names.of(manager.value, place)
    for name in found:
        model = names.class_(name)
        if model is not None:
            return _is_model(names, *model)
    data = place.module.source.data
    return any(name.startswith(DJANGO) for name in found) or (b"django" in data and b"mongoengine" not in data)


def _is_model(names: Names, module: Module, info: object) -> bool:
    bases = names.outside_bases(module, info)  # type: ignore[arg-type]
    return any(base.startswith(DJANGO) for base in bases)


def asks(names: Names, place: Place, node: ast.AST) -> bool:
    """Whether an expression is itself a query: on a manager, on a row, on a cursor of Django's."""
    if not isinstance(node, ast.Call):
        return False
    manager = manager_of(node)
    if manager is not None and manager is not node.func:
        return is_of_django(names, place, manager)
    if isinstance(node.func, ast.Attribute) and node.func.attr in _OF_A_ROW:
        for name in names.of(node.func.value, place):
            model = names.class_(name.removesuffix("()")) if name.endswith("()") else None
            if model is not None and _is_model(names, *model):
                return True
    return any(_ASKS.fullmatch(name) for name in names.of(node.func, place))


def first_query(
    names: Names, place: Place, body: list[ast.stmt], depth: int = _DEPTH, handed_back: Collection[int] = ()
) -> ast.expr | None:
    """The first expression in statements of a function that asks the database, or calls what does.

    handed_back: the ``id`` of nodes that others evaluate.
    """
    for node in nodes_of(body):
        if id(node) not in handed_back and asks(names, place, node):
            assert isinstance(node, ast.expr)
            return node
        if depth and isinstance(node, ast.Call):
            for called in _called(names, place, node):
                assert called.function is not None
                if first_query(names, called, called.function.node.body, depth - 1) is not None:
                    return node
    return None


def closes(names: Names, place: Place, depth: int = _DEPTH) -> bool:
    """Whether a function, or anything it calls, closes connections."""
    assert place.function is not None
    for node in nodes_of([*place.function.node.body, *map(ast.Expr, place.function.node.decorator_list)]):
        word = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        if word in _CLOSES or (word == "close" and re.search("connection|conn|db", ast.unparse(node))):
            return True
        if isinstance(node, ast.For) and _closes_each(names, place, node):
            return True
        if depth and isinstance(node, ast.Call | ast.Name | ast.Attribute):
            if any(closes(names, called, depth - 1) for called in _called(names, place, node)):
                return True
    return False


def _closes_each(names: Names, place: Place, loop: ast.For) -> bool:
    """Whether a loop closes all connections: ``for each in connections.all(): each.close()``."""
    source = loop.iter.func if isinstance(loop.iter, ast.Call) else loop.iter
    if not any(name.startswith("django.db.connections") for name in names.of(source, place)):
        return False
    return any(isinstance(node, ast.Attribute) and node.attr == "close" for node in nodes_of(loop.body))


def _called(names: Names, place: Place, node: ast.expr) -> Iterator[Place]:
    """The project's functions that a call, or a decorator without one, runs."""
    for name in names.of(node.func if isinstance(node, ast.Call) else node, place):
        found = names.function(name)
        if found is not None and found[1] is not place.function and isinstance(found[1].node, ast.FunctionDef):
            yield Place(*found)
    if isinstance(node, ast.Call):
        yield from looked_up(names, place, node)


def nodes_of(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of statements in the order of the source, without what is nested in functions and classes."""
    for statement in body:
        yield statement
        if not isinstance(statement, Scoped):
            yield from own_nodes(statement)


def is_generator(function: FunctionInfo) -> bool:
    """Whether calling a function runs nothing of it yet."""
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function.node))
