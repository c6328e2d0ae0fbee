"""Sessions that endpoints open for themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo, FunctionNode, Import, own_nodes
from leakfix.languages.python.syntax import name_of
from leakfix.resources import Resource

_ROUTERS = ("fastapi.FastAPI()", "fastapi.APIRouter()", "fastapi.applications.FastAPI()", "fastapi.routing.APIRouter()")
_ROUTES = frozenset("get post put patch delete head options trace api_route".split())
_OUTSIDE = ("requests.", "httpx.", "aiohttp.", "urllib.", "smtplib.", "boto3.", "openai.", "subprocess.", "time.sleep")
_LATER = frozenset({"StreamingResponse", "EventSourceResponse", "BackgroundTasks", "BackgroundTask", "add_task"})


@dataclass(frozen=True)
class EndpointSession:
    """``name = Factory()`` at the top of an endpoint's body."""

    function: FunctionInfo
    statement: ast.Assign
    name: str
    call: ast.Call
    resource: Resource


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
    """Whether routes, and nothing else that may look at its parameters, decorate a function."""
    decorators = function.node.decorator_list
    return bool(decorators) and all(_is_route(view, decorator) for decorator in decorators)


def _is_route(view: View, decorator: ast.expr) -> bool:
    match decorator:
        case ast.Call(func=ast.Attribute(value=router, attr=method)) if method in _ROUTES:
            return view.is_a(router, None, *_ROUTERS)
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
    named = re.compile(rb"[\"'][\w.]+[.:]" + name.encode() + rb"[\"']")  # asked for by its name in a text
    if named.search(view.module.source.data) or any(map(named.search, view.texts(name))):
        return True
    return any(wanted.search(text) for text in view.texts(name) if _module_word(view).encode() in text)


def is_replaced(view: View, call: ast.Call) -> bool:
    """Whether tests of the project put something else in the place of what makes a session, where it is called."""
    word = name_of(call)
    replaced = re.compile(rb"(?:patch|setattr)\w*\([^\n]*[\"'](?:[\w.]+\.)?" + word.encode() + rb"[\"']")
    return any(replaced.search(text) for text in (view.module.source.data, *view.texts(word)))


def changes_thread(session: EndpointSession) -> bool:
    """Whether a dependency would close in a worker's thread what an endpoint uses in that of the event loop."""
    return isinstance(session.function.node, ast.AsyncFunctionDef) and not session.resource.asynchronous


def is_last_use(view: View, session: EndpointSession) -> bool:
    """Whether a module is imported only for the call that makes a session."""
    for node in ast.walk(session.call.func):
        if isinstance(node, ast.Name) and len(view.uses(node.id, None)) == 1:
            if any(isinstance(item, Import) and item.attribute is None for item in view.module.names.get(node.id, ())):
                return True
    return False


def _module_word(view: View) -> str:
    return re.split(r"[/\\]", view.module.path)[-1].removesuffix(".py")


def first_line(node: FunctionNode) -> int:
    """The line a function begins at, with what decorates it."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
