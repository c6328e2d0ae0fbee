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
from leakfix.repairs.go.places import assigned_names

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
            asked = view.syntax_at(node.span, "call_expression")
            loop = _loop_over(asked) if asked is not None else None
            if asked is None or loop is None or _is_asked(view, lowered, call.callee.receiver):
                continue
            for made in _made(lowered, call.callee.receiver, loop):
                if made.span is not None:
                    yield GoMatch(
                        made.span,
                        function.qualname,
                        "rows that end early pass for all rows: nobody asks Err()",
                        partial(repair, view, function, loop, text(asked).removesuffix(".Next()")),
                        Severity.NOTE,
                        None,
                        ((node.line, "the loop ends, at the last row or at an error"),),
                    )


def _loop_over(asked: "Node") -> "Node | None":
    """The loop that goes on while ``Next()`` is true: ``for rows.Next()``, ``for { if !rows.Next() { break } }``."""
    parent = asked.parent
    if parent is not None and parent.type == "for_statement":
        return parent
    if parent is None or parent.type != "unary_expression" or parent.parent is None:
        return None
    check = parent.parent
    loop = enclosing(check, "for_statement", "func_literal", "function_declaration", "method_declaration")
    leaves = any(item.type == "break_statement" for item in own(check))
    is_loop = check.type == "if_statement" and leaves and loop is not None and loop.type == "for_statement"
    return loop if is_loop and loop is not None and loop.named_child_count == 1 else None


def _aliases(function: Function, variable: str) -> set[str]:
    found = {variable}
    for _ in range(3):
        for node in function.graph.nodes:
            if isinstance(node.op, Copy) and (node.op.dest in found or node.op.source in found):
                found |= {node.op.dest, node.op.source}
    return found


def _made(function: Function, variable: str, loop: "Node") -> list[Instruction]:
    """The calls that gave the rows: the last one in front of a loop, or those of the branches of one statement."""
    names = _aliases(function, variable)
    calls = [
        node
        for node in function.graph.nodes
        if isinstance(node.op, Call) and not names.isdisjoint((node.op.dest, *node.op.results))
    ]
    before = [node for node in calls if node.span is not None and node.span.start < loop.start_byte]
    return [node for node in before if _branch_of(node, loop) == _branch_of(before[-1], loop)] if before else []


def _branch_of(made: Instruction, loop: "Node") -> int | None:
    """Which statement of the loop's block a call stands in."""
    block = loop.parent
    for statement in block.named_children if block is not None else ():
        if made.span is not None and statement.start_byte <= made.span.start < statement.end_byte:
            return int(statement.start_byte)
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
    leaving = _error_return(loop, rows)
    if leaving is None:
        return Refusal("there is no return of an error in front of the loop to go by")
    if loop.named_child_count == 1:
        return Refusal("the loop is left from within")
    sheet = view.sheet()
    if not sheet.stands_alone(loop):
        return Refusal("the loop shares its lines with something else")
    indent = sheet.indent(loop)
    lines = (f"{indent}if err := {rows}.Err(); err != nil {{", f"{indent}\t{leaving}", f"{indent}}}")
    sheet.after(loop, *lines)
    check = "that callers may get an error here, where they got a part of the rows"
    return Fix("ask for what ended the rows", Safety.REVIEW, tuple(sheet.edits), check)


def _error_return(loop: "Node", rows: str) -> str | None:
    """How the function leaves in the check behind the query, which stands in front of the loop in its block."""
    block = loop.parent
    found = None
    for statement in block.named_children if block is not None else ():
        if statement.start_byte >= loop.start_byte:
            break
        if rows in assigned_names(statement):
            found = None
        elif statement.type == "if_statement" and text(statement.child_by_field_name("condition")) == "err != nil":
            leaves = [node for node in own(statement) if node.type == "return_statement"]
            values = [item for child in leaves[0].named_children for item in listed(child)] if len(leaves) == 1 else []
            is_plain = bool(values) and all(item.type != "call_expression" for item in values)
            found = found or (text(leaves[0]) if is_plain and text(values[-1]) == "err" else None)
    return found


CODEMOD = GoPatternCodemod(
    find=find,
    noun="rows",
    repairs="if err := rows.Err(); err != nil behind the loop",
    shape=r"for .*\.Next\(\)",
    category=Category.ADVICE,
)
