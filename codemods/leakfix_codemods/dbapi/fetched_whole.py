"""A loop over ``cursor.fetchall()`` of a whole table.

What leaks
----------
``for row in cursor.fetchall():``, also over a variable that is used for nothing else, where the statement is a
constant ``SELECT`` without ``WHERE``, ``LIMIT``, grouping or aggregate, in functions that are made for many rows:
commands, tasks, exports, generators.

Why it hurts
------------
All rows are made and kept until the loop is over, so memory follows the size of the table. Drivers that fetch from the
server as they go (sqlite3, oracledb, pyodbc, server-side cursors) need not hold more than one block; the others hold
the answer once instead of twice.

How it is repaired
------------------
The loop goes over the cursor itself, ``for row in cursor:`` (PEP 249, "Optional DB API Extensions"), which gives the
same rows in the same order. It is safe with sqlite3, psycopg2, psycopg and Django's cursors where the loop only works
on the row; else it is offered for review: the answer stays open while the loop runs. psycopg2 and psycopg fetch the
whole answer for a cursor without a name; one that serves this statement alone gets a name, for review, because a named
cursor needs a transaction.

When it is left alone
---------------------
Statements with a condition, tables of which nothing says that they grow, statements put together at run time, results
used again, drivers whose cursors cannot be iterated. No repair where the loop uses the cursor or its connection: on
one connection, a second statement may end the first. Nor where the cursor is used after a loop that may end early:
rows would still wait in it, and Django closes such a cursor.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from leakfix.codemod import Fix, Match, PatternCodemod, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.languages.python.names import Place
from leakfix.patterns.batches import is_batch, may_be_batch
from leakfix.patterns.tables import ENOUGH, growth
from leakfix.project.kinds import is_test
from leakfix.repairs.python.layout import first_line, last_line
from leakfix.source import Span
from leakfix_codemods._bodies import doubt, gives_rows_away, reached

_PLAIN = r"sqlite3|psycopg2|psycopg|django\.db"
_ITERATED = re.compile(
    rf"(?:{_PLAIN}|pymysql|MySQLdb|mysql\.connector|pyodbc|oracledb|cx_Oracle|pg8000|pymssql)\."
    r"(?!.*(?:async|Async)).*(?:cursor|chunked_cursor|execute|Cursor)\(\)"
)
_NAMED = re.compile(r"(?:psycopg2|psycopg)\..*\.cursor\(\)")  # psycopg's documentation, "Server side cursors"
_SURE = re.compile(rf"(?:{_PLAIN})\..*")
_WHOLE = re.compile(
    r"\s*SELECT\b(?!\s+TOP\b)(?P<columns>.*)\bFROM\s+(?P<table>[\w.\"`\[\]]+)", re.IGNORECASE | re.DOTALL
)
_PART = re.compile(
    r"\b(?:WHERE|LIMIT|FETCH\s+FIRST|HAVING|GROUP\s+BY|DISTINCT|JOIN|UNION|WITH|information_schema|sqlite_\w+|pg_\w+|"
    r"sys\w*\.\w+|v\$\w+)\b|\b(?:count|sum|min|max|avg)\s*\(",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Fetched:
    """``cursor.fetchall()``, the loop over it, and the assignment between them where there is one."""

    call: ast.Call
    cursor: ast.expr
    loop: ast.For
    assignment: ast.Assign | None
    driver: str


_SELECTS = re.compile(rb"(?i)\bselect\b")
_FETCHES = re.compile(rb"\.fetchall\(\)")


def find(view: View) -> Iterator[Match]:
    """Whole tables fetched for one loop."""
    if is_test(view.module.path):
        return
    for function in view.functions:
        loops = [node for node in view.own(function) if isinstance(node, ast.For)]
        for loop in loops if is_batch(view, function) else ():
            found = _fetched(view, function, loop)
            if found is not None and _selects_all(view, found):
                yield Match(
                    found.call,
                    "all rows of the table are kept in memory until the loop is over",
                    partial(repair, view, function, found),
                    held="until-unreferenced",
                )


def _fetched(view: View, function: FunctionInfo, loop: ast.For) -> Fetched | None:
    call: ast.expr | None = loop.iter
    assignment = None
    if isinstance(loop.iter, ast.Name):
        uses = view.uses(loop.iter.id, function)
        stored = [view.parents[use] for use in uses if isinstance(use.ctx, ast.Store)]
        if len(uses) != 2 or len(stored) != 1 or not isinstance(stored[0], ast.Assign) or len(stored[0].targets) != 1:
            return None
        assignment, call = stored[0], stored[0].value
    match call:
        case ast.Call(func=ast.Attribute(value=cursor, attr="fetchall"), args=[], keywords=[]):
            drivers = [name for name in view.of(cursor, function) if _ITERATED.fullmatch(name)]
            return Fetched(call, cursor, loop, assignment, drivers[0]) if drivers else None
    return None


def _selects_all(view: View, found: Fetched) -> bool:
    """Whether the last thing the cursor was given is a constant statement that selects a whole table."""
    if isinstance(found.cursor, ast.Call):
        return _is_whole(view, found.cursor)
    if not isinstance(found.cursor, ast.Name):
        return False
    suite, at = _where(view, found.assignment or found.loop)
    for statement in reversed(suite[:at]):
        match statement:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="execute")) as call):
                if name == found.cursor.id:
                    return _is_whole(view, call)
        if _mentions(statement, {found.cursor.id}):
            return False
    return False


def _is_whole(view: View, call: ast.Call) -> bool:
    """Whether a statement selects a whole table, of which it is sure that it grows."""
    match call:
        case ast.Call(func=ast.Attribute(attr="execute"), args=[ast.Constant(value=str() as text)], keywords=[]):
            whole = _WHOLE.match(text)
            if whole is None or _PART.search(text) is not None:
                return False
            columns = [column.strip() for column in whole["columns"].split(",")]
            return growth(view, re.split(r"\W+", whole["table"].strip('"`[]'))[-1], (), columns) >= ENOUGH
    return False


def _where(view: View, statement: ast.stmt) -> tuple[list[ast.stmt], int]:
    for name in ("body", "orelse", "finalbody"):
        suite = getattr(view.parents[statement], name, None)
        if isinstance(suite, list) and statement in suite:
            return suite, suite.index(statement)
    return [], 0


def _mentions(node: ast.AST, names: set[str]) -> bool:
    return any(ast.unparse(item) in names for item in ast.walk(node) if isinstance(item, ast.Name | ast.Attribute))


def repair(view: View, function: FunctionInfo, found: Fetched) -> Fix | Refusal:
    """Let the loop read from the cursor."""
    connections = _connections(view, function, found)
    if any(_mentions(statement, connections) for statement in [*found.loop.body, *found.loop.orelse]):
        return Refusal("the loop uses the cursor or its connection: a second statement may end the first")
    if gives_rows_away(
        found.loop.body, {node.id for node in ast.walk(found.loop.target) if isinstance(node, ast.Name)}
    ):
        return Refusal("write() takes whole rows: it may be another connection's, which waits while this one reads")
    changing = _changes_table(view, function, found)
    if changing:
        return Refusal(f"{changing} writes to the table that is being read")
    if _is_left_early(view, found.loop) and _is_used_on(view, function, found):
        return Refusal("the cursor is used after a loop that may end early, when rows would still be waiting in it")
    layout = view.layout()
    if found.assignment is not None:
        suite, at = _where(view, found.assignment)
        if found.loop not in suite:
            return Refusal("the rows are fetched in another block than the loop")
        between = suite[at + 1 : suite.index(found.loop)]
        if any(_mentions(statement, connections) for statement in between):
            return Refusal("the cursor or its connection is used between fetching and the loop")
        if between and not all(isinstance(item, ast.Assign | ast.Expr) for item in between):
            return Refusal("other statements stand between fetching and the loop")
        if not layout.stands_alone(found.assignment):
            return Refusal("fetching shares its line with other statements")
        layout.delete(first_line(found.assignment), last_line(found.assignment))
        layout.replace(layout.span(found.loop.iter), layout.text(found.cursor))
    else:
        end = layout.span(found.call).end
        layout.replace(Span(layout.span(found.cursor).end, end), "")
    reason = _doubt(view, function, found)
    check = f"{reason}: the answer stays open while the loop runs" if reason else ""
    opened = _opened_for_it_alone(view, function, found)
    if opened is not None:
        layout.insert(layout.span(opened).end - 1, f'name="{function.node.name.strip("_")}"')
        check = f"{check}; " if check else ""
        check += "that the connection is in a transaction: a named cursor needs one, and ends with it"
        return Fix("fetch the rows in blocks, by a named cursor", Safety.REVIEW, tuple(layout.edits), check)
    return Fix("read the rows one by one", Safety.REVIEW if reason else Safety.SAFE, tuple(layout.edits), check)


def _is_left_early(view: View, loop: ast.For) -> bool:
    """Whether a loop has a ``break``, or what it raises is caught in its function."""
    at: ast.AST = loop
    while not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
        at = view.parents[at]
        if isinstance(at, ast.Try):
            return True
    return any(isinstance(node, ast.Break) for item in loop.body for node in ast.walk(item))


def _is_used_on(view: View, function: FunctionInfo, found: Fetched) -> bool:
    """Whether a cursor is more than closed after a loop, or in the next round of one around it."""
    if not isinstance(found.cursor, ast.Name):
        return False
    uses = view.uses(found.cursor.id, function)
    made = [use.lineno for use in uses if isinstance(use.ctx, ast.Store) and use.lineno < found.loop.lineno]
    rounds = [item for item in view.loops_round(found.loop) if not any(item.lineno <= line for line in made)]
    start = rounds[-1].lineno if rounds else found.loop.end_lineno or found.loop.lineno
    return any(
        use.lineno >= start and use is not found.cursor and getattr(view.parents[use], "attr", "") != "close"
        for use in uses
        if isinstance(use.ctx, ast.Load)
    )


def _changes_table(view: View, function: FunctionInfo, found: Fetched) -> str:
    """The function of the project that a loop calls and that writes to a table read here; "" if none is known to."""
    wholes = [_WHOLE.match(text) for text in _texts(function.node)]
    tables = {re.split(r"\W+", whole["table"].strip('"`[]'))[-1] for whole in wholes if whole is not None}
    if not tables:
        return ""
    writes = re.compile(
        rf"(?i)\b(?:into|update|delete\s+from)\s+[\"`\[]?(?:\w+\.)?(?:{'|'.join(map(re.escape, sorted(tables)))})\b"
    )
    for called in reached(view, Place(view.module, function), found.loop.body):
        if any(map(writes.search, _texts(called.node))):
            return f"{called.node.name}()"
    return ""


def _texts(node: ast.AST) -> Iterator[str]:
    return (item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str))


def _opened_for_it_alone(view: View, function: FunctionInfo, found: Fetched) -> ast.Call | None:
    """The ``connection.cursor()`` of a driver that fetches the whole answer unless the cursor has a name.

    Only where the cursor is used for nothing but this one statement, and nothing in the file ends transactions by
    itself.
    """
    if _NAMED.fullmatch(found.driver) is None or not isinstance(found.cursor, ast.Name):
        return None
    if b"autocommit" in view.module.source.data or b"isolation_level" in view.module.source.data:
        return None
    uses = [node for node in view.uses(found.cursor.id, function) if isinstance(node.ctx, ast.Load)]
    closing = [node for node in uses if getattr(view.parents[node], "attr", "") == "close"]
    if len(uses) - len(closing) != 2:
        return None
    for item in own_nodes(function.node):
        match item:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[], keywords=[]) as opened)
                | ast.withitem(context_expr=ast.Call(args=[], keywords=[]) as opened, optional_vars=ast.Name(id=name))
            ) if name == found.cursor.id and getattr(opened.func, "attr", "") == "cursor":
                return opened
    return None


def _connections(view: View, function: FunctionInfo, found: Fetched) -> set[str]:
    """How the function spells the cursor, what it came from, and every name for them."""
    spelled = {ast.unparse(found.cursor)}
    node: ast.expr = found.cursor
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        spelled.add(ast.unparse(node.func.value))
    for item in own_nodes(function.node):
        match item:
            case ast.Assign(targets=[target], value=value) | ast.withitem(context_expr=value, optional_vars=target):
                if target is not None and ast.unparse(target) in spelled:
                    spelled |= {ast.unparse(n) for n in ast.walk(value) if isinstance(n, ast.Name | ast.Attribute)}
    return spelled


def _doubt(view: View, function: FunctionInfo, found: Fetched) -> str:
    """What in a loop may outlive or disturb the open answer; "" where nothing does."""
    if _SURE.fullmatch(found.driver) is None:
        return "the driver may want the whole answer read before anything else"
    return doubt(view, function, found.loop.body)


def may_loop(data: bytes, path: str) -> bool:
    """Whether a file's text selects something in a function made for many rows."""
    if _SELECTS.search(data) is None:
        return False
    return any(may_be_batch(data, path, found.start()) for found in _FETCHES.finditer(data))


CODEMOD = PatternCodemod(
    find=find,
    words=(".fetchall()",),
    shape=may_loop,
    noun="rows",
    repairs="for row in cursor:",
)
