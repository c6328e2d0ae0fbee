"""One function of Go as a graph of the small IR.

A call that gives an error has two ways out: one on which the error is none, and one (``Flow.FAILED``) on which it is
there and what was to be acquired is not. So ``if err != nil`` separates them like any other test of a variable.
A deferred call is certain to come from where it is deferred on, so it stands there; a deferred function literal with
branches runs where the function ends, if it was reached.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from leakfix.ir.nodes import (
    Condition,
    Constant,
    Copy,
    Derive,
    Exit,
    Fact,
    Flow,
    Graph,
    Nothing,
    Return,
    Store,
)
from leakfix.languages.go.expressions import Exits, Expressions, Target, TooComplex, Variable
from leakfix.languages.go.packages import UNKNOWN, Type, parameters_of
from leakfix.languages.go.syntax import listed, own, plain, statements, text, walk

if TYPE_CHECKING:
    from tree_sitter import Node

_DEFERS_LITERAL = re.compile(rb"\bdefer\s+func\b")
_BRANCHES = frozenset(
    "if_statement for_statement expression_switch_statement type_switch_statement select_statement".split()
)


class Lowering(Expressions):
    """Lowers one function; ``run`` gives its graph, ``literals`` the function literals in it."""

    # -- the function as a whole --------------------------------------------------------------------------------------

    def run(self) -> Graph:
        """The graph. Raises TooComplex."""
        node = self.function.node
        if node.has_error:
            raise TooComplex
        body = node.child_by_field_name("body")
        self._emit(Nothing(), node)
        for name in self.parameters():
            self._scopes[-1][name] = Variable(name, UNKNOWN)
        self._declare_parameters(node)
        for item in own(body) if body is not None and _DEFERS_LITERAL.search(body.text or b"") else ():
            literal = _deferred_literal(item) if item.type == "defer_statement" else None
            if literal is not None and _is_late(item, literal):
                flag = f"%defer{item.start_byte}"
                self._emit(Constant(flag, Fact.FALSE), item)
                self._deferred.append((flag, literal))
        for statement in statements(body):  # the parameters stand in the same scope
            self._statement(statement)
        end = body if body is not None else node
        if self._open:
            self._returns += self._open
        self._open = self._returns
        self._end(end)
        for label, exits in self._gotos:
            if label in self._labels:
                self._patch(exits, self._labels[label])
        return self.graph

    def _end(self, body: Node) -> None:
        """Run what was deferred, the last first, and leave."""
        for flag, literal in reversed(self._deferred):
            before = self._open
            self._open = [(number, flow, condition) for number, flow, condition in before]
            gate = self._emit(Nothing(), literal)
            self._open = [(gate, Flow.NORMAL, Condition(flag, none=False, holds=True))]
            self._inline(literal)
            self._open += [(gate, Flow.NORMAL, Condition(flag, none=False, holds=False))]
        if self._open:
            self._emit(Exit("return"), body, at_end=True)
            self._open = []

    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, the receiver first."""
        node = self.function.node
        names = [name for name, _, _ in parameters_of(node.child_by_field_name("receiver"))]
        names += [name for name, _, _ in parameters_of(node.child_by_field_name("parameters"))]
        return tuple(name or f"%unnamed{number}" for number, name in enumerate(names))

    def _declare_parameters(self, node: Node) -> None:
        for listing in ("receiver", "parameters"):
            for name, declared, many in parameters_of(node.child_by_field_name(listing)):
                found = self.resolver.declared(declared, self.file)
                self._scopes[-1][name] = Variable(name, Type(element=found) if many else found)
        result = node.child_by_field_name("result")
        if result is not None and result.type == "parameter_list":
            for name, declared, _ in parameters_of(result):
                if name and name != "_":
                    self._scopes[-1][name] = Variable(name, self.resolver.declared(declared, self.file))
                    self._named.append(name)
                    self._emit(Constant(name, Fact.NONE), node)

    # -- statements ---------------------------------------------------------------------------------------------------

    def _block(self, node: Node | None) -> None:
        self._scopes.append({})
        for statement in statements(node):
            self._statement(statement)
        self._scopes.pop()

    def _statement(self, node: Node) -> None:
        if not self._open and node.type != "labeled_statement":
            return
        match node.type:
            case "expression_statement":
                for child in node.named_children:
                    self._value(child)
            case "short_var_declaration" | "assignment_statement":
                self._assignment(node)
            case "var_declaration":
                for spec in walk(node):
                    if spec.type == "var_spec":
                        self._declaration(spec)
            case "if_statement":
                self._if(node)
            case "for_statement":
                self._for(node)
            case "expression_switch_statement" | "type_switch_statement":
                self._switch(node)
            case "select_statement":
                self._select(node)
            case "return_statement":
                self._return(node)
            case "defer_statement":
                self._defer(node)
            case "go_statement":
                self._go(node)
            case "block":
                self._block(node)
            case "labeled_statement":
                self._labeled(node)
            case "break_statement" | "continue_statement" | "goto_statement":
                self._jump(node)
            case "send_statement":
                value = node.child_by_field_name("value")
                if value is not None:
                    self._emit(Store(None, None, self._value(value)), node)
            case "inc_statement" | "dec_statement":
                pass
            case _:
                for child in node.named_children:
                    if child.type.endswith("expression"):
                        self._value(child)

    def _declaration(self, spec: Node) -> None:
        names = [text(name) for name in spec.children_by_field_name("name")]
        declared = self.resolver.declared(spec.child_by_field_name("type"), self.file)
        values = listed(spec.child_by_field_name("value"))
        if not values:
            for name in names:
                self._emit(Constant(self._declare(name, declared), Fact.NONE), spec)
            return
        self._bind([(name, declared) for name in names], values, spec, declares=True)

    def _assignment(self, node: Node) -> None:
        left = listed(node.child_by_field_name("left"))
        right = listed(node.child_by_field_name("right"))
        declares = node.type == "short_var_declaration"
        operator = text(node.child_by_field_name("operator"))
        if operator not in ("", "=", ":="):
            for value in right:
                self._value(value)
            return
        if declares:
            self._bind([(text(name), UNKNOWN) for name in left], right, node, declares=True)
        else:
            self._bind_places(left, right, node)

    def _bind(self, names: Sequence[tuple[str, Type]], values: Sequence[Node], node: Node, declares: bool) -> None:
        if len(values) == len(names):
            found = [self._value(value, names[at][0]) for at, value in enumerate(values)]
            for (name, declared), value, source in zip(names, values, found, strict=True):
                of = declared if declared != UNKNOWN else self.type_of(value)
                self._emit(Copy(self._declare(name, of), source), node)
            return
        types = self._types_of(values[0]) if values else ()
        wanted = [
            self._declare(name, declared if declared != UNKNOWN else types[at] if at < len(types) else UNKNOWN)
            for at, (name, declared) in enumerate(names)
        ]
        self._unpack(values, wanted, [name for name, _ in names], node)

    def _bind_places(self, left: Sequence[Node], right: Sequence[Node], node: Node) -> None:
        if len(left) == len(right):
            found = [self._value(value, text(place)) for place, value in zip(left, right, strict=True)]
            for place, source in zip(left, found, strict=True):
                self._store(place, source)
            return
        wanted = [self._temporary() for _ in left]
        self._unpack(right, wanted, [text(place) for place in left], node)
        for place, source in zip(left, wanted, strict=True):
            self._store(place, source)

    def _unpack(self, values: Sequence[Node], wanted: list[str], names: Sequence[str], node: Node) -> None:
        """Several variables from one expression: a call, or a "comma ok" form."""
        value = plain(values[0]) if values else None
        if value is not None and value.type == "call_expression":
            self._call(value, wanted, names[-1])
            return
        if value is not None:
            inner = value.child_by_field_name("operand")
            source = self._value(inner if inner is not None and value.type == "type_assertion_expression" else value)
            self._emit(Copy(wanted[0], source), node)
        for dest in wanted[1:]:
            self._emit(Constant(dest, None), node)

    def _store(self, place: Node, source: str) -> None:
        place = plain(place)
        if place.type == "identifier":
            name = text(place)
            if name == "_":
                return
            known = self._variable(name)
            if known is not None:
                self._emit(Copy(known.name, source), place)
            if known is None or self._is_captured(name):  # it lives in the package, or in the function around
                self._emit(Store(None, name, source), place)
            return
        self._emit(Store(None, None, source), place)  # what a field or an item is given lives in it

    def _if(self, node: Node) -> None:
        self._scopes.append({})
        initializer = node.child_by_field_name("initializer")
        if initializer is not None:
            self._statement(initializer)
        condition = node.child_by_field_name("condition")
        yes, no = self._branch(condition) if condition is not None else (self._open, [])
        self._open = yes
        self._block(node.child_by_field_name("consequence"))
        after = self._open
        self._open = no
        alternative = node.child_by_field_name("alternative")
        if alternative is not None:
            self._statement(alternative)
        self._open = after + self._open
        self._scopes.pop()

    def _for(self, node: Node) -> None:
        label, self._label = self._label, ""
        self._scopes.append({})
        clause = next((c for c in node.named_children if c.type in ("for_clause", "range_clause")), None)
        body = node.child_by_field_name("body")
        condition: Node | None = None
        update: Node | None = None
        ranged = ""
        if clause is None:
            condition = next((c for c in node.named_children if c.type not in ("block", "comment")), None)
        elif clause.type == "for_clause":
            initializer = clause.child_by_field_name("initializer")
            if initializer is not None:
                self._statement(initializer)
            condition, update = clause.child_by_field_name("condition"), clause.child_by_field_name("update")
        else:
            right = clause.child_by_field_name("right")
            ranged = self._value(right) if right is not None else self._unknown(clause)
        head = self._emit(Nothing("loop"), node)
        if clause is not None and clause.type == "range_clause":
            more = self._unknown(clause)
            yes: Exits = [(self._open[0][0], Flow.NORMAL, Condition(more, none=False, holds=True))]
            no: Exits = [(self._open[0][0], Flow.NORMAL, Condition(more, none=False, holds=False))]
            self._open = yes
            self._range(clause, ranged)
        else:
            yes, no = self._branch(condition) if condition is not None else (self._open, [])
            self._open = yes
        target = Target(label, continues=[])
        self._targets.append(target)
        self._block(body)
        self._targets.pop()
        self._open += target.continues or []
        if update is not None and self._open:
            self._statement(update)
        self._patch(self._open, head)
        self._open = no + target.breaks
        self._scopes.pop()

    def _range(self, clause: Node, ranged: str) -> None:
        declares = any(text(child) == ":=" for child in clause.children)
        right = clause.child_by_field_name("right")
        element = (self.type_of(right).element if right is not None else None) or UNKNOWN
        for number, place in enumerate(listed(clause.child_by_field_name("left"))):
            item = self._temporary()
            self._emit(Derive(item, (ranged,)), clause)
            if declares:
                self._emit(Copy(self._declare(text(place), element if number else UNKNOWN), item), clause)
            else:
                self._store(place, item)

    def _switch(self, node: Node) -> None:
        label, self._label = self._label, ""
        self._scopes.append({})
        initializer, value = node.child_by_field_name("initializer"), node.child_by_field_name("value")
        if initializer is not None:
            self._statement(initializer)
        typed = node.type == "type_switch_statement"
        tag = self._value(value) if value is not None else None
        alias = node.child_by_field_name("alias")
        if alias is not None and tag is not None:
            self._emit(Copy(self._declare(text(alias), UNKNOWN), tag), node)
        cases = [child for child in node.named_children if child.type.endswith("_case")]
        target = Target(label)
        self._targets.append(target)
        entries: list[Exits] = [[] for _ in cases]
        default: int | None = None
        for number, case in enumerate(cases):
            if case.type == "default_case":
                default = number
                continue
            for wanted in case.children_by_field_name("type") if typed else listed(case.child_by_field_name("value")):
                yes, self._open = self._matches(tag, wanted, typed)
                entries[number] += yes
        if default is not None:
            entries[default] += self._open
            self._open = []
        after = self._open
        falling: Exits = []
        for number, case in enumerate(cases):
            self._open = entries[number] + falling
            falling = []
            if not self._open:
                continue
            self._block(case)
            body = statements(case)
            if body and body[-1].type == "fallthrough_statement":
                falling = self._open
            else:
                after = after + self._open
        self._targets.pop()
        self._open = after + target.breaks
        self._scopes.pop()

    def _matches(self, tag: str | None, wanted: Node, typed: bool) -> tuple[Exits, Exits]:
        if tag is None:
            return self._branch(wanted)
        if not typed and wanted.type == "nil":
            return self._conditional(Condition(tag, none=True, holds=True), wanted)
        if typed or wanted.type in ("identifier", "selector_expression"):
            return self._implies_present(tag, wanted)
        self._value(wanted)
        return self._either(wanted)

    def _select(self, node: Node) -> None:
        label, self._label = self._label, ""
        start = self._emit(Nothing(), node)
        target = Target(label)
        self._targets.append(target)
        after: Exits = []
        for case in node.named_children:
            if case.type not in ("communication_case", "default_case"):
                continue
            self._open = [(start, Flow.NORMAL, None)]
            self._scopes.append({})
            communication = case.child_by_field_name("communication")
            if communication is not None:
                if communication.type == "receive_statement":
                    for place in listed(communication.child_by_field_name("left")):
                        source = self._unknown(communication)
                        if place.type == "identifier":
                            self._emit(Copy(self._declare(text(place), UNKNOWN), source), communication)
                else:
                    self._statement(communication)
            self._block(case)
            self._scopes.pop()
            after += self._open
        self._targets.pop()
        self._open = after + target.breaks

    def _return(self, node: Node) -> None:
        values = [item for child in node.named_children for item in listed(child) if child.type != "comment"]
        if self._inlined:
            for value in values:
                self._value(value)
            self._inlined[-1].breaks += self._open
            self._open = []
            return
        found = [self._value(value) for value in values]
        if values and len(found) == len(self._named):
            for name, source in zip(self._named, found, strict=True):
                self._emit(Copy(name, source), node)
        for source in found or self._named:
            self._emit(Return(source), node)
        if not (found or self._named):
            self._emit(Return(None), node)
        self._returns += self._open
        self._open = []

    def _defer(self, node: Node) -> None:
        call = next((child for child in node.named_children if child.type == "call_expression"), None)
        if call is None:
            return
        literal = _deferred_literal(node)
        given = [self._value(argument) for argument in self._arguments(call)] if literal is not None else []
        if literal is None:
            self._value(call)
        elif _is_late(node, literal):
            self._emit(Constant(f"%defer{node.start_byte}", Fact.TRUE), node)
            self._see(literal)
        else:
            self._inline(literal, given)

    def _inline(self, literal: Node, given: Sequence[str] = ()) -> None:
        """The body of a function literal where it is called; its ``return`` ends it alone."""
        self._scopes.append({})
        for at, (name, declared, many) in enumerate(parameters_of(literal.child_by_field_name("parameters"))):
            fresh = self._declare(name, self.resolver.declared(declared, self.file))
            known = at < len(given) and not many
            self._emit(Copy(fresh, given[at]) if known else Constant(fresh, None), literal)
        target = Target("")
        self._inlined.append(target)
        targets, self._targets = self._targets, []
        self._block(literal.child_by_field_name("body"))
        self._targets = targets
        self._inlined.pop()
        self._open += target.breaks
        self._scopes.pop()

    def _go(self, node: Node) -> None:
        """What a goroutine is given, or sees, lives on in it."""
        call = next((child for child in node.named_children if child.type == "call_expression"), None)
        if call is None:
            return
        function = call.child_by_field_name("function")
        handed = [self._value(argument) for argument in self._arguments(call)]
        if function is not None and function.type == "func_literal":
            handed.append(self._value(function))
        elif function is not None and function.type == "selector_expression":
            operand = function.child_by_field_name("operand")
            handed += [self._value(operand)] if operand is not None else []
        for source in handed:
            self._emit(Store(None, None, source), node)

    def _labeled(self, node: Node) -> None:
        self._label = text(node.child_by_field_name("label"))
        self._labels[self._label] = self._emit(Nothing(), node)
        for child in node.named_children:
            if child.type not in ("label_name", "comment"):
                self._statement(child)
        self._label = ""

    def _jump(self, node: Node) -> None:
        label = next((text(child) for child in node.named_children if child.type == "label_name"), "")
        kind = node.type.partition("_")[0]
        self._emit(Nothing(kind if kind != "goto" else ""), node)
        if kind == "goto":
            self._gotos.append((label, self._open))
        else:
            for target in reversed(self._targets):
                if (target.label == label or not label) and (kind == "break" or target.continues is not None):
                    if kind == "break":
                        target.breaks += self._open
                    elif target.continues is not None:
                        target.continues += self._open
                    break
        self._open = []


def _deferred_literal(node: Node) -> Node | None:
    call = next((child for child in node.named_children if child.type == "call_expression"), None)
    function = call.child_by_field_name("function") if call is not None else None
    return function if function is not None and function.type == "func_literal" else None


def _is_late(defer: Node, literal: Node) -> bool:
    """Whether what a deferred literal does depends on how things are when the function ends.

    In a loop it is taken as done at once: what the round declares is not known any more when the function ends.
    """
    at = defer.parent
    while at is not None and at.type not in ("function_declaration", "method_declaration", "func_literal"):
        if at.type == "for_statement":
            return False
        at = at.parent
    return any(item.type in _BRANCHES and not _only_reports(item) for item in own(literal))


def _only_reports(node: Node) -> bool:
    """``if err := rows.Close(); err != nil { log }``: what is done is done before it is looked at."""
    return node.type == "if_statement" and node.child_by_field_name("initializer") is not None
