"""A connection that is opened when a module is imported and shared by all handlers.

What leaks
----------
``connection = connect(...)`` at module level, used by handlers. It is never closed, and every thread of every worker
uses the same one at the same time.

Why it hurts
------------
A transaction that one request leaves open (a ``SELECT`` is enough on PostgreSQL) stays open for all of them: "idle in
transaction", locks, rows that cannot be vacuumed. A failed statement makes every later one fail until the process is
restarted, and many drivers do not allow one connection in several threads at all (PEP 249, ``threadsafety`` 1).

How it is repaired
------------------
A function opens the connection into ``g`` when a request first needs it, a teardown closes it, and the handlers call
the function. Offered for review: each request then has a transaction of its own, so that what one did not commit is
not seen, or committed, by another.

When it is left alone
---------------------
The connection is used outside functions, passed on, rebound, used in another file, or closed anywhere; it is used in
functions that no request calls; one of them writes and does not commit; the application or blueprint is not made in the
same file.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.growing import is_handler
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import last_line
from leakfix.resources import Resource
from leakfix_codemods.flask._context import APPLICATIONS


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
    """Whether handlers use it, and nothing closes it."""
    uses = _uses(view, name)
    closed = any(getattr(view.parents[node], "attr", "") == "close" for node, _ in uses)
    return not closed and any(function is not None and is_handler(view, function) for _, function in uses)


def repair(view: View, statement: ast.Assign, name: str, call: ast.Call, resource: Resource) -> Fix | Refusal:
    """One connection for each request, in ``g``."""
    refused = _why_not(view, statement, name, resource)
    if refused:
        return Refusal(refused)
    layout = view.layout()
    owner = next(target for target in _applications(view) if target.lineno < statement.lineno)
    whole = any("Flask" in found for found in view.of(owner))
    hook = "teardown_appcontext" if whole else "teardown_app_request"
    unit, opening = layout.unit, f"get_{name}"
    g = imported(view.module, layout, "flask", "g")
    for node, _ in _uses(view, name):
        layout.replace(layout.span(node), f"{opening}()")
    closing = resource.release_code(name, None)
    kept = f"{_stem(view)}_{name}"  # other files may keep something else under the plain name
    lines = [
        f"def {opening}():",
        f'{unit}if "{kept}" not in {g}:',
        f"{unit}{unit}{g}.{kept} = {layout.text(call)}",
        f"{unit}return {g}.{kept}",
        "",
        "",
        f"@{owner.id}.{hook}",
        f"def close_{name}(error):",
        f'{unit}{name} = {g}.pop("{kept}", None)',
        f"{unit}if {name} is not None:",
        f"{unit}{unit}{closing}",
    ]
    before = view.module.source.line_text(statement.lineno - 1).strip() if statement.lineno > 1 else ""
    above = view.module.source.line_text(statement.lineno - 2).strip() if statement.lineno > 2 else ""
    blank = [""] * (2 if before else 1 if above else 0)
    layout.replace(layout.span(statement), layout.newline.join([*blank, *lines]))
    check = (
        "that each request commits what is to be kept, that none needs what another did not commit or the connection "
        "remembers (temporary tables, last row ids), and that nothing streamed needs it"
    )
    return Fix("one connection for each request", Safety.REVIEW, tuple(layout.edits), check)


def _stem(view: View) -> str:
    return view.module.path.removesuffix(".py").rpartition("/")[2]


def _applications(view: View) -> list[ast.Name]:
    return [
        statement.targets[0]
        for statement in view.tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
        if view.is_a(statement.value, None, *APPLICATIONS)
    ]


_BEGINS, _COMMITS = (re.compile(rf"\s*{word}\b", re.IGNORECASE) for word in ("begin", "commit"))
_WRITES = re.compile(r"\s*(?:insert|update|delete|replace|merge|truncate)\b", re.IGNORECASE)


def _leaves_uncommitted(function: FunctionInfo, name: str, begun: bool) -> bool:
    """Whether a function executes a statement that writes, and nothing that commits.

    begun: each statement is committed at once, but for what a ``BEGIN`` begins.
    """
    nodes = list(own_nodes(function.node))
    blocks = [item for node in nodes if isinstance(node, ast.With) for item in node.items]
    if any(isinstance(item.context_expr, ast.Name) and item.context_expr.id == name for item in blocks):
        return False
    called = {name_of(node): node for node in nodes if isinstance(node, ast.Call)}
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if {"commit", "begin"} & called.keys() or any(map(_COMMITS.match, texts)):
        return False
    return any(map((_BEGINS if begun else _WRITES).match, texts))


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
    if not any(target.lineno < statement.lineno for target in _applications(view)):
        return "the application is not made in this file before it: where its teardown belongs is for you to decide"
    if any(_is_in_memory(node) for node in ast.walk(statement)):
        return "its database is in memory: each request would have one of its own"
    if resource.release_code(name, None) is None or resource.asynchronous:
        return f"how the {resource.noun} is closed is not known here"
    stores = [node for node in view.uses(name, None) if isinstance(node.ctx, ast.Store)]
    outer = {word for node in ast.walk(view.tree) if isinstance(node, ast.Global) for word in node.names}
    if len([node for node in stores if view.function_of(node) is None]) != 1 or name in outer:
        return f"{name} is bound again somewhere"
    if any(function is None or not is_handler(view, function) for _, function in uses):
        return f"{name} is also used outside requests"
    if not all(isinstance(view.parents[node], ast.Attribute | ast.withitem) for node, _ in uses):
        return f"{name} is passed on"
    for function in {function.qualname: function for _, function in uses if function is not None}.values():
        if _leaves_uncommitted(function, name, begun=_is_autocommit(statement.value)):
            return f"{function.node.name}() writes and does not commit: another request may do that"
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


CODEMOD = PatternCodemod(
    find=find,
    noun="connection",
    repairs="one connection for each request, in g, closed in a teardown",
    imports=("flask",),
    shape=r"^\w+\s*=\s*[\w.]*connect\(",
    category=Category.LEAK,
)
