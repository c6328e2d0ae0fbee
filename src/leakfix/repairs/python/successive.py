"""A variable that gets the next one where the last was released: whichever it holds in the end is released."""

from __future__ import annotations

import ast

from leakfix.repairs.python.forms import release_code
from leakfix.repairs.python.layout import first_line, last_line
from leakfix.repairs.python.releases import remove_releases
from leakfix.repairs.python.scope import Region, check, indent_region, region_after, tracked_names, used_outside
from leakfix.repairs.python.subject import Refused, Subject, Wrong


def release_the_last(subject: Subject) -> list[str]:
    """``try`` round all uses, and a release of the variable in its ``finally``."""
    name = subject.name
    assert name is not None
    if not subject.resource.repeatable:
        raise Refused(f"{name!r} gets another value, and releasing it twice is an error")
    former = _former(subject, name)
    if former is not None:
        raise Wrong(f"it takes the place of what is acquired at line {former.lineno}, and is released where that is")
    needs = subject.needs(name)
    tracked = tracked_names(subject, name, needs)
    slot = subject.slots[subject.statement]
    region = region_after(subject, name, slot.suite, slot.index, tracked)
    outside = used_outside(subject, region, tracked)
    if outside:
        raise Refused(f"it is still needed at line {outside[0].lineno}, outside the block it is acquired in")
    _require_successors(subject, name, region)
    notes = check(subject, name, region, needs, rebound=True)
    layout, release = subject.layout, release_code(subject, name)
    base, end = layout.indent_of(first_line(subject.statement)), region.suite[region.last]
    steady = remove_releases(subject, name, region.suite, region.last, region.last)
    layout.add_after(last_line(subject.statement), base + "try:")
    indent_region(subject, region, base, steady, last_line(subject.statement) + 1)
    layout.add_after(layout.end_of(end), base + "finally:", base + subject.unit + release)
    return notes


def _former(subject: Subject, name: str) -> ast.stmt | None:
    """The acquisition before, in a suite round this one, whose variable this one takes."""
    slot = subject.slots[subject.statement]
    while True:
        owner = slot.owner
        while not isinstance(owner, ast.stmt):
            owner = subject.parents[owner]
        if owner is subject.node:
            return None
        slot = subject.slots[owner]
        for statement in slot.suite[: slot.index]:
            match statement:
                case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                    made = value.value if isinstance(value, ast.Await) else value
                    if subject.layout.span(made) in subject.siblings:
                        return statement


def _require_successors(subject: Subject, name: str, region: Region) -> None:
    """Raise Refused unless each other value of the variable is one more of them, behind a release in the same suite."""
    others = 0
    for statement in subject.own(region.statements):
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                made = value.value if isinstance(value, ast.Await) else value
                slot = subject.slots[statement]
                released = any(subject.is_release(item, name) for item in slot.suite[: slot.index])
                if subject.layout.span(made) not in subject.siblings or not released:
                    raise Refused(f"{name!r} gets another value at line {statement.lineno}")
                others += 1
    stored = [n for n in subject.own(region.statements) if isinstance(n, ast.Name) and n.id == name]
    if not others or sum(not isinstance(node.ctx, ast.Load) for node in stored) != others:
        raise Refused(f"{name!r} gets another value in the part that needs it")
