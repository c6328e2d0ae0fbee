"""Expressions of Go in the small IR: their values, their conditions, what they call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from leakfix.ir.nodes import (
    Argument,
    Call,
    Callee,
    Capture,
    Condition,
    Constant,
    Copy,
    Derive,
    Edge,
    Exit,
    Fact,
    Flow,
    Graph,
    Member,
    Nothing,
    Op,
    Store,
)
from leakfix.languages.go.packages import ERROR, UNKNOWN, GoFunction, Resolver, Type
from leakfix.languages.go.syntax import line, of_kind, plain, text
from leakfix.source import Span

if TYPE_CHECKING:
    from tree_sitter import Node

_MOST_NODES = 20_000
_ERROR_NAME = re.compile(r"e|err|.*[eE]rr(?:or)?\d*")
_MADE_ERRORS = frozenset({"fmt.Errorf", "errors.New"})
_ABOUT_ERRORS = frozenset({"errors.Is", "errors.As"})
_ENDS_PROCESS = frozenset({"os.Exit", "syscall.Exit", "runtime.Goexit"})
_FATAL = re.compile(r"(?:Fatal|Panic)(?:f|ln|w|Context)?")
_MAKES = re.compile(r"(?:New|Wrap|With|Make|Register|Track|Manage)(?![a-z])|new(?![a-z])|wrap(?![a-z])")
_BUILTINS = frozenset(
    "append cap clear close complex copy delete imag len make max min new panic print println real recover".split()
)

Exits = list[tuple[int, Flow, Condition | None]]
"""Ways on from nodes that do not know yet where they lead."""


class TooComplex(Exception):
    """The function is too large, or has syntax the grammar does not know."""


class Variable(NamedTuple):
    """A name in scope: the variable it stands for, and its type."""

    name: str
    type: Type


@dataclass
class Target:
    """Where ``break`` and ``continue`` of a statement lead."""

    label: str
    breaks: Exits = field(default_factory=list)
    continues: Exits | None = None


@dataclass(frozen=True, slots=True)
class Literal:
    """A function literal in a function, with the names it sees there."""

    node: Node
    scope: dict[str, Variable]


class Expressions:
    """What of lowering is about expressions; where statements stand in one, ``_inline`` lowers them."""

    def __init__(self, function: GoFunction, resolver: Resolver, scope: dict[str, Variable] | None = None) -> None:
        self.function = function
        self.file = function.file
        self.resolver = resolver
        self.graph = Graph()
        self.literals: list[Literal] = []
        self._scopes: list[dict[str, Variable]] = [dict(scope or {}), {}]
        self._open: Exits = []
        self._targets: list[Target] = []
        self._labels: dict[str, int] = {}
        self._gotos: list[tuple[str, Exits]] = []
        self._returns: Exits = []
        self._named: list[str] = []
        self._deferred: list[tuple[str, Node]] = []
        self._count = 0
        self._label = ""
        self._inlined: list[Target] = []

    # -- the graph ----------------------------------------------------------------------------------------------------

    def _emit(self, op: Op, node: Node, at_end: bool = False) -> int:
        if len(self.graph.nodes) > _MOST_NODES:
            raise TooComplex
        where = int(node.end_point[0]) + 1 if at_end else line(node)
        number = self.graph.add(op, Span(node.start_byte, node.end_byte), where)
        self._patch(self._open, number)
        self._open = [(number, Flow.NORMAL, None)]
        return number

    def _patch(self, exits: Exits, target: int) -> None:
        for number, flow, condition in exits:
            self.graph.nodes[number].edges.append(Edge(target, flow, condition))

    def _temporary(self) -> str:
        self._count += 1
        return f"%{self._count}"

    def _unknown(self, node: Node, fact: Fact | None = None) -> str:
        dest = self._temporary()
        self._emit(Constant(dest, fact), node)
        return dest

    # -- names --------------------------------------------------------------------------------------------------------

    def _local(self, name: str) -> Type | None:
        found = self._variable(name)
        return found.type if found is not None else None

    def _variable(self, name: str) -> Variable | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return None

    def _is_captured(self, name: str) -> bool:
        """Whether a name is a variable of the function round a function literal."""
        return name in self._scopes[0] and not any(name in scope for scope in self._scopes[1:])

    def _declare(self, name: str, of: Type) -> str:
        """A new variable; one that hides another of the same name gets a name of its own."""
        if name == "_":
            return self._temporary()
        known = self._scopes[-1].get(name)
        if known is not None:
            if known.type == UNKNOWN and of != UNKNOWN:
                self._scopes[-1][name] = Variable(known.name, of)
            return known.name
        self._count += 1
        fresh = name if self._variable(name) is None else f"{name}@{self._count}"
        self._scopes[-1][name] = Variable(fresh, of)
        return fresh

    def type_of(self, node: Node) -> Type:
        """The type of an expression."""
        return self.resolver.expression(node, self.file, self._local)

    # -- conditions ---------------------------------------------------------------------------------------------------

    def _branch(self, node: Node) -> tuple[Exits, Exits]:
        """The ways on where a condition holds, and where it does not."""
        node = plain(node)
        match node.type:
            case "unary_expression" if text(node).startswith("!"):
                operand = node.child_by_field_name("operand")
                if operand is not None:
                    yes, no = self._branch(operand)
                    return no, yes
            case "binary_expression":
                return self._binary(node)
            case "true":
                return self._open, []
            case "false":
                return [], self._open
            case "call_expression" if text(node.child_by_field_name("function")) in _ABOUT_ERRORS:
                arguments = self._arguments(node)
                found = [self._value(argument) for argument in arguments]
                if found:
                    return self._implies_present(found[0], node)
        found_value = self._value(node)
        return self._conditional(Condition(found_value, none=False, holds=True), node)

    def _binary(self, node: Node) -> tuple[Exits, Exits]:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        operator = text(node.child_by_field_name("operator"))
        if left is None or right is None:
            return self._either(node)
        if operator == "&&":
            yes, no = self._branch(left)
            self._open = yes
            also, neither = self._branch(right) if yes else ([], [])
            return also, no + neither
        if operator == "||":
            yes, no = self._branch(left)
            self._open = no
            also, neither = self._branch(right) if no else ([], [])
            return yes + also, neither
        if operator in ("==", "!="):
            equal, different = self._compared(plain(left), plain(right), node)
            return (equal, different) if operator == "==" else (different, equal)
        self._value(left)
        self._value(right)
        return self._either(node)

    def _compared(self, left: Node, right: Node, node: Node) -> tuple[Exits, Exits]:
        if left.type == "nil":
            left, right = right, left
        if right.type == "nil":
            return self._conditional(Condition(self._value(left), none=True, holds=True), node)
        if right.type in ("true", "false"):
            holds = right.type == "true"
            return self._conditional(Condition(self._value(left), none=False, holds=holds), node)
        source = self._value(left)
        self._value(right)
        named = right.type == "selector_expression" or (
            right.type == "identifier" and text(right)[:3] in ("Err", "err")
        )
        return self._implies_present(source, node) if named else self._either(node)

    def _conditional(self, condition: Condition, node: Node) -> tuple[Exits, Exits]:
        number = self._emit(Nothing(), node)
        other = Condition(condition.variable, condition.none, not condition.holds)
        return [(number, Flow.NORMAL, condition)], [(number, Flow.NORMAL, other)]

    def _either(self, node: Node) -> tuple[Exits, Exits]:
        number = self._emit(Nothing(), node)
        return [(number, Flow.NORMAL, None)], [(number, Flow.NORMAL, None)]

    def _implies_present(self, variable: str, node: Node) -> tuple[Exits, Exits]:
        """A comparison with something that is there: where it holds, the variable is not none."""
        number = self._emit(Nothing(), node)
        present = Condition(variable, none=True, holds=False)
        return [(number, Flow.NORMAL, present)], [(number, Flow.NORMAL, None)]

    # -- expressions --------------------------------------------------------------------------------------------------

    def _value(self, node: Node, name: str = "") -> str:
        """The variable that holds an expression's value. name: what it is going to be assigned to."""
        node = plain(node)
        match node.type:
            case "identifier":
                known = self._variable(text(node))
                return known.name if known is not None else self._unknown(node)
            case "nil":
                return self._unknown(node, Fact.NONE)
            case "true" | "false":
                return self._unknown(node, Fact.TRUE if node.type == "true" else Fact.FALSE)
            case "call_expression":
                dest = self._temporary()
                self._call(node, [dest], name)
                return dest
            case "func_literal":
                return self._closure(node)
            case "selector_expression":
                return self._selected(node)
            case "unary_expression":
                operand = node.child_by_field_name("operand")
                if operand is None:
                    return self._unknown(node)
                source = self._value(operand)
                if text(node)[:1] == "&" and operand.type == "identifier" and self.type_of(operand) in (UNKNOWN, ERROR):
                    self._emit(Constant(source, None), node)  # whoever has its address may set it
                return source if text(node)[:1] in "&*" else self._derived(node, [source])
            case "composite_literal":
                for part in _parts(node):  # what a struct or a list is given lives in it
                    self._emit(Store(None, None, self._value(part)), node)
                return self._unknown(node, Fact.PRESENT)
            case "type_assertion_expression" | "type_conversion_expression":
                operand = node.child_by_field_name("operand")
                return self._value(operand) if operand is not None else self._unknown(node)
            case "binary_expression" if text(node.child_by_field_name("operator")) in ("&&", "||"):
                yes, no = self._branch(node)
                dest = self._temporary()
                self._open = yes
                first: Exits = []
                if yes:
                    self._emit(Constant(dest, Fact.TRUE), node)
                    first = self._open
                self._open = no
                if no:
                    self._emit(Constant(dest, Fact.FALSE), node)
                self._open = first + self._open if no else first
                return dest
        parts_found = [self._value(child) for child in node.named_children if _is_expression(child)]
        return self._derived(node, parts_found) if parts_found else self._unknown(node)

    def _derived(self, node: Node, parts: Iterable[str]) -> str:
        dest = self._temporary()
        self._emit(Derive(dest, tuple(parts)), node)
        return dest

    def _selected(self, node: Node) -> str:
        operand = node.child_by_field_name("operand")
        if operand is None or (operand.type == "identifier" and self._variable(text(operand)) is None):
            return self._unknown(node)
        dest = self._temporary()
        self._emit(Member(dest, self._value(operand), text(node.child_by_field_name("field"))), node)
        return dest

    def _closure(self, node: Node) -> str:
        self._see(node)
        names = {text(item) for item in of_kind(node, "identifier")}
        seen = tuple(sorted({known.name for name in names if (known := self._variable(name)) is not None}))
        called: set[tuple[str, str]] = set()
        for item in of_kind(node, "call_expression"):
            function = item.child_by_field_name("function")
            if function is not None and function.type == "selector_expression":
                known = self._variable(text(function.child_by_field_name("operand")))
                if known is not None:
                    called.add((known.name, text(function.child_by_field_name("field"))))
            elif function is not None and function.type == "identifier":
                known = self._variable(text(function))
                if known is not None:
                    called.add((known.name, "()"))
        dest = self._temporary()
        self._emit(Capture(dest, seen, tuple(sorted(called))), node)
        return dest

    def _see(self, literal: Node) -> None:
        scope = {name: variable for names in self._scopes for name, variable in names.items()}
        self.literals.append(Literal(literal, scope))

    # -- calls --------------------------------------------------------------------------------------------------------

    def _arguments(self, call: Node) -> list[Node]:
        listing = call.child_by_field_name("arguments")
        return [child for child in listing.named_children if child.type != "comment"] if listing is not None else []

    def _types_of(self, node: Node) -> tuple[Type, ...]:
        node = plain(node)
        if node.type == "call_expression":
            return self.resolver.called(node, self.file, self._local)
        of = self.type_of(node)
        return (of,) if of != UNKNOWN else ()

    def _call(self, node: Node, dests: list[str], last_name: str) -> None:
        function = node.child_by_field_name("function")
        if function is None:
            return
        function = plain(function)
        name = text(function)
        if function.type == "func_literal":
            given = [self._value(argument) for argument in self._arguments(node)]
            self._see(function)
            self._inline(function, given)
            for dest in dests:
                self._emit(Constant(dest, None), node)
            return
        if function.type == "identifier" and name in _BUILTINS and self._variable(name) is None:
            self._builtin(name, node, dests[0])
            return
        callee = self._callee(function)
        if _MAKES.match(callee.last_word) is not None or self._takes_function(node, callee):
            callee = callee._replace(makes=True)
        variables = [self._value(argument) for argument in self._arguments(node)]
        arguments = tuple(Argument(variable, position=at) for at, variable in enumerate(variables))
        types = self._types_of(node)
        results = tuple(dests) if len(dests) > 1 else ()
        number = self._emit(Call(_main(dests, types), callee, arguments, results=results), node)
        alone = node.parent is not None and node.parent.type == "expression_statement"
        fatal = alone and _FATAL.fullmatch(callee.last_word) is not None and self._is_logger(function)
        if name in _ENDS_PROCESS or fatal:
            self._emit(Exit("process"), node)
            self._open = []
            return
        error = self._error_of(dests, types, last_name, callee)
        if error is None:
            if name in _MADE_ERRORS:
                self._emit(Constant(dests[0], Fact.PRESENT), node)
            return
        self._emit(Constant(error, Fact.NONE), node)
        done = self._open
        self._open = [(number, Flow.FAILED, None)]
        for dest in dests:
            self._emit(Constant(dest, Fact.PRESENT if dest == error else Fact.NONE), node)
        self._open = done + self._open

    def _takes_function(self, node: Node, callee: Callee) -> bool:
        """Whether somebody unknown is given a function literal: what it is given beside that may outlive the call."""
        known = any(self.resolver.function(name) is not None for name in callee.names)
        return not known and any(argument.type == "func_literal" for argument in self._arguments(node))

    def _error_of(self, dests: list[str], types: tuple[Type, ...], last_name: str, callee: Callee) -> str | None:
        """The variable that tells whether a call failed, where there is one."""
        if types and len(types) == len(dests):
            if types[-1] == ERROR:
                return dests[-1]
            if all(of.name for of in types) and len(dests) > 1 and last_name == "_":
                return None
        if len(dests) > 1:
            return dests[-1] if last_name == "_" or _ERROR_NAME.fullmatch(last_name) else None
        if _ERROR_NAME.fullmatch(last_name) and last_name:
            return dests[0]
        return dests[0] if callee.method in ("Scan", "Err", "Close", "Exec") and not types else None

    def _is_logger(self, function: Node) -> bool:
        operand = text(function.child_by_field_name("operand")).lower()
        return (
            operand in ("t", "b", "tb", "f") or "log" in operand or operand.rpartition(".")[2] in ("t", "logrus", "zap")
        )

    def _builtin(self, name: str, node: Node, dest: str) -> None:
        if name in ("new", "make"):
            self._emit(Constant(dest, Fact.PRESENT), node)
            return
        values = [self._value(argument) for argument in self._arguments(node)]
        match name:
            case "panic":
                self._emit(Nothing("raise"), node)
                self._emit(Exit("process"), node)
                self._open = []
            case "append":
                for value in values[1:]:
                    self._emit(Store(None, None, value), node)
                self._emit(Copy(dest, values[0]) if values else Constant(dest, None), node)
            case "recover":
                self._emit(Constant(dest, Fact.NONE), node)
            case _:
                self._emit(Derive(dest, tuple(values)), node)

    def _callee(self, function: Node) -> Callee:
        of = self.type_of(function)
        names: tuple[str, ...] = (of.name,) if of.name and not of.name.endswith("()") else ()
        if not names and of.results:
            # Nobody knows what is called, but its type tells what it makes.
            names = tuple(result.name.removesuffix("()") for result in of.results if result.name and result != ERROR)[
                :1
            ]
        if function.type == "selector_expression":
            operand, field_name = function.child_by_field_name("operand"), text(function.child_by_field_name("field"))
            receiver: str | None = None
            if operand is not None and not (operand.type == "identifier" and self._is_package(text(operand))):
                receiver = self._value(operand)
            written = f"{text(operand).rpartition('.')[2]}.{field_name}"
            return Callee(names, receiver, field_name if receiver is not None else None, written)
        known = self._variable(text(function)) if function.type == "identifier" else None
        if known is not None:
            return Callee(names, known.name, "()", text(function))
        if function.type not in ("identifier", "generic_type", "type_instantiation_expression"):
            return Callee(names, self._value(function), "()", "")
        return Callee(names or (text(function),), None, None, text(function))

    def _is_package(self, name: str) -> bool:
        return self._variable(name) is None and name in self.file.imports

    def _inline(self, literal: Node, given: Sequence[str] = ()) -> None:
        """The body of a function literal where it is called."""
        raise NotImplementedError


def _main(dests: list[str], types: tuple[Type, ...]) -> str:
    """Where the thing goes that a call is made for: the first result that is neither a plain value nor an error."""
    for dest, of in zip(dests, types, strict=False):
        if of.name and of != ERROR:
            return dest
    return dests[0]


def _parts(literal: Node) -> Iterable[Node]:
    body = literal.child_by_field_name("body")
    for element in body.named_children if body is not None else ():
        inner = element.child_by_field_name("value") if element.type == "keyed_element" else element
        if inner is not None and inner.type == "literal_element" and inner.named_children:
            inner = inner.named_children[0]
        if inner is not None and inner.type not in ("comment", "literal_value"):
            yield inner


def _is_expression(node: Node) -> bool:
    return node.type in _EXPRESSIONS


_EXPRESSIONS = frozenset(
    "identifier call_expression selector_expression index_expression slice_expression unary_expression "
    "binary_expression parenthesized_expression composite_literal func_literal type_assertion_expression "
    "type_conversion_expression".split()
)
