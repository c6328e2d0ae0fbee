"""A loop over rows that does not ask how it ended.

What leaks
----------
Nothing stays open: ``rows.Next()`` is false at the end of the rows, and also where reading them failed. Without
``rows.Err()`` behind the loop the two cannot be told apart, and half a result passes for a whole one.

Why it hurts
------------
A lost connection, a statement timeout or a cancelled context ends the loop early. What was read so far is used, stored
or shown as if it were all there is; nobody sees an error.

How it is repaired
------------------
Behind the loop: ``if err := rows.Err(); err != nil {``, with the return that the function already has for an error of
the query. Always for review: callers get an error where they got half a result before.

When it is left alone
---------------------
The function, or one that it gives the rows to, asks ``Err()`` anywhere. One row is read with ``if rows.Next()``. The
rows are returned or stored. The function gives no error.
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from leakfix.codemod import Category, Fix, GoMatch, GoPatternCodemod, GoView, Refusal, Safety, Severity
from leakfix.ir.nodes import Call, Copy, Function, Return, Store
from leakfix.ir.nodes import Node as Instruction
from leakfix.languages.go.packages import ERROR, GoFunction
from leakfix.languages.go.syntax import listed, own, text
from leakfix.patterns.go import enclosing

if TYPE_CHECKING:
    from tree_sitter import Node

ROWS = (
    "database/sql.Rows().Next",
    "github.com/jmoiron/sqlx.Rows().Next",
    "github.com/jackc/pgx/v4.Rows().Next",
    "github.com/jackc/pgx/v5.Rows().Next",
)


def find(view: GoView) -> Iterator[GoMatch]:
    """Loops over rows in functions that never ask for what ended them."""
    for function, lowered in view.functions:
        for node, call in view.calls(lowered):
            if not view.is_called(call, ROWS) or call.callee.receiver is None:
                continue
            loop = view.syntax_at(node.span, "call_expression")
            statement = loop.parent if loop is not None else None
            if statement is None or statement.type != "for_statement" or loop is None:
                continue
            made = _made(lowered, call.callee.receiver)
            if made is None or made.span is None or _is_asked(view, lowered, call.callee.receiver):
                continue
            yield GoMatch(
                made.span,
                function.qualname,
                "rows that end early pass for all rows: nobody asks Err()",
                partial(repair, view, function, statement, text(loop).removesuffix(".Next()")),
                Severity.NOTE,
                None,
                ((node.line, "the loop ends, at the last row or at an error"),),
            )


def _aliases(function: Function, variable: str) -> set[str]:
    found = {variable}
    for _ in range(3):
        for node in function.graph.nodes:
            if isinstance(node.op, Copy) and (node.op.dest in found or node.op.source in found):
                found |= {node.op.dest, node.op.source}
    return found


def _made(function: Function, variable: str) -> Instruction | None:
    """The call that gave the rows."""
    names = _aliases(function, variable)
    for node in function.graph.nodes:
        if isinstance(node.op, Call) and not names.isdisjoint((node.op.dest, *node.op.results)):
            return node
    return None


def _is_asked(view: GoView, function: Function, variable: str) -> bool:
    names = _aliases(function, variable)
    for node in function.graph.nodes:
        match node.op:
            case Call(callee=callee, arguments=arguments):
                if callee.receiver in names and callee.method == "Err":
                    return True
                if any(argument.variable in names for argument in arguments) and _asks(view, callee.names):
                    return True
            case Return(source=source) | Store(source=source) if source in names:
                return True
    return False


def _asks(view: GoView, names: tuple[str, ...]) -> bool:
    """Whether a function that gets the rows may ask: one that is not the project's may."""
    found = [view.resolver.function(name) for name in names]
    return not any(found) or any(b".Err()" in (item.node.text or b"") for item in found if item is not None)


def repair(view: GoView, function: GoFunction, loop: "Node", rows: str) -> Fix | Refusal:
    """Ask behind the loop, and leave as the function leaves where the query failed."""
    results = view.resolver.results(function.node.child_by_field_name("result"), function.file)
    if not results or results[-1] != ERROR:
        return Refusal("the function gives no error")
    inside = enclosing(loop, "func_literal", "function_declaration", "method_declaration")
    if inside is None or inside != function.node:
        return Refusal("the loop stands in a function literal")
    leaving = _error_return(function.node, loop)
    if leaving is None:
        return Refusal("there is no return of an error in front of the loop to go by")
    sheet = view.sheet()
    if not sheet.stands_alone(loop):
        return Refusal("the loop shares its lines with something else")
    indent = sheet.indent(loop)
    lines = (f"{indent}if err := {rows}.Err(); err != nil {{", f"{indent}\t{leaving}", f"{indent}}}")
    sheet.after(loop, *lines)
    check = "that callers may get an error here, where they got a part of the rows"
    return Fix("ask for what ended the rows", Safety.REVIEW, tuple(sheet.edits), check)


def _error_return(function: "Node", loop: "Node") -> str | None:
    for node in own(function):
        if node.type == "return_statement" and node.start_byte < loop.start_byte:
            values = [item for child in node.named_children for item in listed(child)]
            if values and text(values[-1]) == "err" and all(item.type != "call_expression" for item in values):
                return text(node)
    return None


CODEMOD = GoPatternCodemod(
    find=find,
    noun="rows",
    repairs="if err := rows.Err(); err != nil behind the loop",
    shape=r"for .*\.Next\(\)",
    category=Category.ADVICE,
)
