"""What comes from a request: which functions a web framework calls, and who else is given what they get."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice

from leakfix.languages.python.modules import FunctionInfo, own_nodes, parameter_parts
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.caches import parameters
from leakfix.patterns.domain import is_open_parameter, says_closed
from leakfix.patterns.stores import calls_of_kept
from leakfix.patterns.view import View
from leakfix.project.kinds import is_run_once, is_test

_ROUTES = frozenset(
    "route get post put patch delete head options websocket api_route before_request after_request".split()
)
_SENT = frozenset(
    "args values form json GET POST query_params path_params view_args match_info data body query match".split()
)
"""What of a request people write as they like."""
_REQUEST = re.compile(r"(?:^|\.)_?request$")
_PLACEHOLDER = r"[{{<](?:\w+:)?{name}(?::\w+)?[}}>]"
_DEEPEST = 3
_MOST_FILES = 20
"""Files that call something of one name; where there are more, it is no name that tells."""


def is_handler(view: View, function: FunctionInfo) -> bool:
    """Whether a web framework calls a function for a request."""
    hooks = (item.attr for item in function.node.decorator_list if isinstance(item, ast.Attribute))
    if next(_routes(function), None) is not None or not _ROUTES.isdisjoint(hooks):
        return True
    return any(argument.arg == "request" for argument in parameters(function))


def serves_requests(view: View, function: FunctionInfo) -> bool:
    """Whether a web framework calls a function for a request, or what calls it does, a few calls away."""
    waiting, seen = [(view, function, _DEEPEST)], set[str]()
    while waiting:
        user, at, depth = waiting.pop()
        symbol = user.symbol(at)
        if symbol in seen:
            continue
        seen.add(symbol)
        if is_handler(user, at):
            return True
        if depth and not _is_called_everywhere(user, at):
            callers = ((other, other.function_of(call)) for other, call in _calls(user, at))
            waiting += [(other, caller, depth - 1) for other, caller in callers if caller is not None]
    return False


def _is_called_everywhere(view: View, function: FunctionInfo) -> bool:
    """Whether so many files call something of that name that it tells nothing."""
    called = f".{function.node.name}(".encode()
    files = (text for text in view.texts(function.node.name) if called in text)
    return function.owner is not None and len(list(islice(files, _MOST_FILES))) == _MOST_FILES


def _routes(function: FunctionInfo) -> Iterator[ast.Call]:
    for decorator in function.node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
            if decorator.func.attr in _ROUTES:
                yield decorator


def requested(view: View, function: FunctionInfo, node: ast.expr, depth: int = _DEEPEST) -> str:
    """What a request calls a value that an expression is made of, and that can be anything; "" where none is."""
    for item in _parts(function, node):
        match item:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute() as sent, attr="get"), args=[ast.Constant(value=name), *_]
            ):
                pass
            case ast.Subscript(value=ast.Attribute() as sent, slice=ast.Constant(value=name)):
                pass
            case ast.Name(id=given):
                if found := _given(view, function, given, depth):
                    return found
                continue
            case _:
                continue
        if sent.attr in _SENT and _REQUEST.search(ast.unparse(sent.value)) and not says_closed(str(name)):
            return str(name)
    return ""


def _parts(function: FunctionInfo, node: ast.expr) -> Iterator[ast.expr]:
    """The nodes of an expression, and of what its variables are set to."""
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        for item in _own_parts(waiting.pop()):
            yield item
            if isinstance(item, ast.Name) and item.id not in seen:
                seen.add(item.id)
                for step in own_nodes(function.node):
                    match step:
                        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == item.id:
                            waiting.append(value)


def _own_parts(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions in one, without those of which few things are made: a type, a length, a remainder."""
    match node:
        case ast.Call(func=ast.Name(id="type" | "id" | "len" | "bool")) | ast.BinOp(op=ast.Mod(), right=ast.Constant()):
            return
        case ast.expr():
            yield node
    for child in ast.iter_child_nodes(node):
        yield from _own_parts(child)


def _given(view: View, function: FunctionInfo, name: str, depth: int) -> str:
    """The same of a parameter: what the framework sets it to, or who calls the function."""
    argument = next((item for item in parameters(function) if item.arg == name), None)
    if argument is None or not is_open_parameter(view, function, argument):
        return ""
    if next(_routes(function), None) is not None:
        return name if _is_sent(view, function, name) else ""
    for user, caller, value in _arguments(view, function, name) if depth else ():
        if found := requested(user, caller, value, depth - 1):
            return found
    return ""


def _is_sent(view: View, function: FunctionInfo, name: str) -> bool:
    """Whether a parameter of a handler is a part of the address, or for FastAPI of the query."""
    annotation, default = parameter_parts(function.node, name)
    for route in _routes(function):
        path = next((item.value for item in route.args if isinstance(item, ast.Constant)), "")
        if re.search(_PLACEHOLDER.format(name=name), str(path)):
            return True
    plain = annotation is not None and ast.unparse(annotation).removesuffix(" | None") in ("str", "Optional[str]")
    return plain and (default is None or isinstance(default, ast.Constant)) and b"fastapi" in view.module.source.data


def _arguments(view: View, function: FunctionInfo, name: str) -> Iterator[tuple[View, FunctionInfo, ast.expr]]:
    """What the project's functions give for a parameter."""
    for user, call in _calls(view, function):
        caller = user.function_of(call)
        named = next((word.value for word in call.keywords if word.arg == name), None)
        names = [item.arg for item in parameters(function)]
        bound = function.owner is not None and not any("static" in ast.unparse(d) for d in function.node.decorator_list)
        at = names.index(name) - (1 if bound else 0)
        value = call.args[at] if 0 <= at < len(call.args) else named
        if caller is not None and caller is not function and value is not None:
            yield user, caller, value


def _calls(view: View, function: FunctionInfo) -> Iterator[tuple[View, ast.Call]]:
    if function.owner is not None:
        yield from calls_of_kept(view, function.owner, function.node.name)
        for call in view.calls:
            match call.func:
                case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=word) if word == function.node.name:
                    yield view, call
        return
    symbol, word = view.symbol(function), function.node.name
    called = re.compile(rb"(?<!def )\b" + word.encode() + rb"\(")
    others = list(islice(view.others(word, lambda text: called.search(text) is not None), _MOST_FILES))
    for user in (view, *map(view.elsewhere, others)) if len(others) < _MOST_FILES else ():
        if not is_test(user.module.path) and not is_run_once(user.module.path):
            for call in user.calls:
                if name_of(call) == word and symbol in user.of(call.func, user.function_of(call)):
                    yield user, call
