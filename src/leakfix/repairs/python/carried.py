"""What one round of a loop leaves to the next: names that are read before the round has set them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from leakfix.languages.python.syntax import name_of

_SWALLOWING = frozenset("suppress raises assertRaises assertRaisesRegex".split())
"""Context managers that go on behind the block where something in it fails."""
Loop = ast.For | ast.AsyncFor | ast.While


def carried(loop: Loop, names: set[str]) -> set[str]:
    """Of some names that a loop sets, those it may read as an earlier round left them."""
    reading = _Reading()
    if isinstance(loop, ast.While):
        reading.expressions([loop.test])
    else:
        reading.stored(loop.target)
    reading.suite(loop.body)
    stored = {node.id for node in ast.walk(loop) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return reading.first & stored & names


class _Reading:
    """Follows statements forward: ``bound`` is set on every path that comes here, ``first`` was read before.

    ends: no path comes here any more.
    """

    def __init__(self, bound: Iterable[str] = ()) -> None:
        self.bound, self.ends = set(bound), False
        self.first: set[str] = set()

    def suite(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            if not self.ends:
                self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
                self.expressions(ast.iter_child_nodes(node))
                self.ends = True
            case ast.Assign(targets=targets, value=value):
                self.expressions([value, *targets])
                for target in targets:
                    self.stored(target)
            case ast.AnnAssign(target=target, value=value):
                self.expressions([value] if value is not None else [])
                if value is not None:
                    self.stored(target)
            case ast.AugAssign(target=target, value=value):
                self.expressions([value])
                self.first |= {target.id} - self.bound if isinstance(target, ast.Name) else set()
            case ast.If(test=test, body=body, orelse=orelse):
                self.expressions([test])
                self.branches([body, orelse])
            case ast.For() | ast.AsyncFor():
                self.expressions([node.iter])
                before = set(self.bound)
                self.stored(node.target)
                self.branches([node.body], join=False)
                self.bound = before
                self.suite(node.orelse)
            case ast.While(test=test, body=body, orelse=orelse):
                self.expressions([test])
                self.branches([body], join=False)
                self.suite(orelse)
            case ast.Try() | ast.TryStar():
                self.tried(node)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    self.expressions([item.context_expr])
                    if item.optional_vars is not None:
                        self.stored(item.optional_vars)
                swallows = any(_called(item.context_expr) in _SWALLOWING for item in items)
                self.branches([body, []] if swallows else [body])
            case ast.Match(subject=subject, cases=cases):
                self.expressions([subject, *(case.guard for case in cases if case.guard)])
                self.branches([*(case.body for case in cases), []])
            case ast.Delete(targets=targets):
                self.bound -= {target.id for target in targets if isinstance(target, ast.Name)}
            case _:
                self.expressions([node])
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    self.bound.add(node.name)

    def tried(self, node: ast.Try | ast.TryStar) -> None:
        before = set(self.bound)
        self.suite([*node.body, *node.orelse])
        ways = [(self.bound, self.ends)]
        for handler in node.handlers:
            self.bound, self.ends = set(before), False
            self.suite(handler.body)
            ways.append((self.bound, self.ends))
        coming = [bound for bound, ends in ways if not ends]
        after = set.intersection(*coming) if coming else before
        self.bound, self.ends = before, False
        self.suite(node.finalbody)
        self.bound, self.ends = self.bound | after, self.ends or not coming

    def branches(self, suites: list[list[ast.stmt]], join: bool = True) -> None:
        before, ways = set(self.bound), []
        for suite in suites:
            self.bound, self.ends = set(before), False
            self.suite(suite)
            if not self.ends:
                ways.append(self.bound)
        self.bound, self.ends = (set.intersection(*ways) if ways else before) if join else before, join and not ways

    def expressions(self, nodes: Iterable[ast.AST]) -> None:
        """Reads, and what ``:=`` sets in any case; what a nested function reads counts as read here."""
        for root in nodes:
            set_here = {node.target.id: node for node in _always_evaluated(root) if isinstance(node, ast.NamedExpr)}
            for node in ast.walk(root):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in self.bound:
                    setting = set_here.get(node.id)
                    if setting is None or _end(setting) > (node.lineno, node.col_offset):
                        self.first.add(node.id)
            self.bound |= set_here.keys()

    def stored(self, target: ast.expr) -> None:
        self.bound |= {
            node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }


def _always_evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression that are evaluated whatever the others give."""
    yield node
    match node:
        case ast.BoolOp(values=[first, *_]) | ast.IfExp(test=first):
            yield from _always_evaluated(first)
        case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp() | ast.stmt():
            return
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _always_evaluated(child)


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


def _called(node: ast.expr) -> str:
    return name_of(node) if isinstance(node, ast.Call) else ""
