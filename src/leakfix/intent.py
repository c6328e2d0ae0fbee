"""What people mean by their code: leaks somebody decided on, and what tests put in the place of what acquires."""

from __future__ import annotations

import ast
import re
from itertools import pairwise

from leakfix.languages.python.modules import FunctionInfo, Module, names_in, own_nodes
from leakfix.languages.python.syntax import name_of
from leakfix.lifetimes.verdict import Leak
from leakfix.project.mentions import Mentions
from leakfix.repairs.python.layout import Layout
from leakfix.resources import Resource
from leakfix.source import Span

_OF_COMMANDS = re.compile(rb"^(?:import|from) (?:click|rich_click|asyncclick|typer)\b", re.MULTILINE)
_LOOPS = ast.For | ast.AsyncFor | ast.While | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_EXPECTS = frozenset("raises assertRaises assertRaisesRegex".split())
PATCHING = frozenset({"patch", "monkeypatch"})
"""Words of files that may replace something, sought in the whole project."""
_PATCHES = re.compile(
    rb"(?:patch|setattr)\(\s*[\"']([\w.]+)[\"']|(?:patch\.object|setattr)\(\s*(?:\w+\.)*(\w+),\s*[\"'](\w+)[\"']"
)


def is_meant(module: Module, info: FunctionInfo, leak: Leak, span: Span) -> bool:
    """Whether nobody wants to hear of a leak: it was decided on, ends with the program, or belongs to a test's mock."""
    source, resource = module.source, leak.resource
    if {"raise", "abandon"}.issuperset(leak.ways) and _is_left_by_one_handler(info, resource):
        return True
    if resource.of_process and _runs_once(module, info, source.line_of(span.start)):
        return True
    return _has_to_fail(module, info, span) or _is_mocked(module, info, resource, source.text(span))


def _is_mocked(module: Module, info: FunctionInfo, resource: Resource, acquisition: str) -> bool:
    """Whether a test replaces what acquires: by a mock in the call, or by ``patch("...connect")`` round it.

    What it calls may be a factory, of which it replaces what that calls.
    """
    if "mock" in acquisition.lower():
        return True
    called = {name.rpartition(".")[2] for name in (acquisition.partition("(")[0], *resource.acquire)}
    return not called.isdisjoint(module.patched_in(info))


def _is_left_by_one_handler(info: FunctionInfo, resource: Resource) -> bool:
    """Whether one handler does nothing but raise again where others beside it release: somebody decided that."""
    words = {*resource.release, *resource.release_with}
    for node in own_nodes(info.node):
        if isinstance(node, ast.Try):
            bare = [h for h in node.handlers if h.type and isinstance(h.body[0], ast.Raise) and h.body[0].exc is None]
            others = [item for handler in node.handlers if handler not in bare for item in ast.walk(handler)]
            if bare and any(isinstance(i, ast.Attribute) and i.attr in words for i in others):
                return True
    return False


def _has_to_fail(module: Module, info: FunctionInfo, span: Span) -> bool:
    """Whether it is the call that a test wants to raise, the last of the block: nothing is acquired then."""
    for node in own_nodes(info.node):
        if isinstance(node, ast.With | ast.AsyncWith) and any(name_of(i.context_expr) in _EXPECTS for i in node.items):
            value = getattr(node.body[-1], "value", None)
            value = value.value if isinstance(value, ast.Await) else value
            match value:
                case ast.Call(func=ast.Attribute(value=ast.Call() as made, attr="cursor")):
                    value = made  # making a cursor asks nobody
            if isinstance(value, ast.Call) and Layout(module.source).span(value) == span:
                return True
    return False


def _runs_once(module: Module, info: FunctionInfo, line: int) -> bool:
    """Whether a line of a function is run once: it is a command, or called only where the file is run as a program."""
    if info.owner is not None or info.parent is not None:
        return False
    guards = [item for item in module.tree.body if isinstance(item, ast.If) and "__main__" in ast.unparse(item.test)]
    loops = [node for root in (info.node, *guards) for node in ast.walk(root) if isinstance(node, _LOOPS)]
    if any(loop.lineno <= line <= (loop.end_lineno or line) for loop in loops):
        return False
    is_command = any(name_of(item) == "command" for item in info.node.decorator_list)
    if is_command and _OF_COMMANDS.search(module.source.data):
        return True
    guarded = [name for guard in guards for name in names_in(guard)]
    called = guarded.count(info.node.name)
    looped = any(info.node.name in names_in(loop) for loop in loops)
    return called > 0 and not looped and [*names_in(module.tree)].count(info.node.name) == called + 1  # and its ``def``


def replaced_by_tests(mentions: Mentions, path: str, acquisition: str) -> str:
    """The word for which a test puts something else in the place of what acquires, or is asked; "" where none does.

    That may be a session which the test goes on with, an object that has no ``with``, or a list that has no
    ``iterator``.
    """
    called = re.match(r"[A-Za-z_][\w.]*", acquisition)
    words = called[0].split(".") if called is not None else ["self"]
    stem = path.removesuffix("/__init__.py").removesuffix(".py").rpartition("/")[2]
    pairs = {(stem, words[0]), *pairwise(words)}
    patched = mentions.once("what tests patch", path, lambda: _patched(mentions, path))
    return words[0] if not pairs.isdisjoint(patched) else ""


def _patched(mentions: Mentions, path: str) -> frozenset[tuple[str, str]]:
    """What the project's files patch: the last word of a module or an object, and a name in it."""
    found: set[tuple[str, str]] = set()
    for text in (text for word in sorted(PATCHING) for text in mentions.texts(word, path)):
        for target, owner, name in _PATCHES.findall(text):
            found |= {*pairwise(target.decode().split("."))} if target else {(owner.decode(), name.decode())}
    return frozenset(found)
