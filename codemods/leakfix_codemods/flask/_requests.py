"""Which functions run only while Flask serves a request, through whatever files they are called."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.patterns.requested import is_handler

_DEEPEST = 3
_HOOKS = frozenset({"before_request", "after_request", "before_app_request", "after_app_request"})
_VIEWS = frozenset({"View", "MethodView", "Resource"})
_VERBS = frozenset({"get", "post", "put", "patch", "delete", "dispatch_request"})


def serves_request(view: View, function: FunctionInfo, deepest: int = _DEEPEST) -> bool:
    """Whether a request calls a function, perhaps through others."""
    if _is_called_by_flask(view, function):
        return True
    return deepest > 0 and any(
        caller is not None and serves_request(other, caller, deepest - 1)
        for other, caller, is_call in callers(view, function)
        if is_call
    )


def outside_requests(view: View, function: FunctionInfo, deepest: int = _DEEPEST) -> str:
    """Where a function may run without a request, as ``path:line``; empty where only requests call it."""
    if _is_called_by_flask(view, function):
        return ""
    here = f"{view.module.path}:{function.node.lineno}"
    found = list(callers(view, function))
    if not found or not deepest or function.owner is not None or function.parent is not None:
        return here
    for other, caller, is_call in found:
        if caller is None or not is_call:
            return f"{other.module.path}:{caller.node.lineno if caller is not None else 1}"
        if caller.qualname != function.qualname and (place := outside_requests(other, caller, deepest - 1)):
            return place
    return ""


def callers(view: View, function: FunctionInfo) -> Iterator[tuple[View, FunctionInfo | None, bool]]:
    """The functions, or the outermost parts of files, that name a function, and whether they call it there."""
    word, symbol = function.node.name, view.symbol(function)
    for other in view.mentioning(word):
        for node in other.parents:
            if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
                continue
            if (node.id if isinstance(node, ast.Name) else node.attr) == word:
                caller = other.function_of(node)
                if symbol in other.of(node, caller):
                    above = other.parents[node]
                    yield other, caller, isinstance(above, ast.Call) and above.func is node


def _is_called_by_flask(view: View, function: FunctionInfo) -> bool:
    if b"flask" not in view.module.source.data and b"quart" not in view.module.source.data:
        return False
    if is_handler(view, function):
        return True
    if function.owner is not None and function.node.name in _VERBS:
        bases = (ast.unparse(base).rpartition(".")[2] for base in function.owner.node.bases)
        return any(base in _VIEWS for base in bases)
    decorators = (item.func if isinstance(item, ast.Call) else item for item in function.node.decorator_list)
    return any(isinstance(item, ast.Attribute) and item.attr in _HOOKS for item in decorators)
