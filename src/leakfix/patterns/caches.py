"""Caches made by ``functools``: which of them grow without bound, and the bound they get."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.finding import Fix, Safety
from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.patterns.view import View
from leakfix.repairs.python.imports import forget_import, imported

MOST_ENTRIES = 4096
MOST_OBJECTS = 128


@dataclass(frozen=True)
class UnboundedCache:
    """A decorator without a bound, and the function it decorates. size: the constant ``None``, where one is written."""

    decorator: ast.expr
    function: FunctionInfo
    size: ast.expr | None


def unbounded_caches(view: View) -> Iterator[UnboundedCache]:
    """``lru_cache(maxsize=None)`` and ``cache`` on the file's functions."""
    for function in view.functions:
        for decorator in function.node.decorator_list:
            found = _unbounded(view, decorator, function)
            if found is not None:
                yield found


def _unbounded(view: View, decorator: ast.expr, function: FunctionInfo) -> UnboundedCache | None:
    if view.is_a(decorator, function.parent, "functools.cache"):
        return UnboundedCache(decorator, function, None)
    if isinstance(decorator, ast.Call) and view.is_a(decorator.func, function.parent, "functools.lru_cache"):
        sizes = [*decorator.args[:1], *(word.value for word in decorator.keywords if word.arg == "maxsize")]
        if sizes and isinstance(sizes[0], ast.Constant) and sizes[0].value is None:
            return UnboundedCache(decorator, function, sizes[0])
    return None


def parameters(function: FunctionInfo) -> list[ast.arg]:
    """All parameters of a function, in their order."""
    given = function.node.args
    rest = [argument for argument in (given.vararg, given.kwarg) if argument is not None]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *rest]


def keeps_self(function: FunctionInfo) -> bool:
    """Whether a cached function is a method whose entries hold the object."""
    words = {getattr(item, "id", getattr(item, "attr", "")) for item in function.node.decorator_list}
    return function.owner is not None and not words & {"staticmethod", "classmethod"} and bool(parameters(function))


def calls_itself(function: FunctionInfo) -> bool:
    """Whether a function recurses: its cache is its algorithm."""
    name = function.node.name
    return any(
        isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == name
        for node in own_nodes(function.node)
    )


def is_cleared(view: View, function: FunctionInfo) -> bool:
    """Whether anything in the project empties the function's cache."""
    name = function.node.name
    cleared = f"{name}.cache_clear".encode()
    return cleared in view.module.source.data or any(cleared in text for text in view.texts("cache_clear"))


def bound(view: View, found: UnboundedCache, most: int, check: str) -> Fix:
    """The same cache with a bound."""
    layout = view.layout()
    if found.size is not None:
        layout.replace(layout.span(found.size), str(most))
    elif isinstance(found.decorator, ast.Attribute):
        layout.replace(layout.span(found.decorator), f"{layout.text(found.decorator.value)}.lru_cache(maxsize={most})")
    else:
        assert isinstance(found.decorator, ast.Name)
        last = len(view.uses(found.decorator.id, None)) == 1
        spelled = imported(view.module, layout, "functools", "lru_cache")
        layout.replace(layout.span(found.decorator), f"{spelled}(maxsize={most})")
        if last:
            forget_import(view.module, layout, found.decorator.id)
    return Fix(f"keep at most {most:,} entries", Safety.REVIEW, tuple(layout.edits), check)
