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
    """A function whose answers a decorator keeps, the file it stands in, and the parameter they grow with."""

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
    """The functions a decorator is put on that are sure to be given ever new values."""
    outer = container.holder
    while outer is not None and outer.parent is not None:
        outer = outer.parent
    if outer is None or outer.owner is not None:
        return
    symbol = view.symbol(outer)
    for user in view.mentioning(outer.node.name):
        if is_test(user.module.path) or is_run_once(user.module.path):
            continue
        for function in user.functions:
            if function.parent is None and any(_is_by(user, item, symbol) for item in function.node.decorator_list):
                needed = [a for a in parameters(function) if parameter_parts(function.node, a.arg)[1] is None]
                keys = [argument.arg for argument in needed if grows(user, function, argument)]
                if keys and not calls_itself(function) and is_met_by_many(user, function, keys):
                    if not serves_what_ends(user):
                        yield Remembered(user, function, keys[0])


def _is_by(view: View, decorator: ast.expr, symbol: str) -> bool:
    made = decorator.func if isinstance(decorator, ast.Call) else decorator
    return symbol in view.of(made)
