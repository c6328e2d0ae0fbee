"""Python functions as graphs of the small IR.

Graphs are built backward: lowering a statement takes the node that follows it and returns the node to enter at.
What surrounds a statement (handlers, ``finally``, ``with``) is an ``Exits``: where each way of leaving leads.
Those targets are built when first needed, so a ``finally`` body appears once for each way that really passes it.
"""

from __future__ import annotations

import ast

from leakfix.ir.nodes import (
    Condition,
    Constant,
    Copy,
    Derive,
    Edge,
    Enter,
    Exit,
    Flow,
    Forget,
    Gather,
    Graph,
    Leave,
    Nothing,
    Return,
    Store,
)
from leakfix.languages.python.expressions import QUIET_SCOPES, Exits, Expressions
from leakfix.languages.python.modules import FunctionNode
from leakfix.languages.python.syntax import (
    captured,
    catching,
    is_display,
    is_irrefutable,
    is_short_display,
    name_of,
    pairwise,
)

_SUPPRESSES = frozenset({"contextlib.suppress", "suppress", "pytest.raises"})


class Lowering(Expressions):
    """Lowers one function."""

    def run(self) -> Graph:
        """The function's graph. Raises TooComplex."""
        line = self.node.end_lineno or self.node.lineno
        exits = Exits(
            **{
                "raise": lambda: self.graph.add(Exit("raise"), None, line),
                "abandon": lambda: self.graph.add(Exit("abandon"), None, line),
                "return": lambda: self.graph.add(Exit("return"), None, line),
                "process": lambda: self.graph.add(Exit("process"), None, line),
            }
        )
        self.graph.entry = self.block(self.node.body, exits["return"], exits)
        return self.graph

    def block(self, body: list[ast.stmt], then: int, exits: Exits) -> int:
        for statement in reversed(body):
            then = self.statement(statement, then, exits)
        return then

    def statement(self, node: ast.stmt, then: int, exits: Exits) -> int:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            return then
        entry: int = method(node, then, exits)
        return entry

    def _expr(self, node: ast.Expr, then: int, exits: Exits) -> int:
        if isinstance(node.value, ast.Constant):
            return then
        return self.evaluate(node.value, self.temporary(), then, exits)

    def _assign(self, node: ast.Assign, then: int, exits: Exits) -> int:
        match node.targets:
            case [ast.Name(id=name)] if name in self.locals:
                then = self.forget_tests(name, node, then)
                return self.evaluate(node.value, self.variable(name), then, exits)
            case [ast.Tuple(elts=targets)] if pairwise(targets, node.value):
                assert isinstance(node.value, ast.Tuple)
                pairs = [(t, v, self.temporary()) for t, v in zip(targets, node.value.elts, strict=True)]
                for target, _, slot in reversed(pairs):
                    then = self.bind(target, slot, then, exits)
                for _, part, slot in reversed(pairs):
                    then = self.evaluate(part, slot, then, exits)
                return then
        value = self.slot(node.value)
        for target in reversed(node.targets):
            then = self.bind(target, value, then, exits)
        return self.into(node.value, value, then, exits)

    def _annassign(self, node: ast.AnnAssign, then: int, exits: Exits) -> int:
        if node.value is None:
            return then
        value = self.slot(node.value)
        if isinstance(node.target, ast.Name) and node.target.id in self.locals:
            then = self.forget_tests(node.target.id, node, then)
            return self.evaluate(node.value, self.variable(node.target.id), then, exits)
        return self.into(node.value, value, self.bind(node.target, value, then, exits), exits)

    def _augassign(self, node: ast.AugAssign, then: int, exits: Exits) -> int:
        value, result = self.slot(node.value), self.temporary()
        own = self.slot(node.target)
        then = self.bind(node.target, result, then, exits)
        if isinstance(node.target, ast.Name) and not self.known_local(
            node.target
        ):  # `given += [x]` changes what the caller has
            then = self.add(Store(None, None, value), node, Edge(then))
        then = self.add(Gather(result, (own, value)), node, Edge(then))
        return self.into(node.value, value, then, exits)

    def _return(self, node: ast.Return, then: int, exits: Exits) -> int:
        if node.value is None:
            return self.add(Return(None), node, Edge(exits["return"]))
        value = self.slot(node.value)
        return self.into(node.value, value, self.add(Return(value), node, Edge(exits["return"])), exits)

    def _raise(self, node: ast.Raise, then: int, exits: Exits) -> int:
        way = "process" if node.exc is not None and name_of(node.exc) == "SystemExit" else "raise"
        entry = self.add(Nothing("raise"), node, Edge(exits[way], Flow.RAISES))
        for part in (node.cause, node.exc):
            if isinstance(part, ast.Call):
                for argument in [*part.args, *(k.value for k in part.keywords)]:
                    if not isinstance(argument, ast.Name | ast.Constant):
                        entry = self.evaluate(argument, self.temporary(), entry, exits)
        return entry

    def _delete(self, node: ast.Delete, then: int, exits: Exits) -> int:
        for target in reversed(node.targets):
            if isinstance(target, ast.Name):
                then = self.add(Forget(self.variable(target.id)), node, Edge(then))
        return then

    def _assert(self, node: ast.Assert, then: int, exits: Exits) -> int:
        failed = self.add(Nothing("assertion"), node, self.raising(exits))
        return self.branch(node.test, then, failed, exits)

    def _import(self, node: ast.Import | ast.ImportFrom, then: int, exits: Exits) -> int:
        return self.add(Nothing("import"), node, Edge(then), self.raising(exits))

    _importfrom = _import

    def _break(self, node: ast.Break, then: int, exits: Exits) -> int:
        return self.add(Nothing("break"), node, Edge(exits["break"]))

    def _continue(self, node: ast.Continue, then: int, exits: Exits) -> int:
        return self.add(Nothing("continue"), node, Edge(exits["continue"]))

    def _if(self, node: ast.If, then: int, exits: Exits) -> int:
        body = self.block(node.body, then, exits)
        orelse = self.block(node.orelse, then, exits)
        return self.branch(node.test, body, orelse, exits)

    def _while(self, node: ast.While, then: int, exits: Exits) -> int:
        head = self.add(Nothing(), node)
        inner = exits.but(**{"break": lambda: then, "continue": lambda: head})
        self._loops += 1
        after = self.block(node.orelse, then, exits)
        body = self.block(node.body, head, inner)
        entry = self.branch(node.test, body, after, exits)
        self._loops -= 1
        self.graph.nodes[head].edges.append(Edge(entry))
        return head

    def _for(self, node: ast.For | ast.AsyncFor, then: int, exits: Exits) -> int:
        if isinstance(node, ast.For) and is_short_display(node.iter) and not node.orelse:
            return self.unrolled(node, then, exits)
        iterated, item, waiting = self.slot(node.iter), self.temporary(), self.temporary()
        head = self.add(Nothing("iteration"), node.iter)
        inner = exits.but(**{"break": lambda: then, "continue": lambda: head})
        self._loops += 1
        body = self.block(node.body, head, inner)
        body = self.bind(node.target, item, body, exits)
        body = self.add(Derive(item, (iterated,)), node.target, Edge(body))
        body = self.add(Constant(waiting, None), node.target, Edge(body))
        self._loops -= 1
        after = self.block(node.orelse, then, exits)
        # a container that holds something is not left before that was met
        edges = [Edge(body), Edge(after, condition=Condition(waiting, False, False))]
        if not is_display(node.iter):
            edges.append(self.raising(exits))
        if isinstance(node, ast.AsyncFor):
            edges.append(Edge(exits["abandon"], Flow.ABANDONED))
        self.graph.nodes[head].edges.extend(edges)
        start = self.add(Derive(waiting, (iterated,)), node.iter, Edge(head))
        return self.into(node.iter, iterated, start, exits)

    _asyncfor = _for

    def unrolled(self, node: ast.For, then: int, exits: Exits) -> int:
        """A loop over a few things written down: once for each of them."""
        assert isinstance(node.iter, ast.Tuple | ast.List)
        after = then
        for element in reversed(node.iter.elts):
            following = then
            inner = exits.but(**{"break": lambda: after, "continue": lambda following=following: following})  # type: ignore[misc]
            slot = self.slot(element)
            then = self.bind(node.target, slot, self.block(node.body, following, inner), inner)
            then = self.into(element, slot, then, exits)
        return then

    def _with(self, node: ast.With | ast.AsyncWith, then: int, exits: Exits) -> int:
        return self.with_items(node, list(node.items), then, exits)

    _asyncwith = _with

    def with_items(self, node: ast.With | ast.AsyncWith, items: list[ast.withitem], then: int, exits: Exits) -> int:
        if not items:
            return self.block(node.body, then, exits)
        item, rest = items[0], items[1:]
        asynchronous = isinstance(node, ast.AsyncWith)
        context, entered = self.slot(item.context_expr), self.temporary()
        suppresses = self.suppresses(item.context_expr)

        def leave(target: int) -> int:
            return self.add(Leave(context, asynchronous), item.context_expr, Edge(target))

        left = leave(then)
        inner = exits.through(leave)
        if suppresses:
            inner = inner.but(**{"raise": lambda: left})
        body = self.with_items(node, rest, left, inner)
        if item.optional_vars is not None:
            body = self.bind(item.optional_vars, entered, body, inner)
        edges = [Edge(body)]
        if not self.enters_quietly(item.context_expr):
            edges.append(self.raising(exits))
        if asynchronous:
            edges.append(Edge(exits["abandon"], Flow.ABANDONED))
        enter = self.add(Enter(entered, context, asynchronous), item.context_expr, *edges)
        return self.into(item.context_expr, context, enter, exits)

    def suppresses(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Call):
            return False
        return any(name in _SUPPRESSES for name in self.names.of(node.func, self.place))

    def enters_quietly(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and name_of(node) in QUIET_SCOPES

    def _try(self, node: ast.Try, then: int, exits: Exits) -> int:
        if not node.finalbody:
            return self.handled(node, then, exits)
        inner = exits.through(lambda target: self.block(node.finalbody, target, exits))
        return self.handled(node, self.block(node.finalbody, then, exits), inner)

    _trystar = _try

    def handled(self, node: ast.Try, then: int, exits: Exits) -> int:
        """A ``try`` without its ``finally``: body, handlers and ``else``."""
        if not node.handlers:
            return self.block(node.body, self.block(node.orelse, then, exits), exits)
        entries = [self.handler(handler, then, exits) for handler in node.handlers]

        def dispatch(way: str, flow: Flow) -> int:
            taken, complete = catching(node.handlers, flow)
            edges = [Edge(entries[position]) for position in taken]
            if not complete:
                edges.append(Edge(exits[way]))
            return self.graph.add(Nothing(), None, node.handlers[0].lineno, *edges)

        inner = exits.but(
            **{
                "raise": lambda: dispatch("raise", Flow.RAISES),
                "abandon": lambda: dispatch("abandon", Flow.ABANDONED),
            }
        )
        return self.block(node.body, self.block(node.orelse, then, exits), inner)

    def handler(self, node: ast.ExceptHandler, then: int, exits: Exits) -> int:
        return self.add(Nothing("except"), node, Edge(self.block(node.body, then, exits)))

    def _match(self, node: ast.Match, then: int, exits: Exits) -> int:
        subject = self.slot(node.subject)
        following = then
        for case in reversed(node.cases):
            body = self.block(case.body, then, exits)
            if case.guard is not None:
                body = self.branch(case.guard, body, following, exits)
            for name in captured(case.pattern):
                body = self.add(Copy(self.variable(name), subject), case.pattern, Edge(body))
            edges = [Edge(body)]
            if not (is_irrefutable(case.pattern) and case.guard is None):
                edges.append(Edge(following))
            following = self.add(Nothing(), case.pattern, *edges)
        return self.into(node.subject, subject, following, exits)

    def _functiondef(self, node: FunctionNode, then: int, exits: Exits) -> int:
        if not all(self.passes_on(decorator) for decorator in node.decorator_list):
            then = self.add(Store(None, node.name, self.variable(node.name)), node, Edge(then))
        return self.capture(self.variable(node.name), node, then)

    _asyncfunctiondef = _functiondef

    def _classdef(self, node: ast.ClassDef, then: int, exits: Exits) -> int:
        return self.capture(self.variable(node.name), node, then)

    def passes_on(self, decorator: ast.expr) -> bool:
        """Whether what a decorator makes of a function is kept nowhere but under its name."""
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        names = self.names.of(node, self.place)
        return bool(names) and all(name.startswith(("functools.", "contextlib.")) for name in names)
