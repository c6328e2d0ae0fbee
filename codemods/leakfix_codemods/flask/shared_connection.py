"""A connection that is opened when a module is imported and shared by all handlers.

What leaks
----------
``connection = connect(...)`` at module level, used by handlers or by functions that they call, of this file or another.
It is never closed, and every thread of every worker uses the same one at the same time.

Why it hurts
------------
A transaction that one request leaves open (a ``SELECT`` is enough on PostgreSQL) stays open for all of them: "idle in
transaction", locks, rows that cannot be vacuumed. A failed statement makes every later one fail until the process is
restarted, and many drivers do not allow one connection in several threads at all (PEP 249, ``threadsafety`` 1).

How it is repaired
------------------
A function opens the connection into ``g`` when a request first needs it, a teardown closes it, and what used the
connection calls the function. Where the application is made in another file, the teardown is connected to Flask's
signal ``appcontext_tearing_down``. Offered for review: each request then has a transaction of its own, so that what one
did not commit is not seen, or committed, by another.

When it is left alone
---------------------
It is closed anywhere, or every use of it stands under a lock. Without a repair: it is used outside functions, passed
on, rebound or used in another file; it is used in functions that are called outside requests, too, or are handed on;
one of them writes and does not commit.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.languages.python.syntax import name_of
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import Layout, last_line
from leakfix.resources import Resource
from leakfix.source import Span
from leakfix_codemods._functions import blank_above
from leakfix_codemods.flask._context import with_teardown
from leakfix_codemods.flask._requests import callers, outside_requests, serves_request

_LOCK = re.compile(r"(?:^|[._])r?(?:lock|mutex)$", re.IGNORECASE)


def find(view: View) -> Iterator[Match]:
    """Connections of a module that its handlers use."""
    for statement in view.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                resource = view.acquired(view.module, None, call)
                if resource is not None and resource.noun == "connection" and _is_shared(view, name):
                    yield Match(
                        call,
                        f"{name} is one {resource.noun} for all requests and threads, and is never closed",
                        partial(repair, view, statement, name, call, resource),
                        Severity.WARNING,
                        "forever",
                        identity=name,
                    )


def _uses(view: View, name: str) -> list[tuple[ast.Name, FunctionInfo | None]]:
    own = [node for node in view.uses(name, None) if isinstance(node.ctx, ast.Load)]
    return [(node, function) for node in own if not _is_local(function := view.function_of(node), name)]


def _is_local(function: FunctionInfo | None, name: str) -> bool:
    while function is not None:
        bound = [n for n in ast.walk(function.node) if isinstance(n, ast.Name) and n.id == name]
        if any(isinstance(node.ctx, ast.Store) for node in bound):
            return True
        function = function.parent
    return False


def _is_shared(view: View, name: str) -> bool:
    """Whether handlers use it or what is made of it, and nothing closes it."""
    uses = _uses(view, name)
    if any(getattr(view.parents[node], "attr", "") == "close" for node, _ in uses):
        return False
    if all(function is None or _is_locked(view, node) for node, function in uses):
        return False
    made = [target for node, function in uses if function is None for target in _made_of(view, node)]
    functions = {function.qualname: function for word in (name, *made) for _, function in _uses(view, word) if function}
    return any(serves_request(view, function) for function in functions.values())


def _is_locked(view: View, node: ast.AST) -> bool:
    """Whether one thread at a time gets to a place: ``with lock:``."""
    at: ast.AST | None = node
    while at is not None:
        items = at.items if isinstance(at, ast.With) else []
        if any(_LOCK.search(ast.unparse(item.context_expr)) for item in items):
            return True
        at = view.parents.get(at)
    return False


def _made_of(view: View, node: ast.expr) -> Iterator[str]:
    """The name of the module that is given what a call on it returns: ``cursor = connection.cursor()``."""
    match view.statement_of(node):
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Attribute(value=value))) if value is node:
            yield name


def repair(view: View, statement: ast.Assign, name: str, call: ast.Call, resource: Resource) -> Fix | Refusal:
    """One connection for each request, in ``g``."""
    refused = _why_not(view, statement, name, resource)
    if refused:
        return Refusal(refused)
    kept = f"{_stem(view)}_{name}"  # other files may keep something else under the plain name
    closing = resource.release_code(name, None)
    unit, opening = view.layout().unit, f"get_{name}"
    g = imported(view.module, view.layout(), "flask", "g")
    body = [f'{name} = {g}.pop("{kept}", None)', f"if {name} is not None:", f"{unit}{closing}"]
    layout = with_teardown(view, statement, f"close_{name}", body)
    if isinstance(layout, Refusal):
        return layout
    imported(view.module, layout, "flask", "g")
    for node, _ in _uses(view, name):
        layout.replace(layout.span(node), f"{opening}()")
    lines = [
        f"def {opening}():",
        f'{unit}if "{kept}" not in {g}:',
        f"{unit}{unit}{g}.{kept} = {layout.text(call)}{_comment(view, layout, statement)}",
        f"{unit}return {g}.{kept}",
    ]
    above, blank = blank_above(view.module.source, statement.lineno)
    layout.add_before(above, *blank)
    layout.replace(layout.span(statement), layout.newline.join(lines))
    check = (
        "that each request commits what is to be kept, that none needs what another did not commit or the connection "
        "remembers (temporary tables, last row ids), and that nothing streamed needs it"
    )
    return Fix("one connection for each request", Safety.REVIEW, tuple(layout.edits), check)


def _comment(view: View, layout: Layout, statement: ast.stmt) -> str:
    """The comment behind a statement, which is taken from there."""
    end = layout.span(statement).end
    behind = view.module.source.data[end:].partition(b"\n")[0].rstrip()
    if not behind.lstrip().startswith(b"#"):
        return ""
    layout.replace(Span(end, end + len(behind)), "")
    return behind.decode()


def _stem(view: View) -> str:
    return view.module.path.removesuffix(".py").rpartition("/")[2]


_BEGINS, _COMMITS = (re.compile(rf"\s*{word}\b", re.IGNORECASE) for word in ("begin", "commit"))
_WRITES = re.compile(r"\s*(?:insert|update|delete|replace|merge|truncate)\b", re.IGNORECASE)


def _commits(function: FunctionInfo, name: str) -> bool:
    """Whether a function says somewhere that what it wrote is to be kept."""
    for node in own_nodes(function.node):
        match node:
            case ast.withitem(context_expr=ast.Name(id=entered)) if entered == name:
                return True
            case ast.Call() if name_of(node) in ("commit", "begin"):
                return True
            case ast.Constant(value=str(text)) if _COMMITS.match(text):
                return True
    return False


def _writes(function: FunctionInfo, begun: bool) -> bool:
    """Whether a statement that writes stands in a function; one that begins a transaction, where others do not."""
    texts = (node.value for node in own_nodes(function.node) if isinstance(node, ast.Constant))
    return any((_BEGINS if begun else _WRITES).match(text) for text in texts if isinstance(text, str))


def _is_autocommit(made: ast.expr) -> bool:
    """Whether a connection is made so that each statement is committed at once."""
    given = made.keywords if isinstance(made, ast.Call) else []
    modes = {word.arg: word.value.value for word in given if isinstance(word.value, ast.Constant)}
    return modes.get("isolation_level", ...) is None or modes.get("autocommit") is True


def _is_in_memory(node: ast.AST) -> bool:
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and (text == "" or ":memory:" in text or "mode=memory" in text)


def _why_not(view: View, statement: ast.Assign, name: str, resource: Resource) -> str:
    layout = view.layout()
    uses = _uses(view, name)
    if any(_is_in_memory(node) for node in ast.walk(statement)):
        return "its database is in memory: each request would have one of its own"
    if resource.release_code(name, None) is None or resource.asynchronous:
        return f"how the {resource.noun} is closed is not known here"
    stores = [node for node in view.uses(name, None) if isinstance(node.ctx, ast.Store)]
    outer = {word for node in ast.walk(view.tree) if isinstance(node, ast.Global) for word in node.names}
    if len([node for node in stores if view.function_of(node) is None]) != 1 or name in outer:
        return f"{name} is bound again somewhere"
    targets = [
        target
        for node in ast.walk(view.tree)
        if isinstance(node, ast.comprehension)
        for target in ast.walk(node.target)
    ]
    if any(isinstance(target, ast.Name) and target.id == name for target in targets):
        return f"{name} means something else in a comprehension"
    for given in ast.walk(statement.value):
        if isinstance(given, ast.Name) and len(view.module.names.get(given.id, ())) > 1:
            return f"{given.id}, of which it is made, is bound again: each request would meet what it is then"
    functions = {function.qualname: function for _, function in uses if function is not None}
    if any(function is None for _, function in uses):
        return f"{name} is also used outside requests"
    if not all(isinstance(view.parents[node], ast.Attribute | ast.withitem) for node, _ in uses):
        return f"{name} is passed on"
    for function in functions.values():
        if place := outside_requests(view, function):
            return f"{name} is also used outside requests: {function.node.name}() at {place}"
    for function in functions.values():
        if writing := _written_uncommitted(view, function, name, begun=_is_autocommit(statement.value)):
            return f"{writing}() writes and does not commit: another request may do that"
    if not layout.stands_alone(statement) or statement.lineno != last_line(statement):
        return "it is opened in a statement of several lines"
    taken = {info.node.name for info in view.functions} | set(view.module.names)
    if taken & {f"get_{name}", f"close_{name}"}:
        return f"the names get_{name} and close_{name} are taken"
    stem = _stem(view).encode()
    words = (f"import {name}".encode(), f", {name}".encode(), f".{name}".encode())
    if any(stem in text and any(word in text for word in words) for text in view.texts(name)):
        return f"{name} may be used in another file"
    return ""


def _written_uncommitted(view: View, function: FunctionInfo, name: str, begun: bool) -> str:
    """The function that writes, itself or by a text it hands to one that uses the connection, and does not commit."""
    if _commits(function, name):
        return ""
    above = [caller for _, caller, _ in callers(view, function) if caller is not None and not _commits(caller, name)]
    return next((one.node.name for one in (function, *above) if _writes(one, begun)), "")


CODEMOD = PatternCodemod(
    find=find,
    noun="connection",
    repairs="one connection for each request, in g, closed in a teardown",
    words=("connect",),
    shape=r"^\w+\s*=\s*[\w.]*connect\(",
    category=Category.LEAK,
)
