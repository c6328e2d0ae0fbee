"""Engines that live as long as the process, and what their arguments say about the database and the pool."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo, Value
from leakfix.project.deployment import deployment
from leakfix.project.kinds import is_test

_MAKES = frozenset(
    {
        "sqlalchemy.create_engine",
        "sqlalchemy.engine.create_engine",
        "sqlalchemy.engine.create.create_engine",
        "sqlalchemy.ext.asyncio.create_async_engine",
        "sqlalchemy.ext.asyncio.engine.create_async_engine",
        "sqlmodel.create_engine",
    }
)
_SAYS_ALL = frozenset({None, "pool", "creator", "async_creator", "strategy", "module"})
_SERVER = re.compile(r"(?:postgres|postgresql|mysql|mariadb|oracle|mssql|cockroachdb)(?:\+\w+)?(?:://|$)")
_SCHEME = re.compile(r"[a-z][a-z0-9]*(?:\+\w+)?:(?://|$)")
_QUEUES = frozenset({"QueuePool", "AsyncAdaptedQueuePool"})


def engines(view: View) -> Iterator[ast.Call]:
    """Calls that make an engine which is kept: at module level, on an object, in a global, or returned by a factory."""
    for call in view.calls:
        function = view.function_of(call)
        if getattr(call.func, "attr", getattr(call.func, "id", "")) not in ("create_engine", "create_async_engine"):
            continue
        if not view.is_a(call.func, function, *_MAKES) or any(word.arg in _SAYS_ALL for word in call.keywords):
            continue
        if not any(isinstance(argument, ast.Starred) for argument in call.args) and _is_kept(view, call, function):
            yield call


def _is_kept(view: View, call: ast.Call, function: FunctionInfo | None) -> bool:
    statement = view.statement_of(call)
    if function is None:
        return isinstance(statement, ast.Assign | ast.AnnAssign) and not _is_main(view, statement)
    if isinstance(statement, ast.Return):
        return statement.value is call
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is not call:
        return False
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    for node in view.own(function):
        match node:
            case ast.Global(names=declared) if names & set(declared):
                return True
            case ast.Return(value=ast.Name(id=name)) if name in names:
                return True
    return any(isinstance(target, ast.Attribute) for target in targets)


def _is_main(view: View, statement: ast.stmt) -> bool:
    node: ast.AST | None = statement
    while node is not None:
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            return True
        node = view.parents.get(node)
    return False


def _address(call: ast.Call) -> ast.expr | None:
    return call.args[0] if call.args else next((word.value for word in call.keywords if word.arg == "url"), None)


def word_of(call: ast.Call) -> str:
    """An engine's address as the source says it, in short."""
    address = _address(call)
    text = ast.unparse(address) if address is not None else "it"
    return text if len(text) <= 40 else "it"


def is_server(view: View, call: ast.Call) -> bool | None:
    """Whether an engine's address is that of a database server; None where it cannot be seen."""
    address = _address(call)
    if address is None:
        return False
    texts = list(_strings(view, address, view.function_of(call), 0))
    schemes = [text for text in texts if _SCHEME.match(text)]
    if any("sqlite" in text or ":memory:" in text for text in texts):
        return False
    if schemes:
        return all(_SERVER.match(text) for text in schemes)
    if any(_SERVER.fullmatch(text) for text in texts):
        return True
    return False if _may_be_a_file(view) else None


def _strings(view: View, node: ast.expr, function: FunctionInfo | None, depth: int) -> Iterator[str]:
    """The strings an address is made of, through variables of the file."""
    for item in ast.walk(node):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield item.value
        elif isinstance(item, ast.Name) and depth < 3:
            bindings = (function.locals or {}).get(item.id, []) if function is not None else []
            for binding in bindings or view.module.names.get(item.id, []):
                if isinstance(binding, Value) and binding.how == "is":
                    yield from _strings(view, binding.expression, function, depth + 1)


def _may_be_a_file(view: View) -> bool:
    """Whether the project ever speaks of SQLite, its tests left out: then an address that is not seen may be one."""
    if b"sqlite" in view.module.source.data:
        return True
    if any(not is_test(other.path) for word in ("sqlite", "aiosqlite") for other in view.others(word)):
        return True
    return any("sqlite:" in text or "sqlite+" in text for text in deployment(view.module.path).values())


def queues(poolclass: ast.expr | None) -> bool:
    """Whether a pool is one of those that queue; so is the default for a server."""
    return poolclass is None or getattr(poolclass, "attr", getattr(poolclass, "id", "")) in _QUEUES
