"""What an application opens when it starts, what closes it, and the lifespan that does both."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from leakfix.codemod import Fix, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import Layout, first_line, last_line
from leakfix.resources import Resource

_APPLICATIONS = ("fastapi.FastAPI()", "fastapi.applications.FastAPI()", "starlette.applications.Starlette()")
_SCOPES = ("contextlib.asynccontextmanager",)
_CHECK = "that nothing which runs later, when the application stops, still needs it"


@dataclass(frozen=True)
class Opened:
    """Something opened at start-up: the call, the place it is kept in (``app.state.db``), and the function."""

    call: ast.Call
    place: str
    function: FunctionInfo
    resource: Resource
    event: ast.expr | None
    """The ``@app.on_event("startup")`` of the function; None in a lifespan."""


def opened_at_startup(view: View) -> Iterator[Opened]:
    """What the lifespans and start-up functions of a file open, keep, and nobody closes."""
    for function in view.functions:
        event = _startup(view, function)
        if event is None and not _is_lifespan(view, function):
            continue
        outer = {name for node in view.own(function) if isinstance(node, ast.Global) for name in node.names}
        made: dict[str, ast.Call] = {}
        for node in sorted(_plain_assignments(view, function), key=lambda node: node.lineno):
            target = node.targets[0]
            place = _place(target, outer)
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            local = value.id if isinstance(value, ast.Name) else ""
            value = made.pop(local, value)
            if isinstance(target, ast.Name) and not place and isinstance(value, ast.Call):
                made[target.id] = value  # may be put where it stays in the next line
            elif place and isinstance(value, ast.Call):
                resource = view.acquired(view.module, function, value)
                if resource is not None and not _is_closed(view, function, place, local, resource):
                    yield Opened(value, place, function, resource, event)


def _plain_assignments(view: View, function: FunctionInfo) -> Iterator[ast.Assign]:
    for node in view.own(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            yield node


def _place(target: ast.expr, outer: set[str]) -> str:
    match target:
        case ast.Name(id=name) if name in outer:
            return name
        case ast.Attribute(value=ast.Name() | ast.Attribute()):
            return ast.unparse(target)
    return ""


def _startup(view: View, function: FunctionInfo) -> ast.expr | None:
    for decorator in function.node.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(attr="on_event"), args=[ast.Constant(value="startup")]):
                return decorator
    return None


def _is_lifespan(view: View, function: FunctionInfo) -> bool:
    """Whether a context manager is the lifespan of an application: it has one parameter and yields once."""
    if not any(view.is_a(decorator, None, *_SCOPES) for decorator in function.node.decorator_list):
        return False
    given = function.node.args.args
    yields = [node for node in view.own(function) if isinstance(node, ast.Yield)]
    named = re.search(rb"lifespan\s*=\s*" + function.node.name.encode() + rb"\b", view.module.source.data)
    typed = len(given) == 1 and (given[0].arg in ("app", "_app", "application", "_") or named is not None)
    return typed and len(yields) == 1


def _is_closed(view: View, function: FunctionInfo, place: str, local: str, resource: Resource) -> bool:
    """Whether anything in the project releases it by the last word of its place, or its function by a local name."""
    word, data = place.rpartition(".")[2], view.module.source.data
    inside = ast.get_source_segment(data.decode(errors="replace"), function.node) or ""
    return _is_released(word, (data, *view.texts(word)), resource) or (
        local != "" and _is_released(local, (inside.encode(),), resource)
    )


def _is_released(word: str, texts: Iterable[bytes], resource: Resource) -> bool:
    words = {*resource.release, *(name.rpartition(".")[2] for name in resource.release_with), "close", "aclose"}
    released = re.compile(rf"\b{re.escape(word)}\.(?:{'|'.join(sorted(words))})\(".encode())
    handed = re.compile(
        rf"(?:closing|enter_context|enter_async_context|push|callback)\([^\n]*\b{re.escape(word)}\b".encode()
    )
    entered = re.compile(rf"\bwith\s[^\n]*\b{re.escape(word)}\s*(?:as\b|[:,])".encode())
    alias = re.compile(rf"\b(\w+)(?:\s*:[^=\n]+)?\s*=\s*[\w.]*\b{re.escape(word)}\b\s*$".encode(), re.MULTILINE)
    for text in texts:
        if (
            released.search(text)
            or handed.search(text)
            or entered.search(text)
            or re.search(rf'"{re.escape(word)}"'.encode(), text)
        ):
            return True
        for name in alias.findall(text):
            if re.search(rb"\b" + name + rb"\.(?:" + "|".join(sorted(words)).encode() + rb")\(", text):
                return True
    return False


def repair(view: View, item: Opened) -> Fix | Refusal:
    """Close it where the application stops."""
    closing = item.resource.release_code(item.place, None)
    if closing is None:
        return Refusal(f"what the {item.resource.noun} must be given back to has no name here")
    if item.resource.asynchronous and not isinstance(item.function.node, ast.AsyncFunctionDef):
        return Refusal(f"releasing the {item.resource.noun} must be awaited, but the function is not async")
    layout = view.layout()
    if item.event is None:
        refused = _in_lifespan(view, layout, item, closing)
    else:
        refused = _as_lifespan(view, layout, item, closing)
    return refused or Fix("close it when the application stops", Safety.REVIEW, tuple(layout.edits), _CHECK)


def _in_lifespan(view: View, layout: Layout, item: Opened, closing: str) -> Refusal | None:
    node = item.function.node
    statement = next((s for s in node.body if isinstance(s, ast.Expr) and isinstance(s.value, ast.Yield)), None)
    around = next((s for s in node.body if isinstance(s, ast.Try) and s.finalbody and _yields(s)), None)
    indent = layout.indent_of(node.body[0].lineno)
    unit = indent[len(layout.indent_of(node.lineno)) :] or "    "
    if around is not None and statement is None:
        last = around.finalbody[-1]
        layout.add_after(last_line(last), layout.indent_of(last.lineno) + closing)
        return None
    if statement is None or not layout.stands_alone(statement):
        return Refusal("its yield stands in another statement")
    after = node.body[node.body.index(statement) + 1 :]
    layout.add_before(statement.lineno, f"{indent}try:")
    layout.indent(statement.lineno, last_line(statement), unit, indent)
    if after:
        layout.add_after(last_line(statement), f"{indent}finally:")
        layout.indent(last_line(statement) + 1, last_line(after[-1]), unit, indent)
        layout.add_after(last_line(after[-1]), f"{indent}{unit}{closing}")
    else:
        layout.add_after(last_line(statement), f"{indent}finally:", f"{indent}{unit}{closing}")
    return None


def _yields(statement: ast.stmt) -> bool:
    return any(isinstance(node, ast.Yield) for node in ast.walk(statement))


def _as_lifespan(view: View, layout: Layout, item: Opened, closing: str) -> Refusal | None:
    node = item.function.node
    application, made = _application(view, item)
    if application is None or made is None:
        return Refusal("the application is not made in this file: its lifespan is for you to write")
    if any(word.arg in ("lifespan", "on_startup", "on_shutdown", None) for word in made.keywords):
        return Refusal("the application has a lifespan already, beside which events do nothing")
    events = [info for info in view.functions if _event(info)]
    words = "on_event", "add_event_handler", "on_startup", "on_shutdown"
    elsewhere = any(True for word in words for _ in view.texts(word))
    own = any(word.encode() in view.module.source.data for word in words[1:])
    if len(events) != 1 or elsewhere or own:
        return Refusal("there are other handlers of events: what they do belongs into one lifespan")
    if view.uses(node.name, None) or item.function.parent is not None or item.function.owner is not None:
        return Refusal(f"{node.name}() is used in another way, too")
    if any(isinstance(n, ast.Return | ast.Yield) for n in view.own(item.function)) or "lifespan" in view.module.names:
        return Refusal(f"{node.name}() returns early, or the name lifespan is taken")
    if len(node.decorator_list) != 1 or node.args.args or not layout.stands_alone(node):
        return Refusal(f"{node.name}() is laid out or decorated in a way that is not understood")
    indent = layout.indent_of(node.body[0].lineno)
    source = view.module.source
    lines = [source.line_text(line) for line in range(node.body[0].lineno, last_line(node) + 1)]
    if layout.string_lines.intersection(range(node.body[0].lineno, last_line(node) + 1)):
        return Refusal(f"{node.name}() holds a text of several lines")
    scope = imported(view.module, layout, "contextlib", "asynccontextmanager")
    head = [f"@{scope}", f"async def lifespan({application.id}):"]
    tail = [f"{indent}try:", f"{indent}{indent}yield", f"{indent}finally:", f"{indent}{indent}{closing}", "", ""]
    statement = view.statement_of(made)
    above = [source.line_text(line).strip() for line in range(max(1, first_line(statement) - 2), first_line(statement))]
    blank = [""] * (2 - sum(not text for text in above)) if first_line(statement) > 1 else []
    layout.add_before(first_line(statement), *blank, *head, *lines, *tail)
    end = layout.span(made).end - 1
    before = source.data[layout.span(made.func).end + 1 : end].decode().strip()
    separator = "" if not before else " " if before.endswith(",") else ", "
    layout.insert(end, f"{separator}lifespan=lifespan")
    first, last = first_line(node), last_line(node)
    while (
        last + 1 <= len(source.line_starts)
        and not source.line_text(last + 1).strip()
        and last + 1 < len(source.line_starts)
    ):
        last += 1
    layout.delete(first, last)
    return None


def _application(view: View, item: Opened) -> tuple[ast.Name | None, ast.Call | None]:
    assert isinstance(item.event, ast.Call)
    assert isinstance(item.event.func, ast.Attribute)
    app = item.event.func.value
    for statement in view.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name() as target], value=ast.Call() as made):
                if isinstance(app, ast.Name) and target.id == app.id and view.is_a(made, None, *_APPLICATIONS):
                    return target, made
    return None, None


def _event(function: FunctionInfo) -> bool:
    return any("on_event" in ast.unparse(decorator) for decorator in function.node.decorator_list)
