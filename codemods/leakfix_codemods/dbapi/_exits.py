"""What the end of a ``with`` does with an attribute of its context manager: in ``__exit__`` and what that calls."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from enum import Enum

from leakfix.codemod import View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.called import is_of_tests
from leakfix.resources import Resource

_STAYS_OPEN = frozenset(
    "commit rollback flush execute executemany executescript cursor begin add add_all query scalar scalars get".split()
)
_MOST_CALLS = 2


class Ending(Enum):
    """Whether a ``with`` releases what its object holds."""

    RELEASED = "released"
    LOST = "lost"
    """On some way out nothing releases it."""
    UNCLEAR = "unclear"
    """Somebody else may have it, or release it."""


def ending(view: View, owner: ClassInfo, end: FunctionInfo, attribute: str, resource: Resource) -> Ending:
    """What becomes of an attribute of ``self`` when ``__exit__`` is over."""
    reached = [end, *_called(view, owner, end)]
    if any(_is_opaque(view, owner, function) for function in reached):
        return Ending.UNCLEAR
    words = {*resource.release, *(name.rpartition(".")[2] for name in resource.release_with), "close", "remove"}
    releases: set[ast.AST] = set()
    for function in reached:
        for node in ast.walk(function.node):
            if is_own(node, attribute):
                method = _method_called(view, node)
                if method in words:
                    releases.add(view.parents[view.parents[node]])
                elif not _is_harmless(view, node, method, resource):
                    return Ending.UNCLEAR
    if is_released_elsewhere(view, owner, reached, attribute, words):
        return Ending.UNCLEAR
    by_others = [function.node.name for function in reached[1:] if not releases.isdisjoint(ast.walk(function.node))]
    releases |= {call for call in ast.walk(end.node) if _calls_own(call) in by_others}
    given = {argument.arg for argument in ast.walk(end.node.args) if isinstance(argument, ast.arg)} - {"self"}
    return _way(end.node.body, given, releases) or Ending.LOST


def is_own(node: ast.AST | None, attribute: str) -> bool:
    """Whether an expression is that attribute of ``self``."""
    return isinstance(node, ast.Attribute) and node.attr == attribute and _is_self(node.value)


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _calls_own(node: ast.AST) -> str:
    """The method of ``self`` that is called."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr=name)) if _is_self(owner):
            return name
    return ""


def _methods(view: View, owner: ClassInfo) -> dict[str, FunctionInfo]:
    """The methods of a class that its own file defines, those of its bases included."""
    found: dict[str, FunctionInfo] = {}
    for module, info in view.names.lineage(view.module, owner):
        if module is view.module:
            found = {**info.methods, **found}
    return found


def _called(view: View, owner: ClassInfo, end: FunctionInfo) -> list[FunctionInfo]:
    """The methods of the same object that one calls, directly or through another."""
    methods, found = _methods(view, owner), [end]
    for _ in range(_MOST_CALLS):
        names = {_calls_own(node) for function in found for node in ast.walk(function.node)}
        found += [methods[name] for name in sorted(names & methods.keys()) if methods[name] not in found]
    return found[1:]


def _is_opaque(view: View, owner: ClassInfo, function: FunctionInfo) -> bool:
    """Whether a method does what cannot be followed: hands its object on, or calls what is not in sight."""
    methods = _methods(view, owner)
    for node in ast.walk(function.node):
        match node:
            case ast.Name(id="super") | ast.Attribute(attr="__exit__" | "__aexit__"):
                return True
            case ast.Name(id="self") if not isinstance(view.parents[node], ast.Attribute):
                return True
        if (called := _calls_own(node)) and called not in methods:
            return True
    return False


def _method_called(view: View, node: ast.AST) -> str:
    """The method of an expression that is called right there."""
    method = view.parents[node]
    call = view.parents[method]
    return (
        method.attr if isinstance(method, ast.Attribute) and isinstance(call, ast.Call) and call.func is method else ""
    )


def _is_harmless(view: View, node: ast.AST, method: str, resource: Resource) -> bool:
    """Whether a use leaves an attribute where it is, and open: a call that is known, a test."""
    parent = view.parents[node]
    if isinstance(parent, ast.Attribute):
        return method in _STAYS_OPEN or method in resource.steady or parent.attr in resource.data
    tests = isinstance(parent, ast.If | ast.BoolOp | ast.UnaryOp) or (
        isinstance(parent, ast.Compare) and isinstance(parent.ops[0], ast.Is | ast.IsNot)
    )
    return tests and not isinstance(view.parents[parent], ast.Assign)


def is_released_elsewhere(
    view: View, owner: ClassInfo, reached: list[FunctionInfo], attribute: str, words: Collection[str]
) -> bool:
    """Whether another method, a class that derives from this one, or who has the object may release the attribute."""
    for _, info in view.names.lineage(view.module, owner):
        for function in (function for function in info.methods.values() if function not in reached):
            for node in ast.walk(function.node):
                if isinstance(node, ast.Call) and name_of(node) in words:
                    given = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
                    if any(is_own(value, attribute) for value in given):
                        return True
    spelled = "|".join(map(re.escape, sorted(words)))
    released = rf"\.{attribute}\.(?:{spelled})\b"
    by_owners = re.compile(rf"(?<!\bself){released}|\b(?:{spelled})\([^()\n]*\w\.{attribute}\b".encode())
    by_heirs = re.compile(released.encode())
    derived = re.compile(rf"(?m)^[ \t]*class \w+\([^)]*\b{owner.node.name}\b".encode())
    texts = (view.module.source.data, *view.texts(attribute))
    return any(
        by_owners.search(text) or (derived.search(text) and by_heirs.search(text))
        for text in texts
        if not is_of_tests(text)
    )


def is_only_entered(view: View, owner: ClassInfo) -> bool:
    """Whether all the project makes of a class are ``with`` blocks in which nobody keeps or releases what they give."""
    name = owner.node.name.encode()
    made = re.compile(rb"(?<!class )\b" + name + rb"\(")
    entered = re.compile(rb"\bwith\b[^\n]*?\b" + name + rb"\([^\n]*?\)[ \t]+as[ \t]+(\w+)")
    uses = 0
    for text in (view.module.source.data, *view.texts(owner.node.name)):
        held = entered.findall(text)
        uses += len(held)
        if len(made.findall(text)) > len(held) or any(_is_kept(text, re.escape(variable)) for variable in held):
            return False
    return uses > 0


def _is_kept(text: bytes, variable: bytes) -> bool:
    """Whether a text returns, assigns or closes a variable."""
    given = rb"\b(?:return|yield)[ \t(]+" + variable + rb"\b(?!\.)|=[ \t]*" + variable + rb"[ \t]*\r?$"
    closed = rb"\b" + variable + rb"\.close\b|\bclos\w*\(" + variable + rb"\b"
    return re.search(given + rb"|" + closed, text, re.MULTILINE) is not None


def _way(body: list[ast.stmt], given: Collection[str], releases: Collection[ast.AST]) -> Ending | None:
    """How statements end, as far as what ``__exit__`` is given decides; None where they go on."""
    for statement in body:
        if isinstance(statement, ast.If) and not _names_in(statement.test).isdisjoint(given):
            ways = [_way(part, given, releases) for part in (statement.body, statement.orelse)]
            if Ending.LOST in ways:
                return Ending.LOST
            if ways == [Ending.RELEASED, Ending.RELEASED]:
                return Ending.RELEASED
        elif any(node in releases for node in ast.walk(statement)):
            return Ending.RELEASED
        elif isinstance(statement, ast.Return | ast.Raise):
            return Ending.LOST
    return None


def _names_in(node: ast.AST) -> set[str]:
    """The names in an expression."""
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


def attributes_set(start: FunctionInfo) -> Iterator[tuple[str, ast.expr, set[str]]]:
    """What the statements of ``__enter__`` set on ``self``, to what, and the variables that get the same."""
    for statement in start.node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        for target in targets:
            if isinstance(target, ast.Attribute) and _is_self(target.value) and isinstance(value, ast.expr):
                yield target.attr, value.value if isinstance(value, ast.Await) else value, names
