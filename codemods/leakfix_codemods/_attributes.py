"""What a function opens into an attribute of something that lives on, and releases itself where nothing went wrong."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.codemod import Fix, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.repairs.python.layout import first_line, last_line
from leakfix.resources import Resource
from leakfix_codemods._blocks import is_laid_out, put_in_try

TELLS = re.compile(r"(?:^|\W)(?:log|logger|logging|print|metrics?|statsd)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Opened:
    """What is opened: the call, the statement it stands in, and how the function names what it gives."""

    function: FunctionInfo
    statement: ast.stmt
    call: ast.Call
    resource: Resource
    attribute: str
    names: frozenset[str]


def releases(item: Opened, body: list[ast.stmt]) -> Iterator[ast.Call]:
    """The calls that release what was opened, by the function's own names for it."""
    row = item.resource
    for node in (node for statement in body for node in ast.walk(statement)):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr=word)) if word in row.release:
                if ast.unparse(owner) in item.names:
                    yield node
            case ast.Call(args=[given, *_]) if name_of(node) in row.release_with and ast.unparse(given) in item.names:
                yield node


def repair(view: View, item: Opened) -> Fix | Refusal:
    """Release it in a ``finally`` round what follows."""
    body = item.function.node.body
    if item.statement not in body:
        return Refusal("it is opened inside a block: where that should release it is for you to decide")
    receiver = ast.unparse(item.call.func.value) if isinstance(item.call.func, ast.Attribute) else None
    code = item.resource.release_code(min(item.names, key=len), receiver)
    rest = body[body.index(item.statement) + 1 :]
    layout = view.layout()
    if code is None or not is_laid_out(layout, rest):
        return Refusal(f"how the {item.resource.noun} is released is not known here")
    released, doubt = False, ""
    for at, statement in enumerate(rest):
        if next(releases(item, [statement]), None) is None:
            continue
        if not isinstance(statement, ast.Expr) or any(mentions(item, later) for later in rest[at + 1 :]):
            return Refusal(f"it is released at line {statement.lineno}, in a way that is not understood")
        layout.delete(first_line(statement), last_line(statement))
        released = True
        doubt = "" if all(map(_is_light, rest[at + 1 :])) else "that what follows can run before it is released"
    put_in_try(layout, rest, "", ("finally:", code))
    early = [node for statement in rest[:-1] for node in ast.walk(statement) if isinstance(node, ast.Return)]
    if early:
        doubt = f"that what is returned at line {early[0].lineno} does not need it any more"
    if not released:
        doubt = "that no streamed response and nothing done in the background still needs it"
    safety = Safety.REVIEW if doubt or item.resource.fix == "review" else Safety.SAFE
    return Fix(f"release the {item.resource.noun} whatever happens", safety, tuple(layout.edits), doubt)


def names(item: Opened, expression: ast.expr) -> bool:
    """Whether an expression is what was opened, a method of it, or a call with it."""
    parts = (node for node in ast.walk(expression) if isinstance(node, ast.Name | ast.Attribute))
    called = isinstance(expression, ast.Call) and name_of(expression) in item.resource.release
    return not called and any(ast.unparse(node) in item.names for node in parts)


def mentions(item: Opened, statement: ast.stmt) -> bool:
    found = (node for node in ast.walk(statement) if isinstance(node, ast.Name | ast.Attribute))
    return any(ast.unparse(node) in item.names for node in found)


def _is_light(statement: ast.stmt) -> bool:
    """Whether a statement returns a variable or tells something."""
    match statement:
        case ast.Return(value=None | ast.Name()):
            return True
        case ast.Expr(value=ast.Call(func=function)):
            return TELLS.search(ast.unparse(function)) is not None
    return False
