"""An acquisition inside a ``try`` whose handlers use it too: released in that statement's ``finally``."""

from __future__ import annotations

import ast

from leakfix.repairs.python.forms import form_of, release_code
from leakfix.repairs.python.layout import first_line
from leakfix.repairs.python.releases import remove_releases
from leakfix.repairs.python.scope import Region, check, tracked_names, used_outside
from leakfix.repairs.python.subject import Refused, Slot, Subject


def release_in_finally(subject: Subject) -> list[str]:
    """``name = None`` before the ``try``, and a guarded release in its ``finally``."""
    name = subject.name
    assert name is not None
    form_of(subject)
    slot = subject.slots[subject.statement]
    attempt = slot.owner
    if not isinstance(attempt, ast.Try) or slot.suite is not attempt.body:
        raise Refused("it is still needed outside the block it is acquired in")
    needs = subject.needs(name)
    tracked = tracked_names(subject, name, needs)
    outer = subject.slots[attempt]
    region = Region(outer.suite, outer.index, outer.index, False)
    outside = used_outside(subject, region, tracked)
    if outside:
        raise Refused(f"it is still needed at line {outside[0].lineno}, after the `try` it is acquired in")
    stored = [
        node
        for node in subject.parents
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
    ]
    preset = _preset(subject, outer, name)
    if preset is None and any(_asks_for_names(node) for handler in attempt.handlers for node in ast.walk(handler)):
        raise Refused(f"a handler asks whether {name!r} was set, which it would be")
    allowed = {id(n) for n in ast.walk(subject.statement)} | ({id(n) for n in ast.walk(preset)} if preset else set())
    if any(id(node) not in allowed for node in stored):
        raise Refused(f"{name!r} is set in several places")
    notes = check(subject, name, region, needs, rebound=True)
    if any(_releases_by_hand(subject, suite, name) for suite in (attempt.orelse, *(h.body for h in attempt.handlers))):
        notes.append("its handlers release it on some paths only: make sure none keeps it on purpose")
    _write(subject, attempt, outer, name, preset is not None)
    return notes


def _asks_for_names(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("locals", "vars", "dir", "NameError", "UnboundLocalError")


def _releases_by_hand(subject: Subject, suite: list[ast.stmt], name: str) -> bool:
    return any(subject.is_release(item, name) or list(subject.release_statements(item, name)) for item in suite)


def _preset(subject: Subject, outer: Slot, name: str) -> ast.stmt | None:
    """A ``name = None`` that stands before the ``try`` in the same suite."""
    for statement in outer.suite[: outer.index]:
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)], value=ast.Constant(value=None)) if found == name:
                return statement
    return None


def _write(subject: Subject, attempt: ast.Try, outer: Slot, name: str, preset: bool) -> None:
    layout, unit = subject.layout, subject.unit
    base = layout.indent_of(attempt.lineno)
    if attempt.finalbody and any(subject.is_release(item, name) for item in attempt.finalbody):
        raise Refused("its finally releases it already, but not on every path")
    remove_releases(subject, name, outer.suite, outer.index, outer.index, indents=False)
    if not preset:
        layout.add_before(first_line(attempt), f"{base}{name} = None")
    guarded = (f"{base}{unit}if {name} is not None:", f"{base}{unit * 2}{release_code(subject, name, names_pool=True)}")
    if attempt.finalbody:
        layout.add_after(layout.end_of(attempt), *guarded)
    else:
        layout.add_after(layout.end_of(attempt), f"{base}finally:", *guarded)
