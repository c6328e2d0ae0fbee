"""A transaction begun by hand on SQLite, and ended only where all goes well.

What leaks
----------
``connection.execute("BEGIN IMMEDIATE")`` on a connection that outlives the function, of an object, a module or a
caller, and a ``COMMIT`` that an early ``return`` or an exception skips.

Why it hurts
------------
The transaction goes on and keeps its lock: every other process that wants to write waits and fails with "database is
locked", and the next ``BEGIN`` of this one with "cannot start a transaction within a transaction".

How it is repaired
------------------
What follows the ``BEGIN`` moves into ``try``, and the ``finally`` calls ``connection.rollback()``: it undoes what was
not committed, and does nothing where no transaction is open ("Connection.rollback", Python's documentation; so does
aiosqlite's, which is awaited). Offered for review: where the function returned early, the next commit on the connection
took along what it had written.

When it is left alone
---------------------
Connections that the function opens itself, whose end is the transaction's; functions that do not commit, whose callers
do; those that roll back in a ``finally`` or in a handler of whatever is raised, by a statement, a call or a function
they call; other databases' drivers.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.project.kinds import is_test
from leakfix_codemods._blocks import is_laid_out, put_in_try

_BEGINS = re.compile(r"\s*BEGIN\b", re.IGNORECASE)
_COMMITS = re.compile(r"\s*(?:COMMIT|END)\b", re.IGNORECASE)
_UNDOES = re.compile(r"\s*ROLLBACK\b(?!\s+TO\b)", re.IGNORECASE)
_OF_SQLITE = re.compile(r"(?:aio)?sqlite3?\..*")
_ALL = frozenset({"Exception", "BaseException"})


def find(view: View) -> Iterator[Match]:
    """Functions that begin a transaction by a statement, and commit it on some of their ways."""
    if is_test(view.module.path):
        return
    for function in view.functions:
        for node in view.own(function):
            match node:
                case ast.Expr(value=ast.Call() as call) | ast.Expr(value=ast.Await(value=ast.Call() as call)):
                    connection = _run_on(call, _BEGINS)
                    if connection is not None and _is_lent(view, function, connection):
                        if _commits(view, function, connection) and not _is_undone_by_anybody(view, function):
                            yield Match(
                                call,
                                "the transaction goes on where the function is left before it commits",
                                partial(repair, view, function, node, connection),
                                Severity.ERROR,
                                "forever",
                            )


def _run_on(call: ast.Call, statement: re.Pattern[str]) -> ast.expr | None:
    """The connection that a constant statement is run on, where it is one of some kind."""
    match call:
        case ast.Call(func=ast.Attribute(value=value, attr="execute"), args=[ast.Constant(value=str() as text), *_]):
            return value if statement.match(text) else None
    return None


def _is_lent(view: View, function: FunctionInfo, connection: ast.expr) -> bool:
    """Whether it is a connection of SQLite, and the function has not opened it."""
    root = connection
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name) or any(
        isinstance(use.ctx, ast.Store) and view.function_of(use) is function for use in view.uses(root.id, function)
    ):
        return False
    names = view.of(connection, function)
    return all(map(_OF_SQLITE.fullmatch, names)) if names else b"sqlite3" in view.module.source.data


def _commits(view: View, function: FunctionInfo, connection: ast.expr) -> bool:
    spelled = ast.unparse(connection)
    for call in _calls(view.own(function)):
        match call.func:
            case ast.Attribute(value=value, attr="commit") if ast.unparse(value) == spelled:
                return True
        on = _run_on(call, _COMMITS)
        if on is not None and ast.unparse(on) == spelled:
            return True
    return False


def _is_undone_by_anybody(view: View, function: FunctionInfo) -> bool:
    """Whether the function, or one of the file that calls it, rolls back whatever is raised."""
    word = function.node.name
    callers = [other for other in view.functions if any(name_of(call) == word for call in _calls(view.own(other)))]
    return any(_is_undone(view, each) for each in (function, *callers))


def _is_undone(view: View, function: FunctionInfo) -> bool:
    """Whether a ``finally``, or a handler of whatever is raised, may roll back."""
    for node in view.own(function):
        if isinstance(node, ast.Try):
            caught = [item for item in node.handlers if item.type is None or name_of(item.type) in _ALL]
            steps = [*node.finalbody, *(step for item in caught for step in item.body)]
            if any(_rolls_back(call) for call in _calls(n for step in steps for n in ast.walk(step))):
                return True
    return False


def _rolls_back(call: ast.Call) -> bool:
    """Whether a call rolls back, or is one of a function that may."""
    word = name_of(call)
    return "rollback" in word or "abort" in word or word == "close" or _run_on(call, _UNDOES) is not None


def _calls(nodes: Iterator[ast.AST] | list[ast.AST]) -> Iterator[ast.Call]:
    return (node for node in nodes if isinstance(node, ast.Call))


def repair(view: View, function: FunctionInfo, begun: ast.Expr, connection: ast.expr) -> Fix | Refusal:
    """Roll back when the function is left."""
    above = view.parents[begun]
    suite = next(
        part
        for part in (getattr(above, name, None) for name in ("body", "orelse", "finalbody"))
        if isinstance(part, list) and begun in part
    )
    rest = suite[suite.index(begun) + 1 :]
    last = [node.lineno for node in _calls(view.own(function)) if _run_on(node, _COMMITS) or name_of(node) == "commit"]
    if not rest or not is_laid_out(view.layout(), rest):
        return Refusal("what follows does not stand below it, on lines of its own")
    if max(last) > (rest[-1].end_lineno or rest[-1].lineno):
        return Refusal("it commits in another block than it begins in")
    layout = view.layout()
    awaiting = "await " if isinstance(begun.value, ast.Await) else ""
    put_in_try(layout, rest, "", ("finally:", f"{awaiting}{ast.unparse(connection)}.rollback()"))
    check = "that what was written before it returns early is not wanted: so far the next commit took it along"
    return Fix("end the transaction on every way", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    words=("sqlite",),
    shape=r"(?i)\.execute\(\s*[\"']+\s*begin\b",
    noun="transaction",
    repairs="try/finally with rollback()",
    category=Category.LEAK,
)
