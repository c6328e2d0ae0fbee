"""Whether anything in a program calls a function, as far as its name tells."""

from __future__ import annotations

import ast
import re

from leakfix.languages.python.modules import FunctionInfo
from leakfix.patterns.view import View
from leakfix.project.kinds import is_migration_file

SERVES = ("urlpatterns", "FastAPI", "Flask")
"""Words of a program that answers requests: what it does not call, nobody calls."""
_TESTS = (b"TestCase", b"def test_", b"def setUp", b"pytest")
_UNUSED = re.compile(r"(?<!for )\b(?:unused|not used|no longer used|obsolete)\b", re.IGNORECASE)
_SETS_UP_A_TASK = frozenset({"shared_task", "task", "job", "actor"})


def is_called(view: View, function: FunctionInfo) -> bool:
    """Whether the name of a function stands anywhere beside its definition and tests.

    A library cannot know who calls it, so that the answer is yes, as for what a decorator hands to somebody who calls;
    nobody imports migrations.
    What its author says is unused, is not.
    """
    if _is_said_to_be_unused(view, function):
        return False
    at: FunctionInfo | None = function
    while at is not None:
        if _is_handed_on(at) or _is_inherited(at) or _is_named(view, at):
            return True
        at = at.parent
    return not is_program(view) and not is_migration_file(view.module.path)


def _is_said_to_be_unused(view: View, function: FunctionInfo) -> bool:
    """Whether its docstring, or a comment above its first statement, says that nobody uses it."""
    source, first = view.module.source, function.node.lineno
    lines = [source.line_text(line) for line in range(max(1, first - 2), function.node.body[0].lineno)]
    said = [line for line in lines if line.lstrip().startswith("#")]
    return any(_UNUSED.search(text) for text in (*said, ast.get_docstring(function.node) or ""))


def is_of_tests(text: bytes) -> bool:
    """Whether a file's text looks like one of tests; plain words, because thousands of files are asked."""
    return any(word in text for word in _TESTS)


def is_program(view: View) -> bool:
    """Whether other files of the project answer requests."""
    return any(True for word in SERVES for _ in view.texts(word))


def _is_handed_on(function: FunctionInfo) -> bool:
    """Whether a decorator gives it to somebody who calls it; a task waits for that, whatever else is put round it."""
    decorators = function.node.decorator_list
    tasks = [item for item in decorators if getattr(item, "attr", getattr(item, "id", "")) in _SETS_UP_A_TASK]
    return bool(decorators) and not tasks


def _is_inherited(function: FunctionInfo) -> bool:
    """Whether it may stand for one of a base class, such as a command's ``handle``, which that calls."""
    return function.owner is not None and bool(function.owner.node.bases)


def _is_named(view: View, function: FunctionInfo) -> bool:
    name = function.node.name
    if name.startswith("__"):
        return True
    word = re.escape(name.encode())
    if len(re.findall(rb"(?m)^(?![ \t]*#).*?\b" + word + rb"\b", view.module.source.data)) > 1:
        return True  # on another line than its own, comments left out
    others = (text for text in view.texts(name) if not is_of_tests(text))
    if function.owner is not None:
        return any(True for _ in others)
    own = re.compile(rb"^(?:async )?def " + word + rb"\(", re.MULTILINE)  # those files mean another
    return any(own.search(text) is None for text in others)
