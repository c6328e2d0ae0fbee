"""What a function opens into an attribute of something that lives on, and releases itself where nothing went wrong."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.codemod import Fix, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.repairs.python.layout import last_line
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


def released_behind(view: View, item: Opened) -> ast.Call | None:
    """The one call that releases it in the function that opens it, reached where all between the two went well."""
    calls = list(releases(item, item.function.node.body))
    if len(calls) != 1:
        return None
    first, last = item.statement, view.statement_of(calls[0])
    suites = [getattr(view.parents[first], part, []) for part in ("body", "orelse")]
    suite = next((suite for suite in suites if first in suite and last in suite), [])
    between = suite[suite.index(first) + 1 : suite.index(last)] if suite else []
    nodes = [node for step in between for node in ast.walk(step)]
    if any(isinstance(node, ast.Return) and not _gives_up(node) for node in nodes):
        return None  # who gets something may go on with what was opened
    return calls[0] if any(isinstance(node, ast.Call) for node in nodes) else None


def _gives_up(leaving: ast.Return) -> bool:
    """Whether a ``return`` says that nothing came of it: ``return``, ``return None``, ``return False``."""
    return leaving.value is None or (isinstance(leaving.value, ast.Constant) and not leaving.value.value)


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
    ending = [statement for statement in rest if next(releases(item, [statement]), None) is not None]
    if any(not isinstance(statement, ast.Expr) for statement in ending) or len(ending) > 1:
        return Refusal(f"it is released at line {ending[0].lineno}, in a way that is not understood")
    doubt = "" if ending else "that no streamed response and nothing done in the background still needs it"
    region = rest[: rest.index(ending[0])] if ending else rest
    if ending and any(mentions(item, later) for later in rest[len(region) + 1 :]):
        return Refusal(f"it is used again behind line {ending[0].lineno}, where it is released")
    if not region:
        return Refusal("nothing stands between the two lines that open and release it")
    if ending:
        put_in_try(layout, region, "", ("finally:", ""))
        last = ending[0]
        layout.indent(layout.end_of(region[-1]) + 1, last_line(last), layout.unit, layout.indent_of(last.lineno))
    else:
        put_in_try(layout, region, "", ("finally:", code))
    early = [node for statement in region[:-1] for node in ast.walk(statement) if isinstance(node, ast.Return)]
    if early:
        doubt = f"that what is returned at line {early[0].lineno} does not need it any more"
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
