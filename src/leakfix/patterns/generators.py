"""Generators of the project that yield what they opened, and loops that leave them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from leakfix.languages.python.modules import FunctionInfo, Scoped, own_nodes
from leakfix.patterns.view import View
from leakfix.resources import Resource


def acquired_in(view: View, call: ast.Call, function: FunctionInfo | None) -> Resource | None:
    """The resource that the generator function a call names acquires and yields."""
    for name in view.of(call.func, function):
        found = view.names.function(name)
        if found is None or view.names.scope(found[1], found[0]):
            continue
        nodes = own_nodes(found[1].node)
        if not any(isinstance(node, ast.Yield) for node in nodes):
            continue
        for node in nodes:
            if isinstance(node, ast.Call):
                resource = view.acquired(found[0], found[1], node)
                if resource is not None:
                    return resource
    return None


def leaves_early(loop: ast.For | ast.AsyncFor) -> ast.stmt | None:
    """The statement by which a loop's body leaves it before the end."""
    for node in _within(loop.body, inner=False):
        return node
    return None


def _within(body: list[ast.stmt], inner: bool) -> Iterator[ast.stmt]:
    """The leaving statements of a suite; ``break`` in an inner loop leaves only that."""
    for statement in body:
        if isinstance(statement, ast.Return | ast.Raise) or (isinstance(statement, ast.Break) and not inner):
            yield statement
        if isinstance(statement, Scoped):
            continue
        deeper = inner or isinstance(statement, ast.For | ast.AsyncFor | ast.While)
        for part in ("body", "orelse", "finalbody"):
            yield from _within(getattr(statement, part, []), deeper)
        for handler in getattr(statement, "handlers", []):
            yield from _within(handler.body, deeper)
        for case in getattr(statement, "cases", []):
            yield from _within(case.body, deeper)
