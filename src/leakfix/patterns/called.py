"""Whether anything in a program calls a function, as far as its name tells."""

from __future__ import annotations

import ast
import re

from leakfix.languages.python.modules import FunctionInfo
from leakfix.patterns.view import View

SERVES = ("urlpatterns", "FastAPI", "Flask")
"""Words of a program that answers requests: what it does not call, nobody calls."""
TESTS = re.compile(rb"TestCase|^\s*(?:async )?def (?:test_|setUp)|\bpytest\b", re.MULTILINE)
_SETS_UP_A_TASK = frozenset({"shared_task", "task", "job", "actor"})


def is_called(view: View, function: FunctionInfo) -> bool:
    """Whether the name of a function stands anywhere beside its definition and tests.

    A library cannot know who calls it, so that the answer is yes, as for what a decorator hands to somebody who calls.
    """
    at: FunctionInfo | None = function
    while at is not None:
        if _is_handed_on(at) or _is_named(view, at.node.name):
            return True
        at = at.parent
    return not is_program(view)


def is_program(view: View) -> bool:
    """Whether other files of the project answer requests."""
    return any(True for word in SERVES for _ in view.texts(word))


def _is_handed_on(function: FunctionInfo) -> bool:
    for decorator in function.node.decorator_list:
        made = decorator.func if isinstance(decorator, ast.Call) else decorator
        if getattr(made, "attr", getattr(made, "id", "")) not in _SETS_UP_A_TASK or isinstance(decorator, ast.Call):
            return True
    return False


def _is_named(view: View, name: str) -> bool:
    if name.startswith("__"):
        return True
    own = re.findall(rb"\b" + name.encode() + rb"\b", view.module.source.data)
    return len(own) > 1 or any(TESTS.search(text) is None for text in view.texts(name))
