"""Which functions FastAPI calls as dependencies, and who else calls them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo

DEPENDS = ("fastapi.Depends", "fastapi.Security", "fastapi.param_functions.Depends", "fastapi.params.Depends")


def names_of(view: View, function: FunctionInfo) -> set[str]:
    """The symbolic names by which a function, or an object that is called like it, can be given as a dependency."""
    if function.owner is not None and function.node.name == "__call__":
        return {f"@{view.module.path}:{function.owner.qualname}()"}
    return {view.symbol(function)} if function.owner is None else set()


def word_of(function: FunctionInfo) -> str:
    """The word that stands wherever the function is given as a dependency."""
    called = function.owner is not None and function.node.name == "__call__"
    return function.owner.node.name if called and function.owner is not None else function.node.name


def users(view: View, function: FunctionInfo) -> Iterator[tuple[View, ast.Call]]:
    """The ``Depends(function)`` of the project."""
    wanted = names_of(view, function)
    for other in view.mentioning(word_of(function)) if wanted else ():
        for call in other.calls:
            if call.args and other.is_a(call.func, other.function_of(call), *DEPENDS):
                if wanted.intersection(other.of(call.args[0], other.function_of(call))):
                    yield other, call


def callers(view: View, function: FunctionInfo) -> list[str]:
    """Where the project calls a dependency itself, as ``path:line``."""
    wanted = names_of(view, function)
    return [
        f"{other.module.path}:{call.lineno}"
        for other in view.mentioning(word_of(function))
        for call in other.calls
        if wanted.intersection(other.of(call.func, other.function_of(call)))
    ]
