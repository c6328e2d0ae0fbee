"""The repair for one leak in Go: which of the forms fits the code, or why none does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leakfix.finding import Fix, Refusal
from leakfix.ir.nodes import Call
from leakfix.languages.go.syntax import plain, statements, text
from leakfix.lifetimes.verdict import Leak
from leakfix.repairs.go.contexts import cancelled
from leakfix.repairs.go.discarded import executed, is_discarded
from leakfix.repairs.go.flows import Package
from leakfix.repairs.go.loops import in_loop
from leakfix.repairs.go.places import (
    Sheet,
    assigned_names,
    block_of,
    ends,
    is_error_check,
    is_switch_check,
    is_whole_check,
    loop_round,
    mentions,
    node_at,
    siblings_after,
    statement_of,
)
from leakfix.repairs.go.releases import deferred, shown, tidy
from leakfix.repairs.go.subject import NoRepair, Subject, fixed
from leakfix.source import SourceFile, Span

if TYPE_CHECKING:
    from tree_sitter import Node

_HARMLESS = frozenset({"expression_statement", "var_declaration"})


def repair(source: SourceFile, root: Node, span: Span, leak: Leak, package: Package) -> Fix | Refusal:
    """The repair for what is acquired at a span of a file."""
    resource = leak.resource
    if leak.kept:
        return Refusal("another path hands it on, and what closes it here must not close it there")
    call = node_at(root, span, "call_expression")
    statement = statement_of(call) if call is not None else None
    if call is None or statement is None:
        return Refusal("it is acquired where no statement can be put behind it")
    subject = Subject(source, resource, call, statement, _is_known(leak), package)
    try:
        return _repaired(subject)
    except NoRepair as reason:
        return Refusal(str(reason))


def _is_known(leak: Leak) -> bool:
    """Whether the call is named as a method, not by the type of what it gives."""
    acquired = leak.function.graph.nodes[leak.site.node].op
    return isinstance(acquired, Call) and any("()." in name for name in acquired.callee.names)


def _repaired(subject: Subject) -> Fix:
    if is_discarded(subject):
        return executed(subject)
    if not subject.is_value:
        raise NoRepair("it has no name, and is used where it is made")
    if subject.resource.result:
        return cancelled(subject)
    name = subject.names[0] if subject.names else ""
    if not re.fullmatch(r"\w+", name):
        raise NoRepair(f"it is stored in {name}: who closes it there cannot be told")
    if not (subject.resource.release and subject.resource.release[0] != "Scan"):
        raise NoRepair(f"the {subject.resource.noun} has to be scanned on every path")
    if subject.initializer is not None:
        return _in_branch(subject, name)
    return _behind_check(subject, name)


def _behind_check(subject: Subject, name: str) -> Fix:
    """Behind the check of the error: everything that goes on there has it."""
    if name == "_":
        raise NoRepair("it has no name")
    alone = _has_it_alone(subject)
    if alone is not None:
        return _first_in(subject, name, alone)
    return _behind(subject, name, _checked(subject))


def _has_it_alone(subject: Subject) -> Node | None:
    """``if err == nil { ... }`` right behind it: the block in which it is there."""
    following = siblings_after(subject.statement)
    error = subject.names[-1] if len(subject.names) > 1 else ""
    if not following or following[0].type != "if_statement" or not error:
        return None
    condition = plain(following[0].child_by_field_name("condition") or following[0])
    if following[0].child_by_field_name("initializer") is not None or text(condition) != f"{error} == nil":
        return None
    return following[0].child_by_field_name("consequence")


def _first_in(subject: Subject, name: str, block: Node) -> Fix:
    """At the begin of the block that has it."""
    body = statements(block)
    if loop_round(subject.statement) is not None:
        raise NoRepair("it is acquired in a loop, where a defer would wait for the end of the function")
    sheet = Sheet(subject.source)
    if not body or not sheet.stands_alone(body[0]):
        raise NoRepair("the branch that has it stands on one line")
    tidy(subject, name, body, sheet)
    sheet.before(body[0], f"{sheet.indent(body[0])}{deferred(subject, name)}")
    return fixed(sheet, f"defer {shown(subject, name)}")


def _behind(subject: Subject, name: str, anchor: Node) -> Fix:
    """Behind a statement that goes on only where it is there."""
    sheet = Sheet(subject.source)
    loop = loop_round(subject.statement)
    if loop is not None:
        return in_loop(subject, name, anchor, loop, sheet)
    tidy(subject, name, siblings_after(anchor), sheet)
    sheet.after(anchor, f"{sheet.indent(anchor)}{deferred(subject, name)}")
    return fixed(sheet, f"defer {shown(subject, name)}")


def _checked(subject: Subject) -> Node:
    """The last statement that separates success from failure: the check of the error, or the acquisition itself."""
    names = subject.names
    error = names[-1] if len(names) > 1 else ""
    if not error:
        return subject.statement
    if error == "_":
        raise NoRepair("the error is not looked at: what is not there cannot be closed")
    at: Node | None = subject.statement
    while at is not None:
        anchor = _check_behind(at, names[0], error)
        if anchor is not None:
            return anchor
        at = _shared(at, names[0])
    raise NoRepair(f"no check of {error} that ends the function stands behind it")


def _check_behind(statement: Node, name: str, error: str) -> Node | None:
    """The check of an error behind a statement, with nothing between that needs either."""
    for following in siblings_after(statement):
        if is_switch_check(following, error):
            return following
        if is_error_check(following, error):
            if not is_whole_check(following, error):
                continue
            return following
        if mentions(following, name) or mentions(following, error) or following.type not in _HARMLESS:
            return None
    return None


def _shared(statement: Node, name: str) -> Node | None:
    """The ``if`` or ``switch`` round a statement that ends its branch, where every branch sets the name."""
    if siblings_after(statement):
        return None
    block = block_of(statement)
    at = block.parent if block is not None else None
    while at is not None and at.type == "if_statement" and at.parent is not None and at.parent.type == "if_statement":
        at = at.parent
    if at is None or at.type not in ("if_statement", "expression_switch_statement"):
        return None
    return at if all(_sets(branch, name) for branch in _branches(at)) else None


def _branches(statement: Node) -> list[Node | None]:
    if statement.type == "expression_switch_statement":
        cases = [child for child in statement.named_children if child.type.endswith("_case")]
        default = any(case.type == "default_case" for case in cases)
        return [*cases, *([] if default else [None])]
    alternative = statement.child_by_field_name("alternative")
    rest = _branches(alternative) if alternative is not None and alternative.type == "if_statement" else [alternative]
    return [statement.child_by_field_name("consequence"), *rest]


def _sets(branch: Node | None, name: str) -> bool:
    """Whether a branch leaves the function, or sets the name by an assignment of its own."""
    if branch is None:
        return False
    made = [item for item in statements(branch) if item.type == "assignment_statement" and name in assigned_names(item)]
    return bool(made) or ends(branch)


def _in_branch(subject: Subject, name: str) -> Fix:
    """``if x, err := acquire(); err == nil {``: in the branch that has it."""
    statement, error = subject.statement, subject.names[-1]
    condition = plain(statement.child_by_field_name("condition") or statement)
    operator = text(condition.child_by_field_name("operator")) if condition.type == "binary_expression" else ""
    sides = {text(condition.child_by_field_name(side)) for side in ("left", "right")}
    if sides != {error, "nil"} or operator not in ("==", "!="):
        raise NoRepair("the condition does not tell whether it is there")
    consequence = statement.child_by_field_name("consequence")
    made = subject.initializer
    if operator == "!=" and made is not None and made.type == "assignment_statement" and consequence is not None:
        if ends(consequence) and statement.child_by_field_name("alternative") is None:
            return _behind(subject, name, statement)
    field = "consequence" if operator == "==" else "alternative"
    block = statement.child_by_field_name(field)
    if block is None or block.type != "block" or not statements(block):
        raise NoRepair("there is no branch that has it alone")
    if loop_round(statement) is not None:
        raise NoRepair("it is acquired in a loop, where a defer would wait for the end of the function")
    sheet = Sheet(subject.source)
    first = statements(block)[0]
    if not sheet.stands_alone(first):
        raise NoRepair("the branch stands on one line")
    tidy(subject, name, statements(block), sheet)
    sheet.before(first, f"{sheet.indent(first)}{deferred(subject, name)}")
    return fixed(sheet, f"defer {shown(subject, name)}")
