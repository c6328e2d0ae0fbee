"""Whether what a whole program shares is released for all of it, or by a function for its own work alone.

A ``remove()`` of a scoped session in a teardown, a middleware or a decorator serves everything that uses the session.
One in a function that asks the session itself, and hands control to nobody, says nothing of the others.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Collection, Iterator

_HEAD = re.compile(rb"^([ \t]*)(?:async[ \t]+)?def[ \t]", re.MULTILINE)
_DECORATED = re.compile(rb"(?:^|\n)[ \t]*@[^\n]*(?:\n[^\n@]*[,)][ \t]*)*\n\Z")
_REGISTRY = re.compile(r"sess|registry|scope|(?:^|_)db", re.IGNORECASE)
_ENDS = frozenset({"commit", "rollback", "close", "flush"})


def releases_for_all(data: bytes, call: bytes, outside: Collection[str]) -> bool:
    """Whether a release that stands in a file's text may serve more than the function it stands in.

    call: how it is spelled, ``.remove()``. outside: names the file imports from other packages than the project's.
    """
    at = data.find(call)
    while at >= 0:
        function = _function_round(data, at)
        if function is None:
            return True
        releases = [found for found in _methods_called(function) if found.attr == call.decode().strip(".()")]
        if any(_serves_others(function, found, outside) for found in releases if _may_be_shared(function, found.value)):
            return True
        at = data.find(call, at + 1)
    return False


def _methods_called(function: ast.AST) -> Iterator[ast.Attribute]:
    return (call.func for call in _calls(function) if isinstance(call.func, ast.Attribute))


def _function_round(data: bytes, at: int) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The innermost function a place stands in, where nothing decorates it."""
    indent = _indent_at(data, at)
    head: re.Match[bytes] | None = None
    for match in _HEAD.finditer(data, 0, at):
        if len(match[1]) < indent:
            head = match
    if head is None or _DECORATED.search(data, 0, head.start()) is not None:
        return None
    end = re.compile(rb"^[ \t]{0,%d}[^\s#)]" % len(head[1]), re.MULTILINE).search(data, data.find(b"\n", head.end()))
    text = data[head.start() : end.start() if end is not None else len(data)].decode("utf-8", "replace")
    try:
        [node] = ast.parse(textwrap.dedent(text)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None


def _indent_at(data: bytes, at: int) -> int:
    line = data[data.rfind(b"\n", 0, at) + 1 : at]
    return len(line) - len(line.lstrip())


def _may_be_shared(function: ast.FunctionDef | ast.AsyncFunctionDef, receiver: ast.expr) -> bool:
    """Whether what is released may be a registry: not something else that the function sets a variable to."""
    if not isinstance(receiver, ast.Name) or _REGISTRY.search(receiver.id):
        return True
    named = (node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == receiver.id)
    return not any(isinstance(node.ctx, ast.Store) for node in named)


def _serves_others(
    function: ast.FunctionDef | ast.AsyncFunctionDef, release: ast.Attribute, outside: Collection[str]
) -> bool:
    """Whether a function that releases something does not use it itself, or lets others run before that."""
    inner = (node for statement in function.body for node in ast.walk(statement))
    if any(isinstance(node, ast.Yield | ast.YieldFrom | ast.FunctionDef | ast.AsyncFunctionDef) for node in inner):
        return True
    spelled = ast.unparse(release.value)
    if not any(_uses(call, spelled, release.attr) for call in _calls(function)):
        return True
    known = {spelled.partition(".")[0], *_made_of(function, spelled)}
    return any(not _keeps_control(call, known, outside) for call in _calls(function))


def _uses(call: ast.Call, spelled: str, release: str) -> bool:
    """Whether a call asks something of what is released: makes one of it, or has it do more than end its work."""
    match call.func:
        case ast.Attribute(value=value, attr=attr) if ast.unparse(value) == spelled:
            return attr not in _ENDS and attr != release
    return ast.unparse(call.func) == spelled


def _calls(function: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(function) if isinstance(node, ast.Call))


def _made_of(function: ast.AST, spelled: str) -> set[str]:
    """The local names that are set from it, or from another of them."""
    made = {spelled.partition(".")[0]}
    before = 0
    while len(made) != before:
        before = len(made)
        for node in ast.walk(function):
            match node:
                case ast.Assign(targets=targets, value=value):
                    pairs = [(target, value) for target in targets]
                case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                    pairs = [(target, value)]
                case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
                    pairs = [(target, value)]
                case _:
                    continue
            for target, value in pairs:
                if any(isinstance(name, ast.Name) and name.id in made for name in ast.walk(value)):
                    made |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}
    return made


def _keeps_control(call: ast.Call, known: Collection[str], outside: Collection[str]) -> bool:
    """Whether nothing of the project's own runs in a call, as far as its name tells, that could use what is shared."""
    root = call.func
    while isinstance(root, ast.Attribute | ast.Call | ast.Subscript):
        root = root.func if isinstance(root, ast.Call) else root.value
    if isinstance(root, ast.Constant | ast.JoinedStr):
        return True
    if not isinstance(root, ast.Name):
        return False
    plain = isinstance(call.func, ast.Name)
    if plain and (root.id[:1].isupper() or hasattr(builtins, root.id)):
        return True
    return root.id in known or root.id in outside or root.id.strip("_").lower() in ("log", "logger", "logging")
