"""Decorators of the project that remember: what they are put on, and what of that meets an open domain."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.languages.python.modules import FunctionInfo, parameter_parts
from leakfix.patterns.caches import calls_itself, grows, is_met_by_many, parameters
from leakfix.patterns.called import serves_what_ends
from leakfix.patterns.containers import Container, Fill, bound_to
from leakfix.patterns.view import View
from leakfix.project.kinds import is_run_once, is_test


@dataclass(frozen=True)
class Remembered:
    """A function whose answers a decorator keeps, the file it stands in, and the parameter they grow with, or ""."""

    view: View
    function: FunctionInfo
    key: str


def keeps_answers(fill: Fill) -> bool:
    """Whether an entry is the answer of the decorated function, kept under what that was given."""
    if fill.key is None or fill.value is None:
        return False
    given = {argument.arg for argument in parameters(fill.function)}
    at, decorated = fill.function.parent, set[str]()
    while at is not None:
        decorated |= {argument.arg for argument in parameters(at)} - given
        at = at.parent
    for value in (fill.value, *bound_to(fill, _names_in(fill.value))):
        for node in ast.walk(value):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in decorated:
                if not given.isdisjoint(_names_in(node)):
                    return True
    return False


def _names_in(node: ast.AST) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


def remembered(view: View, container: Container) -> Iterator[Remembered]:
    """The functions a decorator is put on, with the key of those that are sure to be given ever new values."""
    outer = _outermost(container)
    symbol = view.symbol(outer) if outer is not None and outer.owner is None else ""
    for user in view.mentioning(outer.node.name) if outer is not None and symbol else ():
        if is_test(user.module.path) or is_run_once(user.module.path):
            continue
        for function in user.functions:
            if any(_is_by(user, item, symbol) for item in function.node.decorator_list):
                yield Remembered(user, function, _key(user, function))


def is_put_on_by_hand(view: View, container: Container) -> bool:
    """Whether the project calls a decorator where it decorates nothing: on functions that nobody can tell."""
    outer = _outermost(container)
    if outer is None:
        return False
    symbol = view.symbol(outer)
    for user in view.mentioning(outer.node.name):
        decorators = {node for function in user.functions for node in function.node.decorator_list}
        for node in user.parents:
            match node:
                case ast.Call(func=called, args=[_, *_]) if symbol in user.of(called, user.function_of(node)):
                    if node not in decorators:
                        return True
    return False


def _outermost(container: Container) -> FunctionInfo | None:
    outer = container.holder
    while outer is not None and outer.parent is not None:
        outer = outer.parent
    return outer


def _key(view: View, function: FunctionInfo) -> str:
    """The parameter of a function that is sure to be given ever new values; "" where none is."""
    needed = [a for a in parameters(function) if parameter_parts(function.node, a.arg)[1] is None]
    keys = [argument.arg for argument in needed if grows(view, function, argument)]
    if not keys or function.parent is not None or calls_itself(function) or not is_met_by_many(view, function, keys):
        return ""
    return "" if serves_what_ends(view) else keys[0]


def _is_by(view: View, decorator: ast.expr, symbol: str) -> bool:
    made = decorator.func if isinstance(decorator, ast.Call) else decorator
    return symbol in view.of(made)
