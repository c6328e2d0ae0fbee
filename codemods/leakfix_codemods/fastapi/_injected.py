"""Which functions FastAPI calls as dependencies, and who else calls them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo

_GIVEN = re.compile(rb"\b(?:Depends|Security)\(\s*(?:\w+\s*=\s*)?(?:\w+\.)*(\w+)")
_MADE = re.compile(rb"^(\w+)(?:\s*:[^=\n]+)?\s*=\s*(?:\w+\.)*(\w+)\(", re.MULTILINE)
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


def given_names(view: View) -> set[bytes]:
    """The names that anything in the project gives to ``Depends``, and those of objects that stand for a class."""
    elsewhere = view.once("fastapi: what is given to Depends", lambda: _given(_texts(view)))
    own = view.module.source.data
    return elsewhere | _given({own}) if b"Depends(" in own or b"Security(" in own else elsewhere


def _texts(view: View) -> set[bytes]:
    return {text for word in ("Depends", "Security") for text in view.texts(word)}


def _given(texts: set[bytes]) -> set[bytes]:
    given = {name for text in texts for name in _GIVEN.findall(text)}
    return given | {kind for text in texts if given for name, kind in _MADE.findall(text) if name in given}


def users(view: View, function: FunctionInfo) -> Iterator[tuple[View, ast.Call]]:
    """The ``Depends(function)`` of the project."""
    wanted = names_of(view, function)
    name = word_of(function).encode()
    others = {id(m): m for word in ("Depends", "Security") for m in view.others(word, lambda text: name in text)}
    for other in (view, *(view.elsewhere(module) for module in others.values())) if wanted else ():
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
