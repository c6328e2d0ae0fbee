"""The repair of what a loop acquires in every round."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leakfix.finding import Fix
from leakfix.languages.go.syntax import listed, own, statements, text, walk
from leakfix.repairs.go.flows import carries, flows
from leakfix.repairs.go.places import (
    Sheet,
    assigned_names,
    block_of,
    exits_of,
    function_of,
    mentions,
    never_goes_on,
    siblings_after,
)
from leakfix.repairs.go.releases import defers, is_release, release_of, releases_of, shown
from leakfix.repairs.go.subject import NoRepair, Subject, fixed
from leakfix.resources import Resource

if TYPE_CHECKING:
    from tree_sitter import Node

_MAKES = re.compile(r"(?:Query(?!Row)|NamedQuery|Begin|Prepare|SendBatch|Conn\b)")


def in_loop(subject: Subject, name: str, anchor: Node, loop: Node, sheet: Sheet) -> Fix:
    """In a loop a ``defer`` would hold all until the function ends: close on every way out of a round."""
    block = block_of(subject.statement)
    if block is None or block.parent != loop:
        raise NoRepair("it is acquired in a part of a loop, and a defer would wait for the end of the function")
    region = siblings_after(anchor)
    release = release_of(subject, name)
    reading = next((item for item in region if _reads_to_end(item, subject, name)), None)
    if reading is not None:
        at = region.index(reading)
        later = region[at + 1 :]
        if any(_uses_otherwise(item, name) for item in later):
            reading = None
    if any(_hands_on(item, name) for item in region):
        raise NoRepair("it is handed on in the loop")
    if subject.statement.type == "assignment_statement" and _is_used_beside(loop, subject.statement, name):
        raise NoRepair("it is declared outside of the loop, and used beyond its round")
    if any(item.type == "goto_statement" for statement in region for item in own(statement)):
        raise NoRepair("a goto in the loop may lead anywhere")
    if any(name in assigned_names(item) for statement in region for item in own(statement)):
        raise NoRepair("it is set again in the same round")
    if any(item.type == "defer_statement" and defers(item, name, subject.resource) for item in region):
        raise NoRepair("a defer in the loop keeps it until the function ends")
    needing = flows(region, name, subject.package, subject.resource.data)
    _require_alone(subject, name, region, needing)
    inside = region if reading is None else region[: region.index(reading) + 1]
    for leaving in exits_of(inside, loop):
        if not sheet.stands_alone(leaving):
            raise NoRepair("a way out of the loop shares its line with something else")
        if any(_uses_otherwise(child, each) for child in leaving.named_children for each in needing):
            raise NoRepair("what leaves the loop still needs it")
        if not _released_before(leaving, name, subject.resource):
            sheet.before(leaving, f"{sheet.indent(leaving)}{release}")
    last = reading if reading is not None else region[-1] if region else anchor
    closed = any(
        is_release(item, name, subject.resource) for item in region[region.index(last) if last in region else 0 :]
    )
    if reading is not None:
        if not _is_release_next(reading, name, subject.resource):
            sheet.after(reading, f"{sheet.indent(reading)}{release}")
    elif not closed and not (region and never_goes_on(region[-1])):
        sheet.after(last, f"{sheet.indent(subject.statement)}{release}")
    return fixed(sheet, f"{shown(subject, name)} on every way out of the loop's round")


def _is_used_beside(loop: Node, statement: Node, name: str) -> bool:
    """Whether a name stands behind a loop, or in it in front of the statement that sets the name."""
    function = function_of(statement)
    if function is None:
        return True
    before = [item for item in statements(block_of(statement)) if item.start_byte < statement.start_byte]
    if any(item.type == "var_declaration" and name in assigned_names(item) for item in before):
        return False
    for node in walk(function):
        if node.type == "identifier" and text(node) == name:
            if node.start_byte >= loop.end_byte or loop.start_byte <= node.start_byte < statement.start_byte:
                return True
    return False


def _require_alone(subject: Subject, name: str, region: list[Node], needing: set[str]) -> None:
    """Raise NoRepair where something made from it lives beyond the round, or has to be ended before it."""
    for item in (item for statement in region for item in own(statement)):
        if item.type == "assignment_statement":
            for value in listed(item.child_by_field_name("right")):
                if carries(value, needing, subject.package, subject.resource.data):
                    raise NoRepair("what is made from it in the loop is kept")
        called = text(item.child_by_field_name("function")) if item.type == "call_expression" else ""
        if called.startswith(f"{name}.") and _MAKES.match(called[len(name) + 1 :]) and not subject.resource.instead:
            if not subject.resource.outlived:
                raise NoRepair("what is made from it in the loop has to be ended first")


def _reads_to_end(node: Node, subject: Subject, name: str) -> bool:
    """``for rows.Next() {``."""
    if node.type != "for_statement" or not subject.resource.exhausted_by:
        return False
    head = next((child for child in node.named_children if child.type == "call_expression"), None)
    return head is not None and text(head) in {f"{name}.{method}()" for method in subject.resource.exhausted_by}


def _uses_otherwise(node: Node, name: str) -> bool:
    """Whether something needs it open: anything but asking it for its error, or closing it."""
    for item in walk(node):
        if item.type == "identifier" and text(item) == name:
            parent = item.parent
            if parent is None or parent.type != "selector_expression":
                return True
            if text(parent.child_by_field_name("field")) not in ("Err", "Close", "Release", "Rollback"):
                return True
    return False


def _hands_on(node: Node, name: str) -> bool:
    return any(
        item.type in ("go_statement", "send_statement", "func_literal") and mentions(item, name) for item in own(node)
    )


def _is_release_next(node: Node, name: str, resource: Resource) -> bool:
    following = siblings_after(node)
    releases = releases_of(name, resource)
    return bool(following) and any(
        item.type == "call_expression" and text(item.child_by_field_name("function")) in releases
        for item in own(following[0])
    )


def _released_before(leaving: Node, name: str, resource: Resource) -> bool:
    """Whether a release stands right in front of a statement, in its block."""
    parent = leaving.parent
    if parent is None:
        return False
    named = [child for child in parent.named_children if child.type != "comment"]
    at = next((number for number, child in enumerate(named) if child == leaving), 0)
    return any(is_release(item, name, resource) for item in named[:at])
