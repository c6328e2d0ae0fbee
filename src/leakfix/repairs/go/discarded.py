"""The repair of what is thrown away where it is made: a call that only executes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leakfix.finding import Fix, Safety
from leakfix.languages.go.syntax import listed, plain, text
from leakfix.repairs.go.places import Sheet, function_of, mentions
from leakfix.repairs.go.subject import NoRepair, Subject, arguments_of
from leakfix.source import Span

if TYPE_CHECKING:
    from tree_sitter import Node

_READS = re.compile(r"[`\"]\s*(?:select|with|show|explain|values|table|fetch)\b", re.IGNORECASE)


def is_discarded(subject: Subject) -> bool:
    """Whether the rows are thrown away where they are made."""
    parent = subject.call.parent
    if parent is not None and parent.type == "selector_expression":
        return text(parent.child_by_field_name("field")) == "Err"
    if parent is not None and parent.type == "expression_statement":
        return True
    return bool(subject.names) and subject.names[0] == "_" and subject.is_value and not subject.resource.result


def executed(subject: Subject) -> Fix:
    """``Exec``: it is done, and nothing stays open."""
    function = subject.call.child_by_field_name("function")
    method = function.child_by_field_name("field") if function is not None else None
    instead = dict(entry.split("=") for entry in subject.resource.instead)
    if method is None or text(method) not in instead:
        raise NoRepair("it is thrown away where it is made, and there is no call that only executes")
    if not subject.is_known:
        raise NoRepair(f"what it is called on is known by its type alone, and may have no {instead[text(method)]}()")
    sheet = Sheet(subject.source)
    sheet.replace(method.start_byte, method.end_byte, instead[text(method)])
    selector = subject.call.parent
    if selector is not None and selector.type == "selector_expression":
        _without_err(subject, selector, sheet)
    reads = any(_READS.match(text(argument)) for argument in arguments_of(subject.call))
    written = any(re.match(r"[`\"]", text(argument)) for argument in arguments_of(subject.call))
    safety = Safety.SAFE if written and not reads else Safety.REVIEW
    check = "" if safety is Safety.SAFE else "that the statement is not run for what it reads"
    return Fix("execute it: nobody reads what it gives", safety, tuple(sheet.edits), check)


def _without_err(subject: Subject, selector: Node, sheet: Sheet) -> None:
    """``QueryRow(...).Err()`` becomes the error of ``Exec(...)``."""
    outer = selector.parent
    if outer is None or outer.type != "call_expression":
        raise NoRepair("its error is not asked for in a way that can be rewritten")
    statement = subject.statement
    bare = statement.type in ("return_statement", "if_statement") and subject.initializer is None
    if bare:
        function = function_of(statement)
        if not sheet.stands_alone_at_start(statement) or function is None or mentions(function, "err"):
            raise NoRepair("err has another meaning here")
        told = subject.source.text(Span(subject.call.start_byte, subject.call.end_byte))
        method = subject.call.child_by_field_name("function")
        name = method.child_by_field_name("field") if method is not None else None
        if name is None:
            raise NoRepair("its error is not asked for in a way that can be rewritten")
        start = name.start_byte - subject.call.start_byte
        end = start + name.end_byte - name.start_byte
        executed = (told.encode()[:start] + sheet.edits[0].text + told.encode()[end:]).decode()
        sheet.edits.clear()
        values = [item for child in statement.named_children for item in listed(child)]
        if statement.type == "return_statement" and len(values) == 1 and plain(values[0]) == outer:
            sheet.replace(statement.start_byte, statement.end_byte, f"_, err := {executed}")
            sheet.after(statement, f"{sheet.indent(statement)}return err")
            return
        sheet.before(statement, f"{sheet.indent(statement)}_, err := {executed}")
        sheet.replace(outer.start_byte, outer.end_byte, "err")
        return
    made = subject.initializer or statement
    places = listed(made.child_by_field_name("left"))
    values = listed(made.child_by_field_name("right"))
    if len(places) != 1 or len(values) != 1 or plain(values[0]) != outer:
        raise NoRepair("its error is not asked for in a way that can be rewritten")
    sheet.replace(places[0].start_byte, places[0].start_byte, "_, ")
    sheet.replace(subject.call.end_byte, outer.end_byte, "")
