"""The repair for one leak in Go: which of the forms fits the code, or why none does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leakfix.finding import Fix, Refusal, Safety
from leakfix.ir.nodes import Call
from leakfix.languages.go.packages import parameters_of
from leakfix.languages.go.syntax import listed, own, plain, statements, text, walk
from leakfix.lifetimes.verdict import Leak
from leakfix.repairs.go.flows import Package, carries, flows
from leakfix.repairs.go.places import (
    Sheet,
    assigned_names,
    block_of,
    ends,
    exits_of,
    function_of,
    is_error_check,
    is_switch_check,
    is_whole_check,
    loop_round,
    mentions,
    node_at,
    siblings_after,
    statement_of,
)
from leakfix.resources import Resource
from leakfix.source import SourceFile, Span

if TYPE_CHECKING:
    from tree_sitter import Node

_READS = re.compile(r"[`\"]\s*(?:select|with|show|explain|values|table|fetch)\b", re.IGNORECASE)
_WRAPPED = re.compile(rb"defer func\(\) \{ _ = ")
_MAKING_ERRORS = ("errors.New", "fmt.Errorf")


class NoRepair(Exception):
    """There is no repair that is surely right; the message says why."""


@dataclass(frozen=True)
class Subject:
    """A leak as the repairs see it.

    call: what acquires; statement: where it stands, or the ``if`` whose part it is.
    is_known: whether it is a library's own method that is called, and not an interface that gives the same.
    """

    source: SourceFile
    resource: Resource
    call: Node
    statement: Node
    is_known: bool = True
    package: Package = field(default_factory=Package)

    @property
    def names(self) -> list[str]:
        """What the acquiring statement sets."""
        made = self.initializer or self.statement
        return assigned_names(made)

    @property
    def initializer(self) -> Node | None:
        """``if x := acquire(); ... {``: the part before the semicolon."""
        found = self.statement.child_by_field_name("initializer")
        if found is not None and found.start_byte <= self.call.start_byte < found.end_byte:
            return found
        return None

    @property
    def is_value(self) -> bool:
        """Whether the call's results are what is assigned, and not something made of them."""
        made = self.initializer or self.statement
        if made.type == "var_declaration":
            values = [
                item
                for spec in walk(made)
                if spec.type == "var_spec"
                for item in listed(spec.child_by_field_name("value"))
            ]
        else:
            values = listed(made.child_by_field_name("right"))
        return len(values) == 1 and plain(values[0]) == self.call


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
    if _is_discarded(subject):
        return _executed(subject)
    if not subject.is_value:
        raise NoRepair("it has no name, and is used where it is made")
    if subject.resource.result:
        return _cancelled(subject)
    name = subject.names[0] if subject.names else ""
    if not re.fullmatch(r"\w+", name):
        raise NoRepair(f"it is stored in {name}: who closes it there cannot be told")
    if not (subject.resource.release and subject.resource.release[0] != "Scan"):
        raise NoRepair(f"the {subject.resource.noun} has to be scanned on every path")
    if subject.initializer is not None:
        return _in_branch(subject, name)
    return _behind_check(subject, name)


# -- forms ------------------------------------------------------------------------------------------------------------


def _release(subject: Subject, name: str) -> str:
    """The call that releases: with the context that the acquiring call was given, where it takes one."""
    method = subject.resource.release[0]
    arguments = _arguments(subject.call)
    if method not in subject.resource.release_given:
        return _shown(subject, name)
    first = text(arguments[0]) if arguments else ""
    if not re.fullmatch(r"[\w.]+(?:\(\))?", first):
        raise NoRepair("the context it is acquired with has no name")
    return f"{name}.{method}({first})"


def _shown(subject: Subject, name: str) -> str:
    """The call that releases, without what it takes."""
    return f"{_released(name, subject.resource)}.{subject.resource.release[0]}()"


def _released(name: str, resource: Resource) -> str:
    """What the releasing method is called on: what was acquired, or the part of it that stands for it."""
    return f"{name}.{resource.part}" if resource.part else name


def _deferred(subject: Subject, name: str) -> str:
    release = _release(subject, name)
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
    _tidy_region(subject, name, body, sheet)
    sheet.before(body[0], f"{sheet.indent(body[0])}{_deferred(subject, name)}")
    return _fix(subject, sheet, f"defer {_shown(subject, name)}")


def _behind(subject: Subject, name: str, anchor: Node) -> Fix:
    """Behind a statement that goes on only where it is there."""
    sheet = Sheet(subject.source)
    loop = loop_round(subject.statement)
    if loop is not None:
        return _in_loop(subject, name, anchor, loop, sheet)
    _tidy(subject, name, anchor, sheet)
    sheet.after(anchor, f"{sheet.indent(anchor)}{_deferred(subject, name)}")
    return _fix(subject, sheet, f"defer {_shown(subject, name)}")


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


_HARMLESS = frozenset({"expression_statement", "var_declaration"})


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
    _tidy_region(subject, name, statements(block), sheet)
    sheet.before(first, f"{sheet.indent(first)}{_deferred(subject, name)}")
    return _fix(subject, sheet, f"defer {_shown(subject, name)}")


def _in_loop(subject: Subject, name: str, anchor: Node, loop: Node, sheet: Sheet) -> Fix:
    """In a loop a ``defer`` would hold all until the function ends: close on every way out of a round."""
    block = block_of(subject.statement)
    if block is None or block.parent != loop:
        raise NoRepair("it is acquired in a part of a loop, and a defer would wait for the end of the function")
    region = siblings_after(anchor)
    release = _release(subject, name)
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
    if any(item.type == "defer_statement" and _defers(item, name, subject.resource) for item in region):
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
        _is_release(item, name, subject.resource) for item in region[region.index(last) if last in region else 0 :]
    )
    if reading is not None:
        if not _is_release_next(reading, name, subject.resource):
            sheet.after(reading, f"{sheet.indent(reading)}{release}")
    elif not closed and not _leaves_always(region):
        sheet.after(last, f"{sheet.indent(subject.statement)}{release}")
    return _fix(subject, sheet, f"{_shown(subject, name)} on every way out of the loop's round")


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
            if subject.resource.release[0] != "Close" or not subject.resource.noun.endswith("statement"):
                raise NoRepair("what is made from it in the loop has to be ended first")


_MAKES = re.compile(r"(?:Query(?!Row)|NamedQuery|Begin|Prepare|SendBatch|Conn\b)")


def _leaves_always(region: list[Node]) -> bool:
    """Whether nothing goes on behind the last statement, so that what stood there would never run."""
    return bool(region) and _never_goes_on(region[-1])


def _never_goes_on(statement: Node) -> bool:
    match statement.type:
        case "return_statement" | "continue_statement" | "break_statement" | "goto_statement":
            return True
        case "expression_statement":
            return text(statement).startswith(("panic(", "os.Exit(", "log.Fatal"))
        case "block":
            return _leaves_always(statements(statement))
        case "if_statement":
            parts = [statement.child_by_field_name(part) for part in ("consequence", "alternative")]
            return all(part is not None and _never_goes_on(part) for part in parts)
        case "expression_switch_statement" | "type_switch_statement":
            cases = [child for child in statement.named_children if child.type.endswith("_case")]
            return any(case.type == "default_case" for case in cases) and all(
                _leaves_always(statements(case)) for case in cases
            )
    return False


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


def _is_release(node: Node, name: str, resource: Resource) -> bool:
    call = plain(node.named_children[0]) if node.type == "expression_statement" and node.named_children else node
    if node.type == "assignment_statement" and assigned_names(node) == ["_"]:
        call = plain(listed(node.child_by_field_name("right"))[0])
    return call.type == "call_expression" and text(call.child_by_field_name("function")) in _releases(name, resource)


def _releases(name: str, resource: Resource) -> set[str]:
    of = _released(name, resource)
    return {of if method == "()" else f"{of}.{method}" for method in resource.release if method != "Commit"}


def _is_release_next(node: Node, name: str, resource: Resource) -> bool:
    following = siblings_after(node)
    releases = _releases(name, resource)
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
    return any(_is_release(item, name, resource) for item in named[:at])


def _tidy(subject: Subject, name: str, anchor: Node, sheet: Sheet) -> None:
    _tidy_region(subject, name, siblings_after(anchor), sheet)


def _tidy_region(subject: Subject, name: str, region: list[Node], sheet: Sheet) -> None:
    """Drop what a ``defer`` makes redundant: a later one of the same, and releases right in front of a way out."""
    for statement in region:
        if name in assigned_names(statement):
            return  # from here on it is another one
        if statement.type == "defer_statement" and _defers(statement, name, subject.resource):
            if sheet.stands_alone(statement) and not sheet.has_comment(statement):
                sheet.without(statement)
            continue
        for node in own(statement):
            if not _is_release(node, name, subject.resource) or node.type == "call_expression":
                continue
            parent = node.parent
            if parent is None or parent.type != "statement_list" or not sheet.stands_alone(node):
                continue
            if sheet.has_comment(node):
                continue
            following = siblings_after(node)
            leaves = bool(following) and _leaves_at_once(following[0], name)
            last = not following and block_of(node) == _body(subject)
            if leaves or last:
                sheet.without(node)


def _leaves_at_once(statement: Node, name: str) -> bool:
    """A return that calls nothing: whatever it called would find the resource still open."""
    calls = any(
        item.type == "call_expression" and text(item.child_by_field_name("function")) not in _MAKING_ERRORS
        for item in walk(statement)
    )
    return statement.type == "return_statement" and not calls and not mentions(statement, name)


def _body(subject: Subject) -> Node | None:
    function = function_of(subject.statement)
    return function.child_by_field_name("body") if function is not None else None


def _defers(statement: Node, name: str, resource: Resource) -> bool:
    call = next((child for child in statement.named_children if child.type == "call_expression"), None)
    return call is not None and text(call.child_by_field_name("function")) in _releases(name, resource)


# -- contexts ---------------------------------------------------------------------------------------------------------


def _cancelled(subject: Subject) -> Fix:
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
    return _fix(subject, sheet, title)


def _package(subject: Subject) -> str:
    """What the file calls the package of contexts."""
    return text(subject.call.child_by_field_name("function")).rpartition(".")[0]


def _tidy_calls(cancel: str, region: list[Node], sheet: Sheet, subject: Subject) -> None:
    for statement in region:
        for node in own(statement):
            if node.type != "expression_statement" or text(node) != f"{cancel}()" or not sheet.stands_alone(node):
                continue
            following = siblings_after(node)
            last = not following and block_of(node) == _body(subject)
            if (last or (following and _leaves_at_once(following[0], cancel))) and not sheet.has_comment(node):
                sheet.without(node)


def _named_cancel(subject: Subject, function: Node, context: str, sheet: Sheet) -> Fix:
    statement = subject.statement
    name = next((word for word in ("cancel", "stop", "cancelContext") if not _is_used(function, word)), "")
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


def _is_used(function: Node, name: str) -> bool:
    return any(item.type == "identifier" and text(item) == name for item in walk(function))


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
                if any(carries(value, needing, subject.package, _PLAIN) for value in values):
                    return True
            case "call_expression":
                if not ends and _goes_on(item, needing, subject.package):
                    return True
            case "assignment_statement":
                places, right = listed(item.child_by_field_name("left")), listed(item.child_by_field_name("right"))
                if any(place.type != "identifier" for place in places):
                    if any(carries(value, needing, subject.package, _PLAIN) for value in right):
                        return True
    return False


_PLAIN = ("StatusCode", "Status", "Header", "ContentLength")
_STARTING = re.compile(r"(?:Start|Watch|Subscribe|Listen|Spawn|Launch|Monitor|Register|Go|Schedule|Enqueue)(?![a-z])")


def _ends_here(subject: Subject, function: Node) -> bool:
    """Whether the function itself calls the cancel function: what it starts is not meant to go on after it."""
    cancel = subject.names[1] if len(subject.names) == 2 else "_"
    called = (item for item in own(function) if item.type == "call_expression")
    return any(text(item.child_by_field_name("function")) == cancel for item in called)


def _goes_on(call: Node, names: set[str], package: Package) -> bool:
    """Whether a call is given a context for something that goes on when it has come back."""
    if not any(mentions(argument, name) for argument in _arguments(call) for name in names):
        return False
    word = text(call.child_by_field_name("function")).rpartition(".")[2]
    return _STARTING.match(word[:1].upper() + word[1:]) is not None or package.keeps(word)


# -- what nobody reads ------------------------------------------------------------------------------------------------


def _is_discarded(subject: Subject) -> bool:
    """Whether the rows are thrown away where they are made."""
    parent = subject.call.parent
    if parent is not None and parent.type == "selector_expression":
        return text(parent.child_by_field_name("field")) == "Err"
    if parent is not None and parent.type == "expression_statement":
        return True
    return bool(subject.names) and subject.names[0] == "_" and subject.is_value and not subject.resource.result


def _executed(subject: Subject) -> Fix:
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
    reads = any(_READS.match(text(argument)) for argument in _arguments(subject.call))
    written = any(re.match(r"[`\"]", text(argument)) for argument in _arguments(subject.call))
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
        if not sheet.stands_alone_at_start(statement) or function is None or _is_used(function, "err"):
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


def _arguments(call: Node) -> list[Node]:
    listing = call.child_by_field_name("arguments")
    return [child for child in listing.named_children if child.type != "comment"] if listing is not None else []


def _fix(subject: Subject, sheet: Sheet, title: str) -> Fix:
    return Fix(title, Safety.SAFE, tuple(sheet.edits))
