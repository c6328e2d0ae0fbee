"""A transaction begun by ``set_autocommit(False)`` that some path never ends.

What leaks
----------
``transaction.set_autocommit(False)``, or ``connection.set_autocommit(False)``, in a function without a
``set_autocommit(True)`` in a ``finally``: an early return or an exception leaves the connection as it is. So does an
``__exit__`` that returns before it turns on again what ``__enter__`` turned off.

Why it hurts
------------
The connection stays in manual transactions: whatever the thread writes later is not committed, the next ``atomic``
included, and the open transaction holds its locks. "You must ensure that no transaction is active" before autocommit
is turned on again (Django's documentation, "Database transactions"): psycopg2 refuses it in a transaction, SQLite
and MySQL commit instead.

How it is repaired
------------------
Where the statements up to ``commit()`` stand in a ``try`` whose handler rolls back and raises again, they move into
``with transaction.atomic():``, which does the same. Else they move into a ``try`` that rolls back when something is
raised, and turns autocommit on again in its ``finally``. No commit moves. Both are offered for review: a failure now
ends the transaction where it was left open.

When it is left alone
---------------------
Autocommit is turned on again in a ``finally``, by a caller or another function of the class; ``AUTOCOMMIT`` set for a
whole process. No repair where a path that asked the database returns without ``commit()`` or ``rollback()``: turning
autocommit on would commit what it wrote, or fail.
"""

import ast
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.names import Place
from leakfix.project.kinds import is_test
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import last_line
from leakfix_codemods._blocks import body_of, is_laid_out, put_in_try
from leakfix_codemods.django._orm import first_query, nodes_of

_OWNERS = ("django.db.transaction", "django.db.connection", "django.db.connections[]")
_ENDS = frozenset({"commit", "rollback"})
_TELLS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})


def find(view: View) -> Iterator[Match]:
    """``set_autocommit(False)`` without a sure ``set_autocommit(True)``."""
    if is_test(view.module.path):
        return
    yield from _left_by_exits(view)
    for function in view.functions:
        begun = [node for node in view.own(function) if _sets(view, function, node, False)]
        if not begun or any(_is_sure(node, view, function) for node in view.own(function)):
            continue
        turned_on = [node for node in view.own(function) if _sets(view, function, node, True)]
        if not turned_on and _ends_elsewhere(view, function):
            continue
        assert isinstance(begun[0], ast.Call)
        yield Match(
            begun[0],
            "some path leaves the connection in a manual transaction",
            partial(repair, view, function, begun[0]),
            severity=Severity.WARNING if turned_on else Severity.ERROR,
            held="forever",
            identity=f"{function.qualname} {ast.unparse(begun[0])}",
        )


def _left_by_exits(view: View) -> Iterator[Match]:
    """What ``__enter__`` begins and ``__exit__`` ends, but for the ways on which it returns before."""
    for owner in view.module.classes.values():
        start, end = owner.methods.get("__enter__"), owner.methods.get("__exit__")
        if start is None or end is None or any(_is_sure(node, view, end) for node in view.own(end)):
            continue
        begun = [node for node in view.own(start) if _sets(view, start, node, False)]
        ending = [item for item in end.node.body if isinstance(item, ast.Expr) and _sets(view, end, item.value, True)]
        before = body_of(end.node)[: body_of(end.node).index(ending[0])] if ending else []
        if begun and len(ending) == 1 and any(isinstance(node, ast.Return) for node in nodes_of(before)):
            assert isinstance(begun[0], ast.Call)
            yield Match(
                begun[0],
                "some way out of the with leaves the connection in a manual transaction",
                partial(repair_exit, view, end, before, ending[0]),
                held="forever",
                identity=owner.qualname,
            )


def _sets(view: View, function: FunctionInfo, node: ast.AST, on: bool) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="set_autocommit"), args=[ast.Constant(value=value), *_]):
            return value is on and any(name in _OWNERS for name in view.of(owner, function))
    return False


def _is_sure(node: ast.AST, view: View, function: FunctionInfo) -> bool:
    """Whether a ``finally`` sets autocommit again, to whatever."""
    return isinstance(node, ast.Try) and any(
        isinstance(item, ast.Attribute) and item.attr == "set_autocommit" for item in nodes_of(node.finalbody)
    )


def _ends_elsewhere(view: View, function: FunctionInfo) -> bool:
    """Whether it is one half of a pair: another function of the file turns autocommit on again, or nothing commits."""
    others = any(_sets(view, other, node, True) for other in view.functions for node in view.own(other))
    own = view.own(function)
    return others or not any(isinstance(node, ast.Attribute) and node.attr in _ENDS for node in own)


def repair(view: View, function: FunctionInfo, begun: ast.Call) -> Fix | Refusal:
    """End the transaction on every path."""
    statement = view.statement_of(begun)
    suite = _suite(view, statement)
    if not isinstance(statement, ast.Expr) or suite is None:
        return Refusal("set_autocommit() is called within a larger statement")
    if len(_databases(view, function)) > 1:
        return Refusal("transactions of several databases are begun or ended in it")
    rest = suite[suite.index(statement) + 1 :]
    until = next((at for at, item in enumerate(rest) if _is_call(item, "set_autocommit")), None)
    region, ending = (rest, None) if until is None else (rest[:until], rest[until])
    if ending is not None and not _sets(view, function, getattr(ending, "value", ending), True):
        return Refusal(f"autocommit is set to something else at line {ending.lineno}")
    if until is None and statement not in function.node.body:
        return Refusal("what follows the block may still belong to the transaction")
    layout = view.layout()
    if not region or not is_laid_out(layout, [statement, *rest]):
        return Refusal("the statements of the transaction share a line")
    waits = [item for item in nodes_of(region) if isinstance(item, ast.Yield | ast.YieldFrom | ast.Await)]
    is_scope = view.names.scope(function, view.module) == "contextmanager"
    if waits and not (is_scope and len(waits) == 1 and view.statement_of(waits[0]) is region[0]):
        return Refusal("the transaction stays open while others run")
    owner = layout.text(begun.func.value)  # type: ignore[attr-defined]
    given = [*begun.args[1:], *(word.value for word in begun.keywords)]
    using = f"using={layout.text(given[0])}" if given else ""
    return _as_atomic(view, statement, region, ending, owner, using) or _as_try(
        view, function, region, ending, owner, using
    )


def repair_exit(view: View, end: FunctionInfo, before: list[ast.stmt], ending: ast.stmt) -> Fix | Refusal:
    """Turn autocommit on again in a ``finally``, whichever way ``__exit__`` returns."""
    layout = view.layout()
    if not is_laid_out(layout, [*before, ending]):
        return Refusal("the statements of the method share a line")
    for node in nodes_of(before):  # what stands in the with has asked the database
        if isinstance(node, ast.Return) and not _is_ended_before(view, node):
            return Refusal(
                f"the way out at line {node.lineno} neither commits nor rolls back: which is for you to decide"
            )
    if not _ends(before):
        return Refusal("what comes last neither commits nor rolls back: turning autocommit on would commit")
    put_in_try(layout, before, "", ("finally:", ""))
    layout.indent(layout.end_of(before[-1]) + 1, last_line(ending), layout.unit, layout.indent_of(ending.lineno))
    check = "that whoever leaves the with by an exception does not go on with the transaction"
    return Fix("turn autocommit on again whatever happened", Safety.REVIEW, tuple(layout.edits), check)


def _databases(view: View, function: FunctionInfo) -> set[str]:
    """The databases whose transactions a function begins or ends, as it spells them; "" for the default one."""
    found = set[str]()
    for node in view.own(function):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr=word), args=given, keywords=words) if word in (
                *_ENDS,
                "set_autocommit",
            ) and any(name in _OWNERS for name in view.of(owner, function)):
                named = [*given[word == "set_autocommit" :], *(each.value for each in words if each.arg == "using")]
                item = ast.unparse(owner.slice) if isinstance(owner, ast.Subscript) else ""
                found.add(ast.unparse(named[0]) if named else item)
    return found


def _suite(view: View, statement: ast.stmt) -> list[ast.stmt] | None:
    for name in ("body", "orelse", "finalbody", "handlers"):
        suite = getattr(view.parents[statement], name, None)
        if isinstance(suite, list) and statement in suite:
            return suite
    return None


def _is_call(statement: ast.stmt, *words: str) -> bool:
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=word))):
            return word in words
    return False


def _as_atomic(
    view: View, begun: ast.stmt, region: list[ast.stmt], ending: ast.stmt | None, owner: str, using: str
) -> Fix | None:
    """``with transaction.atomic():`` where it does exactly what stands there."""
    match region:
        case [ast.Try(body=[*work, commit], handlers=[handler], orelse=[], finalbody=[]) as block, *rest]:
            turned_on = ending
        case _:
            return None
    if _is_call(commit, "set_autocommit") and len(work) > 1 and ending is None:
        turned_on, commit, work = commit, work[-1], work[:-1]
    elif rest:
        return None
    match handler:
        case ast.ExceptHandler(type=kind, body=[undo, ast.Raise(exc=None)]) if _is_call(undo, "rollback"):
            every = kind is None or ast.unparse(kind) in ("Exception", "BaseException")
        case _:
            return None
    if not every or not work or turned_on is None or not _is_call(commit, "commit"):
        return None
    if not ast.unparse(commit).startswith(f"{owner}.commit(") or _leaves_or_ends(work):
        return None
    layout = view.layout()
    until = last_line(ending if ending is not None else block)
    lost = [block.lineno, *range(commit.lineno, until + 1)]
    if owner not in ("transaction", "connection") or any("#" in layout.source.line_text(line) for line in lost):
        return None
    if not is_laid_out(layout, [*block.body, *([ending] if ending is not None else [])]):
        return None
    spelled = imported(view.module, layout, "django.db", "transaction")
    layout.replace(layout.span(begun), f"with {spelled}.atomic({using}):")
    layout.delete(block.lineno, block.lineno)
    layout.delete(commit.lineno, until)
    check = "that nothing called in the block commits, rolls back or sets autocommit itself"
    return Fix("let transaction.atomic() end the transaction", Safety.REVIEW, tuple(layout.edits), check)


def _leaves_or_ends(work: list[ast.stmt]) -> bool:
    words = {*_ENDS, "set_autocommit", "savepoint", "savepoint_commit", "savepoint_rollback", "on_commit", "close"}
    return any(
        isinstance(node, ast.Return | ast.Break | ast.Continue)
        or (isinstance(node, ast.Attribute) and node.attr in words)
        for node in nodes_of(work)
    )


def _as_try(
    view: View, function: FunctionInfo, region: list[ast.stmt], ending: ast.stmt | None, owner: str, using: str
) -> Fix | Refusal:
    """A ``try`` round the transaction that rolls back what fails, and turns autocommit on again."""
    reason = _why_open(view, function, region)
    if reason:
        return Refusal(reason)
    layout = view.layout()
    is_scope = isinstance(region[0], ast.Expr | ast.Assign) and isinstance(region[0].value, ast.Yield)
    undone = ("except BaseException:", f"{owner}.rollback({using})\nraise")
    if ending is not None and is_scope and region[1:] and all(_is_call(item, "rollback") for item in region[1:]):
        put_in_try(layout, region[:1], "", ("finally:", ""))
        layout.indent(layout.end_of(region[0]) + 1, last_line(ending), layout.unit, layout.indent_of(ending.lineno))
    elif ending is None:
        put_in_try(layout, region, "", undone, ("finally:", f"{owner}.set_autocommit(True{using and f', {using}'})"))
    else:
        put_in_try(layout, region, "", undone, ("finally:", ""))
        base = layout.indent_of(ending.lineno)
        layout.indent(layout.end_of(region[-1]) + 1, last_line(ending), layout.unit, base)
    check = "that what is written before a failure is to be rolled back, and that no caller ends the transaction"
    early = [node for node in nodes_of(region) if isinstance(node, ast.Return) and not _is_ended_before(view, node)]
    if early:
        check += f"; that nothing was sent to the database before line {early[0].lineno}"
    return Fix("roll back failures and turn autocommit on again", Safety.REVIEW, tuple(layout.edits), check)


def _why_open(view: View, function: FunctionInfo, region: list[ast.stmt]) -> str:
    """Which way out of the statements leaves the transaction open; "" where none does."""
    for node in nodes_of(region):
        if isinstance(node, ast.Return) and _is_before_all_queries(view, function, region, node):
            continue
        if isinstance(node, ast.Return | ast.Break | ast.Continue) and not _is_ended_before(view, node):
            loop = next(view.loops_round(node), None) if not isinstance(node, ast.Return) else None
            if loop is None or loop.lineno < region[0].lineno:
                return f"the way out at line {node.lineno} neither commits nor rolls back: which is for you to decide"
    if _ends(region):
        return ""
    return "what comes last neither commits nor rolls back: turning autocommit on would commit on some databases"


def _is_before_all_queries(view: View, function: FunctionInfo, region: list[ast.stmt], leaving: ast.Return) -> bool:
    """Whether nothing that runs before a ``return``, and nothing that it returns, asks the database.

    Calls of functions that are not known may, attributes of a row may be loaded when they are read, and what stands
    behind it in a loop may have run before it.
    """
    steps: list[ast.stmt] = []
    for node in (node for node in nodes_of(region) if getattr(node, "lineno", leaving.lineno) < leaving.lineno):
        if isinstance(node, ast.For | ast.While | ast.With | ast.AsyncFor | ast.AsyncWith):
            return False
        if isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign | ast.AugAssign):
            steps.append(node)
        elif isinstance(node, ast.If):
            steps.append(ast.Expr(value=node.test))
    for node in nodes_of(steps):
        if isinstance(node, ast.Attribute) and node.attr not in _TELLS:
            return False
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not view.of(node.func, function):
            return False
    plain = leaving.value is None or isinstance(leaving.value, ast.Constant | ast.Name)
    return plain and first_query(view.names, Place(view.module, function), steps) is None


def _ends(suite: list[ast.stmt]) -> bool:
    """Whether statements leave no transaction open at their end."""
    *before, last = suite
    match last:
        case ast.Raise() | ast.Return():
            return True
        case ast.Expr() if _is_call(last, *_ENDS):
            return True
        case ast.Expr() if _is_call(last, "set_autocommit") or _only_tells(last):
            return bool(before) and _ends(before)
        case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody):
            ways = [finalbody] if finalbody else [orelse or body, *(handler.body for handler in handlers)]
            return all(map(_ends, ways))
        case ast.If(body=body, orelse=[_, *_] as orelse):
            return _ends(body) and _ends(orelse)
        case ast.With(body=body):
            return _ends(body)
    return False


def _only_tells(statement: ast.stmt) -> bool:
    """Whether a statement only says what was done: a log record, ``print``, ``self.stdout.write``."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=word))) if word in _TELLS:
            return True
        case ast.Expr(value=ast.Call(func=called, args=given)):
            calls = (node.func for item in given for node in ast.walk(item) if isinstance(node, ast.Call))
            plain = all(ast.unparse(call).startswith(("self.style.", "len", "str")) for call in calls)
            return plain and ast.unparse(called) in ("print", "self.stdout.write", "self.stderr.write")
    return False


def _is_ended_before(view: View, leaving: ast.stmt) -> bool:
    """Whether the statement before a ``return`` ends the transaction, and what is returned starts none."""
    suite = _suite(view, leaving) or []
    at = suite.index(leaving) if leaving in suite else 0
    if isinstance(leaving, ast.Return) and leaving.value is not None:
        if any(isinstance(node, ast.Call | ast.Attribute | ast.Subscript) for node in ast.walk(leaving.value)):
            return False
    return at > 0 and _ends(suite[:at])


CODEMOD = PatternCodemod(
    find=find,
    imports=("django",),
    shape=r"set_autocommit",
    noun="transaction",
    repairs="with transaction.atomic():, or set_autocommit(True) in a finally",
    category=Category.LEAK,
)
