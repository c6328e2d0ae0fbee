"""What releases a leak, as it is written, and the releases that a ``defer`` makes redundant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leakfix.languages.go.syntax import listed, own, plain, text, walk
from leakfix.repairs.go.places import Sheet, assigned_names, block_of, function_of, mentions, siblings_after
from leakfix.repairs.go.subject import NoRepair, Subject, arguments_of
from leakfix.resources import Resource

if TYPE_CHECKING:
    from tree_sitter import Node

_WRAPPED = re.compile(rb"defer func\(\) \{ _ = ")
_MAKING_ERRORS = ("errors.New", "fmt.Errorf")


def release_of(subject: Subject, name: str) -> str:
    """The call that releases: with the context that the acquiring call was given, where it takes one."""
    method = subject.resource.release[0]
    arguments = arguments_of(subject.call)
    if method not in subject.resource.release_given:
        return shown(subject, name)
    first = text(arguments[0]) if arguments else ""
    if not re.fullmatch(r"[\w.]+(?:\(\))?", first):
        raise NoRepair("the context it is acquired with has no name")
    return f"{name}.{method}({first})"


def shown(subject: Subject, name: str) -> str:
    """The call that releases, without what it takes."""
    return f"{_released(name, subject.resource)}.{subject.resource.release[0]}()"


def _released(name: str, resource: Resource) -> str:
    """What the releasing method is called on: what was acquired, or the part of it that stands for it."""
    return f"{name}.{resource.part}" if resource.part else name


def deferred(subject: Subject, name: str) -> str:
    """The statement that releases when the function ends, written as the file writes others of its kind."""
    release = release_of(subject, name)
    wraps = _WRAPPED.search(subject.source.data) and subject.resource.release[0] == "Rollback"
    if wraps and not _is_set_again(subject, name):
        return f"defer func() {{ _ = {release} }}()"
    return f"defer {release}"


def _is_set_again(subject: Subject, name: str) -> bool:
    """Whether the variable gets something else later: a function literal would see that."""
    function = function_of(subject.statement)
    later = own(function) if function is not None else ()
    return any(
        node.type in ("assignment_statement", "short_var_declaration") and name in assigned_names(node)
        for node in later
        if node.start_byte > subject.statement.end_byte
    )


def is_release(node: Node, name: str, resource: Resource) -> bool:
    """Whether a call, or a statement that is nothing but one, releases."""
    call = plain(node.named_children[0]) if node.type == "expression_statement" and node.named_children else node
    if node.type == "assignment_statement" and assigned_names(node) == ["_"]:
        call = plain(listed(node.child_by_field_name("right"))[0])
    return call.type == "call_expression" and text(call.child_by_field_name("function")) in releases_of(name, resource)


def releases_of(name: str, resource: Resource) -> set[str]:
    """The callees that release, as written; a commit does so too, but not in place of another."""
    of = _released(name, resource)
    return {of if method == "()" else f"{of}.{method}" for method in resource.release if method != "Commit"}


def defers(statement: Node, name: str, resource: Resource) -> bool:
    """Whether a ``defer`` statement releases."""
    call = next((child for child in statement.named_children if child.type == "call_expression"), None)
    return call is not None and text(call.child_by_field_name("function")) in releases_of(name, resource)


def tidy(subject: Subject, name: str, region: list[Node], sheet: Sheet) -> None:
    """Drop what a ``defer`` makes redundant: a later one of the same, and releases right in front of a way out."""
    for statement in region:
        if name in assigned_names(statement):
            return  # from here on it is another one
        if statement.type == "defer_statement" and defers(statement, name, subject.resource):
            if sheet.stands_alone(statement) and not sheet.has_comment(statement):
                sheet.without(statement)
            continue
        for node in own(statement):
            if not is_release(node, name, subject.resource) or node.type == "call_expression":
                continue
            parent = node.parent
            if parent is None or parent.type != "statement_list" or not sheet.stands_alone(node):
                continue
            if sheet.has_comment(node):
                continue
            following = siblings_after(node)
            leaves = bool(following) and leaves_at_once(following[0], name)
            last = not following and block_of(node) == body_of(subject)
            if leaves or last:
                sheet.without(node)


def leaves_at_once(statement: Node, name: str) -> bool:
    """A return that calls nothing: whatever it called would find the resource still open."""
    calls = any(
        item.type == "call_expression" and text(item.child_by_field_name("function")) not in _MAKING_ERRORS
        for item in walk(statement)
    )
    return statement.type == "return_statement" and not calls and not mentions(statement, name)


def body_of(subject: Subject) -> Node | None:
    """The body of the function a leak is in."""
    function = function_of(subject.statement)
    return function.child_by_field_name("body") if function is not None else None
