"""The dependency that could give an endpoint its session, and does nothing else; nothing else of a request has it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo, FunctionNode, Value
from leakfix.project.requirements import only_before
from leakfix_codemods.fastapi._homes import home_of, is_bound_above, variables_in
from leakfix_codemods.fastapi._injected import DEPENDS
from leakfix_codemods.fastapi._sessions import EndpointSession, endpoint_sessions, first_line

_FOR_ALL = re.compile(rb"\bdependencies\s*=")
_LIBRARIES = ("fastapi.", "fastapi_users.", "starlette.")
_DEEPEST = 6


@dataclass(frozen=True)
class Dependency:
    """A dependency that yields what a factory makes. made: it does not exist yet and goes behind this statement."""

    name: str
    function: FunctionInfo | None
    made: ast.stmt | None = None


def dependency_for(view: View, session: EndpointSession) -> Dependency | None:
    """A dependency that yields sessions made in the same way, or one to be made where several endpoints need it."""
    line = first_line(session.function.node)
    for name in view.module.names:
        for symbol in view.names.module_name(view.module, name):
            found = view.names.function(symbol)
            if found is not None and is_bound_above(view, name, line):
                home = view.elsewhere(found[0])
                if _yields_same(home, found[1], view, session):
                    return None if _is_shared(view, session.function, symbol) else Dependency(name, found[1])
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
                if all(statement.lineno < first_line(other.function.node) for other in alike):
                    return Dependency("get_db" if session.name == "db" else "get_session", None, statement)
    return None


def _yields_same(home: View, function: FunctionInfo, view: View, session: EndpointSession) -> bool:
    """Whether a function only opens, yields and closes what the endpoint opens, given nothing."""
    given = function.node.args
    takes = given.posonlyargs or given.args or given.kwonlyargs or given.vararg or given.kwarg
    if takes or function.owner is not None or function.parent is not None or function.node.decorator_list:
        return False
    if isinstance(function.node, ast.AsyncFunctionDef) != session.resource.asynchronous:
        return False
    made = _only_made(function.node)
    if made is None:
        return False
    wanted = variables_in(view, session.call, session.function)
    return wanted is not None and wanted == variables_in(home, made, function)


def _only_made(node: FunctionNode) -> ast.Call | None:
    """What a generator function makes, yields and closes, where it does nothing beside."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    match body:
        case [ast.With(items=[item], body=inner)] | [ast.AsyncWith(items=[item], body=inner)]:
            made, name = item.context_expr, item.optional_vars
            return made if isinstance(made, ast.Call) and _only_yields(inner, name) else None
        case [
            ast.Assign(targets=[name], value=ast.Call() as made) | ast.AnnAssign(target=name, value=ast.Call() as made),
            ast.Try(body=inner, handlers=handlers, orelse=[], finalbody=[ast.Expr(value=last)]),
        ]:
            tried = ast.Try(body=inner, handlers=handlers, orelse=[], finalbody=[])
            return made if _closes(last, name) and _only_yields([tried], name) else None
    return None


def _only_yields(body: list[ast.stmt], name: ast.expr | None) -> bool:
    """Whether a block yields a variable, and rolls back at most where an exception passes."""
    match body:
        case [ast.Expr(value=ast.Yield(value=ast.Name(id=given)))]:
            return isinstance(name, ast.Name) and name.id == given
        case [ast.Try(body=inner, handlers=handlers, orelse=[], finalbody=[])]:
            return all(_only_rolls_back(handler, name) for handler in handlers) and _only_yields(inner, name)
    return False


def _only_rolls_back(handler: ast.ExceptHandler, name: ast.expr | None) -> bool:
    match handler.body:
        case [ast.Expr(value=first), ast.Raise(exc=None)]:
            return _closes(first, name, "rollback")
        case [ast.Raise(exc=None)]:
            return True
    return False


def _closes(node: ast.expr, name: ast.expr | None, method: str = "close") -> bool:
    call = node.value if isinstance(node, ast.Await) else node
    match call, name:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=used), attr=attr), args=[], keywords=[]), ast.Name(id=given):
            return used == given and attr == method
    return False


def _is_shared(view: View, endpoint: FunctionInfo, dependency: str) -> bool:
    """Whether something else in a request may have a dependency, which FastAPI calls once and gives to all."""
    texts = [text for text in (view.module.source.data, *view.texts("dependencies")) if b"Depends" in text]
    return any(_FOR_ALL.search(text) for text in texts) or _reaches(view, endpoint, dependency, 0)


def _reaches(view: View, function: FunctionInfo, dependency: str, depth: int) -> bool:
    """Whether a function is given a dependency, itself or by what it is given; also where that is not known."""
    for home, call in _injected(view, function):
        if not call.args:
            return True  # a class, whose own parameters are
        if any(name.startswith(_LIBRARIES) for name in home.of(call.args[0])):
            continue
        given = home_of(home, call.args[0])
        if given is None or given.module is None or not isinstance(given.binding, FunctionInfo):
            return True
        other = home.elsewhere(given.module)
        if given.symbol == dependency or depth > _DEEPEST or _reaches(other, given.binding, dependency, depth + 1):
            return True
    return False


def _injected(view: View, function: FunctionInfo) -> Iterator[tuple[View, ast.Call]]:
    """The ``Depends(...)`` in a function's parameters, aliases of annotations followed."""
    given = function.node.args
    written = [argument.annotation for argument in [*given.posonlyargs, *given.args, *given.kwonlyargs]]
    for node in (*written, *given.defaults, *given.kw_defaults):
        if node is None:
            continue
        home = home_of(view, node) if isinstance(node, ast.Name | ast.Attribute) else None
        if home is not None and home.module is not None and isinstance(home.binding, Value):
            yield from _depends_in(view.elsewhere(home.module), home.binding.expression)
        yield from _depends_in(view, node)


def _depends_in(view: View, node: ast.expr) -> Iterator[tuple[View, ast.Call]]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and view.is_a(call.func, None, *DEPENDS):
            yield view, call
