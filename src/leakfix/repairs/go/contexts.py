"""The repair of a context that nobody ends: ``defer cancel()``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leakfix.finding import Fix, Safety
from leakfix.languages.go.packages import parameters_of
from leakfix.languages.go.syntax import listed, own, text, walk
from leakfix.repairs.go.flows import Package, carries, flows
from leakfix.repairs.go.places import (
    Sheet,
    assigned_names,
    block_of,
    function_of,
    loop_round,
    mentions,
    siblings_after,
    statement_of,
)
from leakfix.repairs.go.releases import body_of, leaves_at_once
from leakfix.repairs.go.subject import NoRepair, Subject, arguments_of, fixed

if TYPE_CHECKING:
    from tree_sitter import Node

_STARTING = re.compile(r"(?:Start|Watch|Subscribe|Listen|Spawn|Launch|Monitor|Register|Go|Schedule|Enqueue)(?![a-z])")


def cancelled(subject: Subject) -> Fix:
    """``defer cancel()``, where nothing outlives the function that needs the context."""
    names = subject.names
    if len(names) != 2 or subject.initializer is not None:
        raise NoRepair("its cancel function has no name")
    function = function_of(subject.statement)
    if function is None or loop_round(subject.statement) is not None:
        raise NoRepair("it is made in a loop, and a defer would wait for the end of the function")
    context, cancel = names
    if context != "_" and _outlives(subject, function, context):
        raise NoRepair("the context is handed on: who ends it is for a person to decide")
    sheet = Sheet(subject.source)
    if cancel == "_":
        return _named_cancel(subject, function, context, sheet)
    if not re.fullmatch(r"\w+", cancel):
        raise NoRepair(f"its cancel function is stored in {cancel}")
    _tidy_calls(cancel, siblings_after(subject.statement), sheet, subject)
    sheet.after(subject.statement, f"{sheet.indent(subject.statement)}defer {cancel}({_cause(subject)})")
    return _cancel_fix(subject, sheet, f"defer {cancel}({_cause(subject)})")


def _cause(subject: Subject) -> str:
    """What the cancel function takes: that of ``WithCancelCause`` alone takes something."""
    return "nil" if _maker(subject) == "WithCancelCause" else ""


def _maker(subject: Subject) -> str:
    return text(subject.call.child_by_field_name("function")).rpartition(".")[2]


def _cancel_fix(subject: Subject, sheet: Sheet, title: str) -> Fix:
    """Without a deadline, whoever was given the context may count on it for longer than the function runs."""
    if _maker(subject).startswith("WithCancel"):
        check = "that nothing the context was given to goes on after the function"
        return Fix(title, Safety.REVIEW, tuple(sheet.edits), check)
    return fixed(sheet, title)


def _package(subject: Subject) -> str:
    """What the file calls the package of contexts."""
    return text(subject.call.child_by_field_name("function")).rpartition(".")[0]


def _tidy_calls(cancel: str, region: list[Node], sheet: Sheet, subject: Subject) -> None:
    for statement in region:
        for node in own(statement):
            if node.type != "expression_statement" or text(node) != f"{cancel}()" or not sheet.stands_alone(node):
                continue
            following = siblings_after(node)
            last = not following and block_of(node) == body_of(subject)
            if (last or (following and leaves_at_once(following[0], cancel))) and not sheet.has_comment(node):
                sheet.without(node)


def _named_cancel(subject: Subject, function: Node, context: str, sheet: Sheet) -> Fix:
    statement = subject.statement
    name = next((word for word in ("cancel", "stop", "cancelContext") if not mentions(function, word)), "")
    if not name:
        raise NoRepair("its cancel function has no name, and those one would give it are taken")
    places = listed(statement.child_by_field_name("left"))
    indent = sheet.indent(statement)
    operator = statement.child_by_field_name("operator")
    if statement.type == "assignment_statement" and operator is not None:
        scope = _scope_of(function, context)
        if scope is None:
            raise NoRepair(f"{context} belongs to somebody else, who may use it after the function")
        if scope == "outermost" and block_of(statement) == function.child_by_field_name("body"):
            sheet.replace(operator.start_byte, operator.end_byte, ":=")
        else:
            kind = "CancelCauseFunc" if _cause(subject) else "CancelFunc"
            sheet.before(statement, f"{indent}var {name} {_package(subject)}.{kind}")
    sheet.replace(places[1].start_byte, places[1].end_byte, name)
    sheet.after(statement, f"{indent}defer {name}({_cause(subject)})")
    return _cancel_fix(subject, sheet, f"defer {name}({_cause(subject)})")


def _scope_of(function: Node, name: str) -> str | None:
    """Where a function declares a name: in its "outermost" scope, an "inner" one, or (None) not at all."""
    for part in ("receiver", "parameters", "result"):
        if any(known == name for known, _, _ in parameters_of(function.child_by_field_name(part))):
            return "outermost"
    found = None
    for node in own(function):
        if node.type in ("short_var_declaration", "var_declaration") and name in assigned_names(node):
            if block_of(node) == function.child_by_field_name("body") and statement_of(node) == node:
                return "outermost"
            found = "inner"
    return found


def _outlives(subject: Subject, function: Node, context: str) -> bool:
    """Whether a context, or what is made with it, is returned, stored, or used by what goes on after the function."""
    behind = [item for item in own(function) if item.start_byte >= subject.statement.end_byte]
    needing = flows(behind, context, subject.package)
    ends = _ends_here(subject, function)
    named = {name for name, _, _ in parameters_of(function.child_by_field_name("result"))}
    if needing & named:
        return True
    for item in walk(function):
        if item.start_byte < subject.statement.end_byte:
            continue
        match item.type:
            case "go_statement" | "send_statement" | "composite_literal":
                if any(mentions(item, name) for name in needing):
                    return True
            case "func_literal":
                deferred = item.parent is not None and item.parent.parent is not None
                is_deferred = deferred and item.parent.parent.type == "defer_statement"  # type: ignore[union-attr]
                if any(mentions(item, name) for name in (needing if not is_deferred else {context})):
                    return True
            case "return_statement":
                values = [value for child in item.named_children for value in listed(child)]
                if any(carries(value, needing, subject.package, subject.resource.data) for value in values):
                    return True
            case "call_expression":
                if not ends and _goes_on(item, needing, subject.package):
                    return True
            case "assignment_statement":
                places, right = listed(item.child_by_field_name("left")), listed(item.child_by_field_name("right"))
                if any(place.type != "identifier" for place in places):
                    if any(carries(value, needing, subject.package, subject.resource.data) for value in right):
                        return True
    return False


def _ends_here(subject: Subject, function: Node) -> bool:
    """Whether the function itself calls the cancel function: what it starts is not meant to go on after it."""
    cancel = subject.names[1] if len(subject.names) == 2 else "_"
    called = (item for item in own(function) if item.type == "call_expression")
    return any(text(item.child_by_field_name("function")) == cancel for item in called)


def _goes_on(call: Node, names: set[str], package: Package) -> bool:
    """Whether a call is given a context for something that goes on when it has come back."""
    if not any(mentions(argument, name) for argument in arguments_of(call) for name in names):
        return False
    word = text(call.child_by_field_name("function")).rpartition(".")[2]
    return _STARTING.match(word[:1].upper() + word[1:]) is not None or package.keeps(word)
