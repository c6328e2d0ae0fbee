"""Where things stand in Go source: the statement round a call, what follows it, the ways out of a block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from leakfix.languages.go.syntax import line, listed, own, plain, statements, text, walk
from leakfix.source import Edit, SourceFile, Span

if TYPE_CHECKING:
    from tree_sitter import Node

LOOPS = frozenset({"for_statement"})
_BLOCKS = frozenset({"block", "expression_case", "default_case", "type_case", "communication_case"})
_ENDS = frozenset({"return_statement", "break_statement", "continue_statement", "goto_statement"})
_FATAL = re.compile(r"os\.Exit|panic|(?:.*[lL]og\w*(?:\.\w+)*|t|b|tb)\.(?:Fatal|Panic)(?:f|ln|w)?")


def node_at(root: Node, span: Span, kind: str) -> Node | None:
    """The node of a kind that fills a span."""
    found = root.descendant_for_byte_range(span.start, span.end)
    while found is not None and not (
        found.type == kind and found.start_byte == span.start and found.end_byte == span.end
    ):
        if found.start_byte < span.start or found.end_byte > span.end:
            return None
        found = found.parent
    return found


def statement_of(node: Node) -> Node | None:
    """The statement of a block that a node stands in: an ``if`` where it stands in its initializer."""
    at: Node | None = node
    while at is not None:
        parent = at.parent
        if parent is not None and parent.type == "statement_list":
            return at
        if parent is not None and parent.type == "func_literal" and at.type == "block":
            return None
        at = parent
    return None


def siblings_after(statement: Node) -> list[Node]:
    """The statements behind one, in its block."""
    parent = statement.parent
    if parent is None:
        return []
    named = [child for child in parent.named_children if child.type != "comment"]
    at = next((number for number, child in enumerate(named) if child == statement), len(named))
    return named[at + 1 :]


def block_of(statement: Node) -> Node | None:
    """The block, or the case, a statement stands in."""
    at = statement.parent
    while at is not None and at.type not in _BLOCKS:
        at = at.parent
    return at


def function_of(node: Node) -> Node | None:
    """The innermost function or function literal a node stands in."""
    at = node.parent
    while at is not None and at.type not in ("func_literal", "function_declaration", "method_declaration"):
        at = at.parent
    return at


def loop_round(node: Node) -> Node | None:
    """The innermost loop of the same function a node stands in, unless the block it stands in always leaves it."""
    at: Node | None = node
    while at is not None and at.type not in ("func_literal", "function_declaration", "method_declaration"):
        parent = at.parent
        if parent is not None and parent.type in LOOPS and at.type == "block":
            return parent
        if at.type in _BLOCKS:
            body = statements(at)
            goes_round = any(item.type == "continue_statement" for item in own(at))
            if body and body[-1].type == "return_statement" and not goes_round:
                return None
        at = parent
    return None


def ends(block: Node) -> bool:
    """Whether a block never goes on behind its end."""
    body = statements(block)
    return bool(body) and never_goes_on(body[-1])


def never_goes_on(statement: Node) -> bool:
    """Whether nothing behind a statement is reached from it."""
    match statement.type:
        case "expression_statement":
            return any(_is_fatal(child) for child in statement.named_children)
        case "block":
            return ends(statement)
        case "if_statement":
            parts = [statement.child_by_field_name(part) for part in ("consequence", "alternative")]
            return all(part is not None and never_goes_on(part) for part in parts)
        case "expression_switch_statement" | "type_switch_statement":
            cases = [child for child in statement.named_children if child.type.endswith("_case")]
            left = any(text(item) == "break" and _leaves(item, statement) for item in own(statement))
            default = any(case.type == "default_case" for case in cases)
            return default and not left and all(map(ends, cases))
    return statement.type in _ENDS


def _is_fatal(call: Node) -> bool:
    called = text(call.child_by_field_name("function")) if call.type == "call_expression" else ""
    return _FATAL.fullmatch(called) is not None


def is_error_check(statement: Node, error: str) -> bool:
    """``if err ... { leaves }`` about one variable, without an else that goes on."""
    if statement.type != "if_statement" or statement.child_by_field_name("initializer") is not None:
        return False
    condition, consequence = statement.child_by_field_name("condition"), statement.child_by_field_name("consequence")
    if condition is None or consequence is None or not mentions(condition, error):
        return False
    alternative = statement.child_by_field_name("alternative")
    return ends(consequence) and (
        alternative is None or never_goes_on(alternative) or is_error_check(alternative, error)
    )


def is_whole_check(statement: Node, error: str) -> bool:
    """Whether nothing but success goes on behind a check."""
    at: Node | None = statement
    while at is not None and at.type == "if_statement":
        condition = plain(at.child_by_field_name("condition") or at)
        if condition.type == "binary_expression" and text(condition.child_by_field_name("operator")) == "!=":
            sides = {text(condition.child_by_field_name("left")), text(condition.child_by_field_name("right"))}
            if sides == {error, "nil"}:
                return True
        at = at.child_by_field_name("alternative")
    return False


def is_switch_check(statement: Node, error: str) -> bool:
    """A ``switch`` about one error behind which nothing but success goes on."""
    if statement.type != "expression_switch_statement" or statement.child_by_field_name("initializer") is not None:
        return False
    value = statement.child_by_field_name("value")
    cases = [child for child in statement.named_children if child.type.endswith("_case")]
    told = {case.id: [text(item) for item in listed(case.child_by_field_name("value"))] for case in cases}
    if value is None:
        checks = any(f"{error} != nil" in told[case.id] for case in cases)
        return checks and all(ends(case) for case in cases if case.type == "expression_case")
    default = next((case for case in cases if case.type == "default_case"), None)
    if text(value) != error or default is None or not ends(default):
        return False
    return all(ends(case) for case in cases if told[case.id] != ["nil"])


def mentions(node: Node, name: str) -> bool:
    """Whether an identifier stands in an expression."""
    return any(item.type == "identifier" and text(item) == name for item in walk(node))


def assigned_names(statement: Node) -> list[str]:
    """What a declaration or an assignment sets, as written."""
    if statement.type in ("short_var_declaration", "assignment_statement", "range_clause"):
        return [text(place) for place in listed(statement.child_by_field_name("left"))]
    if statement.type == "var_declaration":
        return [
            text(name)
            for spec in walk(statement)
            if spec.type == "var_spec"
            for name in spec.children_by_field_name("name")
        ]
    return []


def exits_of(region: list[Node], loop: Node) -> Iterator[Node]:
    """The statements in a region by which control leaves a loop's round: returns, and jumps to it or out of it."""
    for statement in region:
        for node in own(statement):
            jumps = node.type in ("continue_statement", "break_statement") and _leaves(node, loop)
            if jumps or node.type in ("return_statement", "goto_statement"):
                yield node


def _leaves(jump: Node, loop: Node) -> bool:
    label = next((text(child) for child in jump.named_children if child.type == "label_name"), "")
    at = jump.parent
    while at is not None and at != loop:
        if label:
            if at.type == "labeled_statement" and text(at.child_by_field_name("label")) == label:
                return False
            at = at.parent
            continue
        if at.type == "for_statement":
            return False
        if jump.type == "break_statement" and at.type.endswith(("switch_statement", "select_statement")):
            return False
        at = at.parent
    return True


class Sheet:
    """Edits of one Go file, whole lines mostly."""

    def __init__(self, source: SourceFile) -> None:
        self.source = source
        self.edits: list[Edit] = []
        self.newline = source.newline.decode()

    def indent(self, node: Node) -> str:
        """The white space before the line a node begins on."""
        found = re.match(r"[ \t]*", self.source.line_text(line(node)))
        return found.group() if found else ""

    def stands_alone(self, node: Node) -> bool:
        """Whether nothing but white space and a comment shares the lines of a node."""
        first = self.source.line_starts[line(node) - 1]
        before = self.source.data[first : node.start_byte]
        end = self.source.line_of(node.end_byte)
        rest = self.source.data[node.end_byte :].split(b"\n", 1)[0].strip() if end else b""
        return not before.strip() and (not rest or rest.startswith((b"//", b"/*")))

    def stands_alone_at_start(self, node: Node) -> bool:
        """Whether nothing but white space stands in front of a node on its line."""
        first = self.source.line_starts[line(node) - 1]
        return not self.source.data[first : node.start_byte].strip()

    def has_comment(self, node: Node) -> bool:
        """Whether a comment stands behind a node, on its last line."""
        return bool(self.source.data[node.end_byte :].split(b"\n", 1)[0].strip())

    def after(self, node: Node, *lines: str) -> None:
        """New lines behind the line a node ends on."""
        last = self.source.line_of(node.end_byte)
        starts = self.source.line_starts
        at = starts[last] if last < len(starts) else len(self.source.data)
        told = "".join(item + self.newline for item in lines)
        self.edits.append(Edit(at, at, told.encode()))

    def before(self, node: Node, *lines: str) -> None:
        """New lines in front of the line a node begins on."""
        at = self.source.line_starts[line(node) - 1]
        self.edits.append(Edit(at, at, "".join(item + self.newline for item in lines).encode()))

    def without(self, node: Node) -> None:
        """Remove the lines of a node, and an empty one that would be left doubled."""
        starts = self.source.line_starts
        first, last = line(node), self.source.line_of(node.end_byte)
        end = starts[last] if last < len(starts) else len(self.source.data)
        start = starts[first - 1]
        above, below = self.source.line_text(first - 1).strip(), self.source.line_text(last + 1).strip()
        if not below and last < len(starts) and (not above or above.endswith("{")):
            end = starts[last + 1] if last + 1 < len(starts) else len(self.source.data)
        elif not above and below.startswith("}"):
            start = starts[first - 2]
        self.edits.append(Edit(start, end, b""))

    def replace(self, start: int, end: int, told: str) -> None:
        """Other text for a range of bytes."""
        self.edits.append(Edit(start, end, told.encode()))
