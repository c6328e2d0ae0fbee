"""Suites of a function that get a statement before, after or around them."""

from __future__ import annotations

import ast

from leakfix.repairs.python.layout import Layout, first_line, takes_finally


def body_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """The statements of a function without its docstring."""
    return function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body


def is_laid_out(layout: Layout, suite: list[ast.stmt]) -> bool:
    """Whether the statements of a suite share no line with others, or with what the suite belongs to."""
    return bool(suite) and all(layout.stands_alone(statement) for statement in suite)


def put_in_try(layout: Layout, suite: list[ast.stmt], before: str, *after: tuple[str, str]) -> None:
    """Move statements into a ``try`` with the clauses ``after``: a head and the lines below it.

    A last clause without lines takes the statement that follows. before: a statement in front of it all, or "".
    Where the statements are a ``try`` that lacks but the ``finally``, it gets that.
    """
    first, last = first_line(suite[0]), layout.end_of(suite[-1])
    base = layout.indent_of(first)
    step = layout.unit
    joins = takes_finally(suite) and [head for head, _ in after] == ["finally:"] and bool(after[0][1])
    lead = [*([base + before] if before else []), *([] if joins else [f"{base}try:"])]
    if lead:
        layout.add_before(first, *lead)
    if not joins:
        layout.indent(first, last, step, base)
    lines = [line for head, code in after for line in (base + head, *(base + step + one for one in code.splitlines()))]
    layout.add_after(last, *lines)
