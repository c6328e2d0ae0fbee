"""A query in a handler that does not know of its request.

What leaks
----------
``db.Query(...)`` instead of ``db.QueryContext(c.Request().Context(), ...)``: where the client has gone, the query goes
on, and with it the connection, the rows and the memory they take. Nothing ends it but the database.

Why it hurts
------------
Slow queries of clients that gave up long ago fill the pool, and those who retry make it worse. With the request's
context, ``database/sql`` cancels the query and takes the connection back as soon as the request ends.

How it is repaired
------------------
The method that takes a context gets that of the request. Reads are safe; what writes, or begins a transaction, is for
review: a client that disconnects now aborts it. With ``request-timeout = 5`` in the configuration a handler gets a
context that ends after so many seconds, too, once for all its queries; that is always for review.

When it is left alone
---------------------
The call stands in a goroutine or in a function that may run after the handler, where the request's context is over. The
function has no ``echo.Context``.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from leakfix.codemod import Category, Fix, GoMatch, GoPatternCodemod, GoView, Refusal, Safety, Severity
from leakfix.languages.go.packages import GoFunction, parameters_of
from leakfix.languages.go.syntax import listed, own, statements, text, walk
from leakfix.patterns.go import Sheet, enclosing
from leakfix.repairs.go.imports import imported
from leakfix.repairs.go.places import assigned_names, mentions, statement_of

if TYPE_CHECKING:
    from tree_sitter import Node

CONTEXTS = ("github.com/labstack/echo/v4.Context()", "github.com/labstack/echo/v5.Context()")
READS = ("Query", "QueryRow", "Prepare", "Queryx", "QueryRowx", "Preparex", "Get", "Select")
WRITES = ("Exec", "NamedExec")
_WRITING = re.compile(r"\b(?:insert|update|delete|merge|call|for\s+share|lock|nextval)\b", re.IGNORECASE)
HANDLES = (
    "database/sql.DB()",
    "database/sql.Stmt()",
    "database/sql.Tx()",
    "github.com/jmoiron/sqlx.DB()",
    "github.com/jmoiron/sqlx.Tx()",
)


def find(view: GoView) -> Iterator[GoMatch]:
    """Calls of handlers that could be given the request's context."""
    wanted = {f"{handle}.{method}" for handle in HANDLES for method in (*READS, *WRITES)}
    for function, lowered in view.functions:
        context = request_of(view, function)
        if not context:
            continue
        for node, call in view.calls(lowered):
            if not view.is_called(call, wanted) or node.span is None:
                continue
            found = view.syntax_at(node.span, "call_expression")
            if found is None or _runs_later(found, function.node) or _is_shadowed(function.node, context):
                continue
            if _goes_on(found, function.node):
                continue
            yield GoMatch(
                node.span,
                function.qualname,
                f"{call.callee.method}() does not end with the request",
                partial(repair, view, function, found, context, call.callee.method or ""),
                Severity.NOTE,
            )


def request_of(view: GoView, function: GoFunction) -> str:
    """The name of a function's ``echo.Context``."""
    for name, declared, _ in parameters_of(function.node.child_by_field_name("parameters")):
        if name and name != "_" and view.resolver.declared(declared, function.file).name in CONTEXTS:
            return name
    return ""


def _runs_later(node: "Node", function: "Node") -> bool:
    inner = enclosing(node, "func_literal", "function_declaration", "method_declaration")
    return inner != function or enclosing(node, "go_statement") is not None


def _is_shadowed(function: "Node", context: str) -> bool:
    """Whether the context's name is given to something else in a part of the function."""
    made = ("short_var_declaration", "var_declaration", "range_clause")
    if any(context in assigned_names(node) for node in own(function) if node.type in made):
        return True
    literals = (node for node in walk(function) if node.type == "func_literal" and node != function)
    return any(
        name == context for node in literals for name, _, _ in parameters_of(node.child_by_field_name("parameters"))
    )


def _goes_on(call: "Node", function: "Node") -> bool:
    """Whether what a call gives is used by a goroutine, sent or stored: the request would take it away from there."""
    statement = statement_of(call)
    if statement is None:
        return False
    names = assigned_names(statement.child_by_field_name("initializer") or statement)
    name = names[0] if names else "_"
    if not name.isidentifier():
        return True
    for node in own(function):
        if node.type in ("go_statement", "send_statement", "composite_literal") and mentions(node, name):
            return True
    return False


def repair(view: GoView, handler: GoFunction, call: "Node", context: str, method: str) -> Fix | Refusal:
    """Give it the request's context."""
    function, arguments = call.child_by_field_name("function"), call.child_by_field_name("arguments")
    name = function.child_by_field_name("field") if function is not None else None
    if name is None or arguments is None:
        return Refusal("it is called in a way that cannot be rewritten")
    sheet = view.sheet()
    given, seconds = f"{context}.Request().Context()", view.wishes.request_timeout
    limited = _limited(view, handler.node, call, given, seconds, sheet) if seconds else ""
    given = limited or given
    sheet.replace(name.start_byte, name.end_byte, f"{text(name)}Context")
    first = next(iter(arguments.named_children), None)
    if first is not None and first.type == "comment":
        return Refusal("a comment stands where the context belongs")
    at = arguments.start_byte + 1 if first is None else first.start_byte
    sheet.replace(at, at, given if first is None else f"{given}, ")
    if limited:
        check = f"that {seconds} s are enough for all queries of the handler"
        return Fix(f"end it with the request, after {seconds} s at most", Safety.REVIEW, tuple(sheet.edits), check)
    writes = method in WRITES or (method in ("QueryRow", "Query") and _WRITING.search(text(first)) is not None)
    check = "that a client which disconnects may abort it" if writes else ""
    title = "end it with the request"
    return Fix(title, Safety.REVIEW if writes else Safety.SAFE, tuple(sheet.edits), check)


def _limited(view: GoView, handler: "Node", call: "Node", request: str, seconds: int, sheet: Sheet) -> str:
    """The name of a context with a time limit: one the handler has, or a new one; "" where neither can be.

    Only for what returns an error and nothing else: rows that go on would be cut off when the handler returns.
    """
    body = handler.child_by_field_name("body")
    if body is None or text(handler.child_by_field_name("result")) != "error":
        return ""
    for statement in statements(body):
        if statement.end_byte <= call.start_byte and statement.type == "short_var_declaration":
            if text(statement.child_by_field_name("right")).startswith(f"context.WithTimeout({request},"):
                return text(listed(statement.child_by_field_name("left"))[0])
    first = next((item for item in statements(body) if item.start_byte <= call.start_byte < item.end_byte), None)
    taken = any(node.type == "identifier" and text(node) in ("ctx", "cancel") for node in walk(handler))
    if first is None or taken or not sheet.stands_alone_at_start(first):
        return ""
    if not all(imported(view.file.root, sheet, name, name) for name in ("context", "time")):
        sheet.edits.clear()
        return ""
    indent = sheet.indent(first)
    limit = f"ctx, cancel := context.WithTimeout({request}, {seconds}*time.Second)"
    sheet.before(first, f"{indent}{limit}", f"{indent}defer cancel()")
    return "ctx"


CODEMOD = GoPatternCodemod(
    find=find,
    noun="query",
    repairs="QueryContext(c.Request().Context(), ...)",
    shape=r"labstack/echo/v[45]\"",
    category=Category.ADVICE,
    options=("request-timeout",),
)
