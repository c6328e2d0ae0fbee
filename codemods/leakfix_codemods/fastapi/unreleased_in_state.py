"""A session or connection that a middleware opens into ``request.state`` and does not release whatever happens.

What leaks
----------
A middleware sets ``request.state.db = SessionLocal()``, calls ``call_next(request)`` and closes the session behind
that, or not at all. Where an endpoint raises, the exception passes the line that closes.

Why it hurts
------------
Each request that fails keeps a connection, for as long as anything refers to the request; a service that is in trouble
loses its pool that way, and then fails for everybody.

How it is repaired
------------------
What follows moves into ``try``, and the ``finally`` releases it. Where nothing released it so far, the repair is
offered for review: a streamed response is sent after ``call_next`` has returned, and may still ask the database.

When it is left alone
---------------------
It is released in a ``finally``, held by ``with``, or released under that name anywhere else in the project. Reported
without a repair where it is opened inside a block of the middleware, or used again after it was released.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Match, PatternCodemod, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.resources import Resource
from leakfix_codemods._attributes import TELLS, Opened, mentions, names, releases, repair

_RELEASES = re.compile(r"(?:^|_)(?:a?close|release|remove|clean|dispose|finish|teardown|put|end|exit)", re.IGNORECASE)


def find(view: View) -> Iterator[Match]:
    """What middlewares open into the state of a request."""
    for function in view.functions:
        request = _request_of(function)
        for item in _opened(view, function, request) if request else ():
            if not _is_released(view, item):
                yield Match(
                    item.call,
                    f"{item.resource.noun} in {request}.state is not released if the request fails",
                    partial(repair, view, item),
                    Severity.WARNING if any(releases(item, function.node.body)) else Severity.ERROR,
                    item.resource.held,
                    identity=item.attribute,
                )


def _request_of(function: FunctionInfo) -> str:
    """What a middleware calls the request; "" for any other function."""
    given = [argument.arg for argument in function.node.args.args]
    if not isinstance(function.node, ast.AsyncFunctionDef) or len(given) < 2:
        return ""
    by_decorator = any(name_of(item) == "middleware" for item in function.node.decorator_list)
    return given[-2] if by_decorator or given[-1] == "call_next" else ""


def _opened(view: View, function: FunctionInfo, request: str) -> Iterator[Opened]:
    assigned: dict[str, tuple[ast.stmt, ast.Call, Resource]] = {}
    for node in view.own(function):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        made = view.acquired(view.module, function, value) if isinstance(value, ast.Call) else None
        match node.targets[0]:
            case ast.Name(id=name) if made is not None and isinstance(value, ast.Call):
                assigned[name] = node, value, made
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id=owner), attr="state"), attr=attribute) as place:
                if owner != request:
                    continue
                if made is not None and isinstance(value, ast.Call):
                    known = frozenset({ast.unparse(place), *_aliases(view, function, ast.unparse(place))})
                    yield Opened(function, node, value, made, attribute, known)
                elif isinstance(value, ast.Name) and value.id in assigned:
                    names = frozenset({ast.unparse(place), value.id})
                    yield Opened(function, *assigned[value.id], attribute, names)


def _aliases(view: View, function: FunctionInfo, place: str) -> Iterator[str]:
    for node in view.own(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute() as value) if ast.unparse(value) == place:
                yield name


def _may_release(call: ast.Call) -> bool:
    """Whether a call is spelled like a release, or is given the request with all that its state holds."""
    if TELLS.search(ast.unparse(call.func)):
        return False
    return _RELEASES.search(name_of(call)) is not None or any(name_of(given) == "request" for given in call.args)


def _is_released(view: View, item: Opened) -> bool:
    """Whether it is released whatever happens, or anywhere else in the project."""
    own_nodes = list(view.own(item.function))
    final = [step for node in own_nodes if isinstance(node, ast.Try) for step in node.finalbody]
    ends = [node for step in final for node in ast.walk(step) if isinstance(node, ast.Call)]
    if any(map(_may_release, ends)) or any(mentions(item, step) for step in final):
        return True  # there, or by what it calls there
    scopes = [
        scope.context_expr for node in own_nodes if isinstance(node, ast.With | ast.AsyncWith) for scope in node.items
    ]
    given_back = {id(call) for call in releases(item, item.function.node.body)}
    calls = (node for node in own_nodes if isinstance(node, ast.Call) and id(node) not in given_back)
    handed = [given for node in calls if not TELLS.search(ast.unparse(node.func)) for given in node.args]
    if any(names(item, scope) for scope in scopes) or any(names(item, given) for given in handed):
        return True
    words = "|".join(map(re.escape, (*item.resource.release, *item.resource.release_with)))
    place = rf"\.state\.{item.attribute}\b"
    elsewhere = re.compile(rf"{place}\.(?:{words})\(|\b(?:{words})\([^()]*{place}".encode())
    own = [info for info in view.functions if info is not item.function and info.parent is not item.function]
    texts = (ast.unparse(info.node).encode() for info in own)
    return any(map(elsewhere.search, texts)) or any(map(elsewhere.search, view.texts("state")))


CODEMOD = PatternCodemod(
    find=find,
    imports=("fastapi", "starlette"),
    shape=r"\.state\.\w+\s*=[^=]",
    noun="session",
    repairs="try/finally round call_next",
    category=Category.LEAK,
)
