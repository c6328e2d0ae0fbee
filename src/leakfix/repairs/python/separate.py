"""Statements that share a line, and pairs assigned at once, put on lines of their own: a repair takes whole lines."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from itertools import pairwise

from leakfix.languages.python.modules import FunctionNode
from leakfix.repairs.python.layout import Layout
from leakfix.source import Edit, SourceFile, Span

Suite = list[ast.stmt]


def separated(source: SourceFile, function: FunctionNode, acquisition: Span) -> SourceFile:
    """The source with the line of the acquisition, and those that name what it is bound to, laid out."""
    layout = Layout(source)
    pair = _pair(layout, function, acquisition)
    if pair is not None and layout.stands_alone(pair) and "#" not in layout.text(pair):
        indent = layout.newline + layout.indent_of(pair.lineno)
        lines = [f"{layout.text(target)} = {layout.text(value)}" for target, value in _parts(pair)]
        layout.replace(layout.span(pair), indent.join(lines))
        return source.edited(layout.edits)
    names = _bound(layout, function, acquisition)
    for owner, suite in _suites(function):
        for run in _runs(layout, suite):
            if any(_concerns(layout, statement, names, acquisition) for statement in run):
                _separate(layout, owner, run)
    return source.edited(layout.edits)


def is_same(before: ast.Module, after: ast.Module, source: SourceFile, acquisition: Span) -> bool:
    """Whether two trees mean the same, pairs that the acquisition stands in being assigned one by one."""
    if ast.dump(before) == ast.dump(after):
        return True
    layout = Layout(source)
    pair = _pair(layout, before, acquisition)
    return pair is not None and ast.dump(_Apart(pair).visit(copy.deepcopy(before, {id(pair): pair}))) == ast.dump(after)


class _Apart(ast.NodeTransformer):
    """Puts single assignments in the place of one of a pair."""

    def __init__(self, pair: ast.Assign) -> None:
        self._pair = pair

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | list[ast.Assign]:
        """One assignment for each part."""
        if node is not self._pair:
            return node
        return [ast.copy_location(ast.Assign([target], value), node) for target, value in _parts(node)]


def _pair(layout: Layout, root: ast.AST, acquisition: Span) -> ast.Assign | None:
    """The statement with the acquisition, where it assigns several names at once and could as well do it one by one."""
    for node in ast.walk(root):
        if isinstance(node, ast.Assign) and _holds(layout.span(node), acquisition) and (parts := _parts(node)):
            names = [target.id for target, _ in parts if isinstance(target, ast.Name)]
            read = {item.id for _, value in parts for item in ast.walk(value) if isinstance(item, ast.Name)}
            if len({*names}) == len(parts) and read.isdisjoint(names):
                return node
    return None


def _parts(node: ast.Assign) -> list[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)) if len(targets) == len(values):
            return list(zip(targets, values, strict=True))
    return []


def line_edits(before: SourceFile, after: SourceFile) -> tuple[Edit, ...]:
    """The edits that make one source of another, whole lines each."""
    from difflib import SequenceMatcher

    old, new = before.data.splitlines(keepends=True), after.data.splitlines(keepends=True)
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line))
    return tuple(
        Edit(starts[first], starts[last], b"".join(new[begin:end]))
        for tag, first, last, begin, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if tag != "equal"
    )


def _bound(layout: Layout, function: FunctionNode, acquisition: Span) -> set[str]:
    """The names a statement with the acquisition binds."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AnnAssign) and _holds(layout.span(node), acquisition):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {item.id for target in targets for item in ast.walk(target) if isinstance(item, ast.Name)}
    return found


def _holds(outer: Span, inner: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _suites(function: FunctionNode) -> Iterator[tuple[ast.AST, Suite]]:
    for node in ast.walk(function):
        for name in ("body", "orelse", "finalbody"):
            suite = getattr(node, name, None)
            if isinstance(suite, list) and suite and isinstance(suite[0], ast.stmt):
                yield node, suite


def _runs(layout: Layout, suite: Suite) -> Iterator[Suite]:
    """Statements of a suite that share lines with each other, or the first of them with the head of the suite."""
    run: Suite = []
    for statement in suite:
        if run and run[-1].end_lineno != statement.lineno:
            yield run
            run = []
        run.append(statement)
    if run:
        yield run


def _concerns(layout: Layout, statement: ast.stmt, names: set[str], acquisition: Span) -> bool:
    if _holds(layout.span(statement), acquisition):
        return True
    return any(isinstance(item, ast.Name) and item.id in names for item in ast.walk(statement))


def _separate(layout: Layout, owner: ast.AST, run: Suite) -> None:
    first = run[0]
    before = layout.source.data[layout.source.offset(first.lineno, 0) : layout.span(first).start]
    indent = layout.indent_of(first.lineno)
    if before.strip():  # behind the colon of its head
        indent += layout.unit
        start = layout.span(first).start
        layout.replace(Span(start - (len(before) - len(before.rstrip())), start), layout.newline + indent)
    for one, following in pairwise(run):
        layout.replace(Span(layout.span(one).end, layout.span(following).start), layout.newline + indent)
