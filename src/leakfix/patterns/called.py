"""Whether anything in a program calls a function, as far as its name tells."""

from __future__ import annotations

import ast
import re
from itertools import chain

from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.view import View
from leakfix.project.kinds import is_migration_file

SERVES = ("urlpatterns", "FastAPI", "Flask")
"""Words of a program that answers requests: what it does not call, nobody calls."""
_TESTS = (b"TestCase", b"def test_", b"def setUp", b"pytest")
_UNUSED = re.compile(r"(?<!for )\b(?:unused|not used|no longer used|obsolete)\b", re.IGNORECASE)
_SETS_UP_A_TASK = frozenset({"shared_task", "task", "job", "actor"})
_KEEPS = frozenset(
    "contextmanager asynccontextmanager staticmethod classmethod property cached_property override cache "
    "lru_cache".split()
)
"""Decorators that hand a function to nobody: who wants it must name it."""
_PLAIN_BASES = frozenset({"builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol"})
_CONSTANTS = rb"\(\s*(?:(?:\w+\s*=\s*)?(?:\"[^\"\n]*\"|'[^'\n]*'|\d+|True|False|None)\s*,?\s*)*\)"
_TOLD = re.compile(rb"\s*(?:from\b.*\bimport\b|import\b|#)")


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
        if _is_handed_on(at) or _is_inherited(view, at) or _is_named(view, at):
            return True
        at = at.parent
    return not is_program(view) and not is_migration_file(view.module.path)


def is_called_with_constants(view: View, function: FunctionInfo) -> bool:
    """Whether all of the program calls a function with constants or nothing: it meets as many values as calls.

    Tests say nothing of that, which give it what they like.
    """
    if _is_handed_on(function):
        return False
    name = re.escape(function.node.name.encode())
    plain = re.compile(rb"(?<!def )\b" + name + _CONSTANTS)
    otherwise = re.compile(rb"(?<!def )\b" + name + rb"\b(?!" + _CONSTANTS + rb")")
    others = (text for text in view.texts(function.node.name) if not is_of_tests(text))
    called = False
    for text in chain([view.module.source.data], others):
        lines = [line for line in text.splitlines() if not _TOLD.match(line)]
        if any(map(otherwise.search, lines)):
            return False
        called = called or any(map(plain.search, lines))
    return called


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
    words = {name_of(item) for item in function.node.decorator_list} - _KEEPS
    return bool(words) and words.isdisjoint(_SETS_UP_A_TASK)


def _is_inherited(view: View, function: FunctionInfo) -> bool:
    """Whether it may stand for one of a base class, such as a command's ``handle``, which that calls."""
    if function.owner is None or not function.owner.node.bases:
        return False
    outside = view.names.outside_bases(view.module, function.owner)
    if not _PLAIN_BASES.issuperset(outside) or not all(map(view.of, function.owner.node.bases)):
        return True
    above = (info for _, info in view.names.lineage(view.module, function.owner) if info is not function.owner)
    return any(function.node.name in info.methods for info in above)


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
