"""A prepared statement of the package that nobody closes when the server stops.

What leaks
----------
A package variable gets a statement from ``db.Prepare`` and no line of the package closes it. The statement stays open
on the client and on every connection of the server it was prepared on.

Why it hurts
------------
Each deployment, restart or test run leaves its statements behind until the connections end; behind a pooler that keeps
connections they pile up on the server.

How it is repaired
------------------
Behind the server: ``e.Logger.Fatal(e.Start(addr))`` becomes a start, the statement's ``Close()`` where there is one,
and the same ``Fatal``. A ``defer`` in front of it would never run: ``Fatal`` ends the process. For review, because it
depends on how the process is stopped.

When it is left alone
---------------------
The package closes the variable anywhere, also in a shutdown function. There is no ``Fatal(e.Start(...))`` in the file:
where the server has stopped is then for a person to tell.
"""

import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, GoMatch, GoPatternCodemod, GoView, Refusal, Safety, Severity
from leakfix.languages.go.syntax import listed, own, plain, text
from leakfix.patterns.go import enclosing
from leakfix.source import Span

_START = re.compile(
    r"(?P<fatal>.+\.Fatal)\((?P<start>(?P<server>\w+)\.Start(?:TLS|AutoTLS|H2CServer|Server)?\(.*\))\)", re.DOTALL
)


def find(view: GoView) -> Iterator[GoMatch]:
    """Statements that are kept in the package for ever."""
    for assignment in view.named("assignment_statement"):
        values = listed(assignment.child_by_field_name("right"))
        call = plain(values[0]) if len(values) == 1 else None
        function = call.child_by_field_name("function") if call is not None else None
        if (
            call is None
            or function is None
            or not re.search(r"\.Prepare(?:x|Context|xContext|Named)?$", text(function))
        ):
            continue
        place = listed(assignment.child_by_field_name("left"))[0]
        name = text(place)
        if name not in view.package.variables or _is_closed(view, name):
            continue
        if "Stmt" not in text(view.package.variables[name][0].child_by_field_name("type")):
            continue  # something else that can be prepared
        inside = enclosing(assignment, "function_declaration", "method_declaration")
        yield GoMatch(
            Span(call.start_byte, call.end_byte),
            text(inside.child_by_field_name("name")) if inside is not None else "<package>",
            f"{name} is never closed, also not when the server stops",
            partial(repair, view, name),
            Severity.WARNING,
            "forever",
        )


def _is_closed(view: GoView, name: str) -> bool:
    pattern = re.compile(
        rb"\b%b\.Close\b|[(,{]\s*%b\b(?!\s*(?:,\s*\w+\s*)?:?=)" % (re.escape(name.encode()), re.escape(name.encode()))
    )
    return any(pattern.search(file.source.data) for file in view.package.files)


def repair(view: GoView, name: str) -> Fix | Refusal:
    """Close it behind the server."""
    for statement in view.named("expression_statement"):
        match = _START.fullmatch(text(statement))
        sheet = view.sheet()
        if match is None or not sheet.stands_alone(statement) or enclosing(statement, "func_literal") is not None:
            continue
        indent = sheet.indent(statement)
        function = enclosing(statement, "func_literal", "function_declaration", "method_declaration")
        used = {text(node) for node in own(function) if node.type == "identifier"} if function is not None else set()
        error = next((word for word in ("err", "serveErr", "startErr") if word not in used | {name}), "")
        if not error:
            return Refusal("there is no free name for what Start returns")
        sheet.replace(statement.start_byte, statement.end_byte, f"{error} := {match['start']}")
        closed = (f"if {name} != nil {{", f"\t{name}.Close()", "}", f"{match['fatal']}({error})")
        sheet.after(statement, *(f"{indent}{each}" for each in closed))
        check = "that the server is stopped by its Shutdown"
        return Fix("close it once the server has stopped", Safety.REVIEW, tuple(sheet.edits), check)
    return Refusal("where the server has stopped cannot be told in this file: close it there")


CODEMOD = GoPatternCodemod(
    find=find,
    noun="prepared statement",
    repairs="closed behind the server's Start",
    shape=r"\.Prepare(?:x|Context|xContext|Named)?\(",
    category=Category.LEAK,
)
