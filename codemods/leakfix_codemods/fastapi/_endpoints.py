"""Sessions that endpoints open for themselves, the dependency that could give them, and the parameter for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.codemod import Fix, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.patterns.generators import why_not_entered
from leakfix.project.requirements import only_before
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import Layout, last_line
from leakfix.resources import Resource
from leakfix_codemods.fastapi._injected import DEPENDS

_ROUTERS = ("fastapi.FastAPI()", "fastapi.APIRouter()", "fastapi.applications.FastAPI()", "fastapi.routing.APIRouter()")
_ROUTES = frozenset("get post put patch delete head options trace api_route".split())
_OUTSIDE = ("requests.", "httpx.", "aiohttp.", "urllib.", "smtplib.", "boto3.", "openai.", "subprocess.", "time.sleep")
_LATER = frozenset({"StreamingResponse", "EventSourceResponse", "BackgroundTasks", "BackgroundTask", "add_task"})
_ANNOTATED = ("typing.Annotated", "typing_extensions.Annotated")


@dataclass(frozen=True)
class EndpointSession:
    """``name = Factory()`` at the top of an endpoint's body."""

    function: FunctionInfo
    statement: ast.Assign
    name: str
    call: ast.Call
    resource: Resource


@dataclass(frozen=True)
class Dependency:
    """A dependency that yields what a factory makes. made: it does not exist yet and goes behind this statement."""

    name: str
    function: FunctionInfo | None
    made: ast.stmt | None = None


def endpoint_sessions(view: View) -> Iterator[EndpointSession]:
    """The sessions that endpoints of a file open unconditionally, and nothing else under that name."""
    for function in view.functions:
        if function.parent is not None or not _is_endpoint(view, function):
            continue
        for statement in function.node.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                    resource = view.acquired(view.module, function, call)
                    if resource is not None and resource.objects and _is_only(view, function, name):
                        yield EndpointSession(function, statement, name, call, resource)


def _is_endpoint(view: View, function: FunctionInfo) -> bool:
    for decorator in function.node.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(value=router, attr=method)) if method in _ROUTES:
                if view.is_a(router, None, *_ROUTERS):
                    return True
    return False


def _is_only(view: View, function: FunctionInfo, name: str) -> bool:
    """Whether a name is bound once, is no parameter, and is not seen by an inner function."""
    uses = view.uses(name, function)
    given = function.node.args
    taken = {a.arg for a in [*given.posonlyargs, *given.args, *given.kwonlyargs]}
    own = {node for node in own_nodes(function.node) if isinstance(node, ast.Name)}
    stores = [node for node in uses if not isinstance(node.ctx, ast.Load)]
    return len(stores) == 1 and name not in taken and all(node in own for node in uses)


def outlasts(view: View, function: FunctionInfo) -> bool:
    """Whether an endpoint does what takes long, or hands something on that lives longer than its call."""
    for node in ast.walk(function.node):
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        word = getattr(node, "id", getattr(node, "attr", ""))
        if word in _LATER or word in ("sleep", "urlopen", "sendmail", "send_message"):
            return True
        if isinstance(node, ast.Call) and any(name.startswith(_OUTSIDE) for name in view.of(node.func, function)):
            return True
    return False


def is_called(view: View, function: FunctionInfo) -> bool:
    """Whether the project calls or mentions the endpoint itself."""
    name = function.node.name
    if function.owner is not None or view.uses(name, None):
        return True
    wanted = re.compile(rb"(?:import[^\n]*|\.)\b" + name.encode() + rb"\b")
    return any(wanted.search(text) for text in view.texts(name) if _module_word(view).encode() in text)


def _module_word(view: View) -> str:
    return re.split(r"[/\\]", view.module.path)[-1].removesuffix(".py")


def dependency_for(view: View, session: EndpointSession) -> Dependency | None:
    """A dependency that yields sessions made in the same way, or one to be made where several endpoints need it."""
    for name in view.module.names:
        for symbol in view.names.module_name(view.module, name):
            found = view.names.function(symbol)
            if found is not None and _yields_same(view.elsewhere(found[0]), found[1], view, session):
                return Dependency(name, found[1])
    if only_before(view.module.path, "sqlalchemy 2.0"):
        return None  # FastAPI may close it in another thread, which its connections to SQLite allow since then
    alike = [other for other in endpoint_sessions(view) if ast.dump(other.call) == ast.dump(session.call)]
    factory = session.call.func
    made_of = factory if isinstance(factory, ast.Name) and not session.call.args else None
    if len(alike) < 2 or made_of is None or session.call.keywords:
        return None
    for statement in view.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call()) if name == made_of.id:
                return Dependency("get_db" if session.name == "db" else "get_session", None, statement)
    return None


def _yields_same(home: View, function: FunctionInfo, view: View, session: EndpointSession) -> bool:
    """Whether a function only opens, yields and closes what the endpoint opens, given nothing."""
    given = function.node.args
    required = len(given.posonlyargs) + len(given.args) - len(given.defaults)
    if required or given.vararg or given.kwarg or function.owner is not None or why_not_entered(function):
        return False
    if isinstance(function.node, ast.AsyncFunctionDef) != session.resource.asynchronous:
        return False
    wanted = set(view.of(session.call.func, session.function))
    arguments = ast.dump(ast.Tuple(session.call.args)) + "".join(map(ast.dump, session.call.keywords))
    for node in own_nodes(function.node):
        if isinstance(node, ast.Call) and wanted.intersection(home.of(node.func, function)):
            return ast.dump(ast.Tuple(node.args)) + "".join(map(ast.dump, node.keywords)) == arguments
    return False


# -- the repair -------------------------------------------------------------------------------------------------------


def with_parameter(view: View, session: EndpointSession, dependency: Dependency) -> Fix | Refusal:
    """Take the session as a parameter, and take out what opened and closed it."""
    layout = view.layout()
    refused = _without(view, layout, session)
    if refused is not None:
        return refused
    if dependency.made is not None:
        if dependency.name in view.module.names:
            return Refusal(f"the name {dependency.name} means something else here")
        _add_dependency(view, layout, session, dependency)
    style, annotation = _style(view, dependency)
    depends = f"{imported(view.module, layout, 'fastapi', 'Depends')}({dependency.name})"
    annotation = annotation or _type_of(view, session)
    if style == "alias":
        text = f"{session.name}: {annotation}"
    elif style == "annotated" and annotation:
        text = f"{session.name}: {_annotated(view)}[{annotation}, {depends}]"
    else:
        style = "default"
        text = f"{session.name}: {annotation} = {depends}" if annotation else f"{session.name}={depends}"
    _add_parameter(view, layout, session.function, text, has_default=style == "default")
    return Fix(f"take the session from {dependency.name}()", Safety.SAFE, tuple(layout.edits))


def _without(view: View, layout: Layout, session: EndpointSession) -> Refusal | None:
    """Delete the opening and the closing statements."""
    gone: list[ast.stmt] = [session.statement]
    for use in view.uses(session.name, session.function):
        attribute = view.parents[use]
        if isinstance(attribute, ast.Attribute) and attribute.attr in session.resource.release:
            statement = view.statement_of(use)
            if not isinstance(statement, ast.Expr):
                return Refusal("it is closed in the middle of a statement")
            gone.append(statement)
    for statement in gone:
        suite = next(
            part
            for part in (getattr(view.parents[statement], name, None) for name in ("body", "orelse", "finalbody"))
            if isinstance(part, list) and statement in part
        )
        if not layout.stands_alone(statement) or all(other in gone for other in suite):
            return Refusal("the statements that open and close it do not stand alone")
        layout.delete(statement.lineno, last_line(statement))
    body = session.function.node.body
    before = body[: body.index(session.statement)]
    if not before or (len(before) == 1 and ast.get_docstring(session.function.node) is not None):
        line = last_line(session.statement) + 1
        while line < (last_line(session.function.node)) and not view.module.source.line_text(line).strip():
            layout.delete(line, line)
            line += 1
    return None


def _add_dependency(view: View, layout: Layout, session: EndpointSession, dependency: Dependency) -> None:
    assert dependency.made is not None
    unit = layout.indent_of(session.function.node.body[0].lineno) or "    "
    prefix = "async " if session.resource.asynchronous else ""
    lines = [
        "",
        "",
        f"{prefix}def {dependency.name}():",
        f"{unit}{prefix}with {layout.text(session.call)} as {session.name}:",
        f"{unit}{unit}yield {session.name}",
    ]
    last = last_line(dependency.made)
    following = next((node for node in view.tree.body if node.lineno > last), None)
    after = layout.source.line_text(last + 2) if following is not None else ""
    layout.add_after(last, *lines, *([""] if after.strip() else []))


def _style(view: View, dependency: Dependency) -> tuple[str, str]:
    """How the file takes this dependency, or others: "alias", "annotated" or "default", with the type written there."""
    fallback = ("default", "")
    for call in view.calls:
        if not (call.args and view.is_a(call.func, None, *DEPENDS)):
            continue
        same = isinstance(call.args[0], ast.Name) and call.args[0].id == dependency.name
        above = view.parents[call]
        if isinstance(above, ast.Tuple) and isinstance(view.parents[above], ast.Subscript):
            subscript = view.parents[above]
            holder = view.parents[subscript]
            if same and isinstance(holder, ast.Assign) and isinstance(holder.targets[0], ast.Name):
                return "alias", holder.targets[0].id
            fallback = ("annotated", ast.unparse(above.elts[0]) if same else fallback[1])
        elif same and isinstance(above, ast.arguments):
            return "default", _annotation_of(above, call)
    return fallback


def _annotation_of(arguments: ast.arguments, default: ast.expr) -> str:
    given = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(reversed(given), reversed(arguments.defaults), strict=False)]
    pairs += [(one, value) for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value]
    return next((ast.unparse(one.annotation) for one, value in pairs if value is default and one.annotation), "")


def _type_of(view: View, session: EndpointSession) -> str:
    """The session's class under the name the file knows it by."""
    made = session.call.func
    if isinstance(made, ast.Name) and made.id[:1].isupper() and made.id in view.module.names:
        if any(name.rpartition(".")[2] == made.id and not name.endswith("()") for name in view.of(made, None)):
            return made.id
    for name in ("Session", "AsyncSession"):
        if (name == "AsyncSession") == session.resource.asynchronous:
            if any(found.endswith(f".{name}") for found in view.names.module_name(view.module, name)):
                return name
    return ""


def _annotated(view: View) -> str:
    for name in view.module.names:
        if any(found in _ANNOTATED for found in view.names.module_name(view.module, name)):
            return name
    return "Annotated"


def _add_parameter(view: View, layout: Layout, function: FunctionInfo, text: str, has_default: bool) -> None:
    given = function.node.args
    source = view.module.source
    positional = [*given.posonlyargs, *given.args]
    if not positional:
        at = source.data.index(b"(", source.offset(function.node.lineno, function.node.col_offset)) + 1
        rest = given.vararg or given.kwonlyargs or given.kwarg
        layout.insert(at, text + (", " if rest else ""))
        return
    first_default = len(positional) - len(given.defaults)
    if not has_default and given.defaults:
        target = positional[first_default]
        separator = (
            f",{layout.newline}{layout.indent_of(target.lineno)}" if _is_own_line(function, positional) else ", "
        )
        layout.insert(source.offset(target.lineno, target.col_offset), text + separator)
        return
    last: ast.expr | ast.arg = given.defaults[-1] if given.defaults else positional[-1]
    end = source.offset(last.end_lineno or 0, last.end_col_offset or 0)
    own_line = _is_own_line(function, positional)
    separator = f",{layout.newline}{layout.indent_of(positional[-1].lineno)}" if own_line else ", "
    layout.insert(end, separator + text)


def _is_own_line(function: FunctionInfo, positional: list[ast.arg]) -> bool:
    """Whether the parameters stand on lines of their own."""
    lines = [argument.lineno for argument in positional]
    return lines[0] != function.node.lineno and len(set(lines)) == len(lines)
