"""Statements that share a line, put on lines of their own: a repair takes whole lines."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from leakfix.languages.python.modules import FunctionNode
from leakfix.repairs.python.layout import Layout
from leakfix.source import Edit, SourceFile, Span

Suite = list[ast.stmt]


def separated(source: SourceFile, function: FunctionNode, acquisition: Span) -> SourceFile:
    """The source with the line of the acquisition, and those that name what it is bound to, laid out."""
    layout = Layout(source)
    names = _bound(layout, function, acquisition)
    for owner, suite in _suites(function):
        for run in _runs(layout, suite):
            if any(_concerns(layout, statement, names, acquisition) for statement in run):
                _separate(layout, owner, run)
    return source.edited(layout.edits)


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


def _unit(source: SourceFile) -> str:
    """One step of indentation as the file's first indented line has it."""
    match = re.search(rb"^(\t| +)\S", source.data, re.MULTILINE)
    return match.group(1).decode() if match else "    "


def _separate(layout: Layout, owner: ast.AST, run: Suite) -> None:
    first = run[0]
    before = layout.source.data[layout.source.offset(first.lineno, 0) : layout.span(first).start]
    indent = layout.indent_of(first.lineno)
    if before.strip():  # behind the colon of its head
        indent += _unit(layout.source)
        start = layout.span(first).start
        layout.replace(Span(start - (len(before) - len(before.rstrip())), start), layout.newline + indent)
    for one, following in pairwise(run):
        layout.replace(Span(layout.span(one).end, layout.span(following).start), layout.newline + indent)
