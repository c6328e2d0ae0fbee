"""What a loop over open rows does beside working on them, as far as names tell."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.languages.python.names import Place
from leakfix.languages.python.syntax import name_of

_HARMLESS = frozenset(
    "print len str int float bool round abs min max sum isinstance repr dict list tuple set zip enumerate sorted range "
    "append add write writerow get strip split join format lower upper replace isoformat startswith endswith items "
    "keys values update info debug warning encode decode dumps loads _asdict".split()
)
_FILE = re.compile(r"_*(?:out|outfile|output|fh|fp|f|file|stream|handle|writer|stdout|buffer|buf|log|logger|csv|tsv)_*")
"""What a file is called that a function is given."""
_DEEPEST = 3
_WRITING = frozenset(
    "save delete update create bulk_create bulk_update get_or_create update_or_create add add_all merge insert execute "
    "executemany".split()
)


def doubt(view: View, function: FunctionInfo, body: Iterable[ast.AST], source: ast.expr | None = None) -> str:
    """What in a loop's body may outlive or disturb an answer that is still being read; "" where nothing does.

    source: what the loop goes through, where that is a part of the body, as in a comprehension.
    """
    inside = set() if source is None else {id(node) for node in ast.walk(source)}
    for node in (node for root in body for node in ast.walk(root) if id(node) not in inside):
        if isinstance(node, ast.Break | ast.Return | ast.Yield | ast.YieldFrom | ast.Await | ast.Raise):
            return "the loop can be left early, or others run meanwhile"
        if isinstance(node, ast.Call):
            word = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if word not in _HARMLESS or not _is_known(view, function, node):
                return f"{word or 'what'}() is called in the loop"
    return ""


def _is_known(view: View, function: FunctionInfo, call: ast.Call) -> bool:
    """Whether a call with a harmless name is one of Python's own things, or of a file."""
    names = view.of(call.func, function)
    if isinstance(call.func, ast.Name):
        return not any(name.startswith("@") for name in names)
    receiver = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    return _is_plain(view, function, receiver, 0)


def _is_plain(view: View, function: FunctionInfo, node: ast.expr, depth: int) -> bool:
    """Whether something is a value, a container, or a part of Python's library."""
    names = view.of(node, function)
    if names:
        return all(name.partition(".")[0] in ("builtins", *sys.stdlib_module_names) for name in names)
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr=word)):
            return word == "open" or _is_plain(view, function, owner, depth)
        case ast.Call(func=called):
            return _is_plain(view, function, called, depth)
        case ast.Subscript(value=owner):
            return _is_plain(view, function, owner, depth)
        case ast.Attribute(value=owner, attr=word):
            return _FILE.fullmatch(word) is not None or (
                not _is_own_object(owner) and _is_plain(view, function, owner, depth)
            )
        case ast.Name(id=name):
            values = list(_values(function, name))
            if not values:
                return _FILE.fullmatch(name) is not None
            return depth > 3 or all(value is None or _is_plain(view, function, value, depth + 1) for value in values)
    return True


def _is_own_object(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _values(function: FunctionInfo, name: str) -> Iterator[ast.expr | None]:
    """What a variable of the function is set to; None for an element of something it goes through."""
    for node in own_nodes(function.node):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, ast.Name) and target.id == name:
                        yield value
                    elif not isinstance(target, ast.Name) and _binds(target, name):
                        yield None
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                yield value
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=found)) if found == name:
                yield value
            case ast.For(target=target) | ast.comprehension(target=target) if _binds(target, name):
                yield None


def _binds(target: ast.expr, name: str) -> bool:
    return any(
        isinstance(item, ast.Name) and item.id == name and isinstance(item.ctx, ast.Store) for item in ast.walk(target)
    )


def reached(view: View, place: Place, body: Iterable[ast.AST], depth: int = 0) -> Iterator[FunctionInfo]:
    """The project's functions that statements call, through lambdas of a variable too, and those that these call."""
    for call in (node for root in body for node in ast.walk(root) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Name) and place.function is not None:
            kept = [value for value in _values(place.function, call.func.id) if isinstance(value, ast.Lambda)]
            yield from reached(view, place, [value.body for value in kept], depth + 1) if depth < _DEEPEST else ()
        for name in view.names.of(call.func, place):
            found = view.names.function(name)
            if found is not None:
                yield found[1]
                if depth < _DEEPEST:
                    yield from reached(view, Place(*found), found[1].node.body, depth + 1)


def writes(view: View, function: FunctionInfo, body: list[ast.AST]) -> str:
    """The call by which statements, or functions of the project that they call, write rows; "" if none is known to."""
    nodes = [node for root in body for node in ast.walk(root)]
    nodes += [node for called in reached(view, Place(view.module, function), body) for node in own_nodes(called.node)]
    calls = (node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    written = (name_of(call) for call in calls if name_of(call) in _WRITING and not _is_plain_set(view, function, call))
    return next(written, "")


def _is_plain_set(view: View, function: FunctionInfo, call: ast.Call) -> bool:
    names = view.of(call.func, function)
    return bool(names) and all(name.startswith("builtins.") for name in names)


def gives_rows_away(body: Iterable[ast.AST], rows: Iterable[str]) -> bool:
    """Whether a ``write`` takes a whole row, as that of no file does: it may be one of another database."""
    calls = [node for root in body for node in ast.walk(root) if isinstance(node, ast.Call)]
    whole = set(rows)
    return any(
        isinstance(given, ast.Name) and given.id in whole
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "write"
        for given in call.args
    )
