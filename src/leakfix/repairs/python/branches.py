"""Acquisitions in branches, under a condition or in a ``try``, used after it."""

from __future__ import annotations

import ast

from leakfix.repairs.python.forms import Form, entered_span, form_of, release_code, with_imports
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import first_line, last_line
from leakfix.repairs.python.releases import remove_releases
from leakfix.repairs.python.scope import (
    Region,
    check,
    enclose_finally,
    exclusive,
    indent_region,
    region_after,
    tracked_names,
    used_outside,
)
from leakfix.repairs.python.subject import Refused, Slot, Subject, Suite

_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def enclose_after_branches(subject: Subject) -> list[str]:
    """Every branch ends by acquiring it or leaves: a scope behind the branches, on the name."""
    name = subject.name
    assert name is not None
    form = form_of(subject)
    outer = _behind_branches(subject, name)
    needs = subject.needs(name)
    tracked = tracked_names(subject, name, needs)
    region = region_after(subject, name, outer.suite, outer.index, tracked)
    if region.last < region.first:
        raise Refused("it is not used after the branches it is acquired in")
    outside = [
        n
        for n in used_outside(subject, region, {name} if region.closes_itself else tracked)
        if not _in(outer.statement, n)
    ]
    if outside:
        raise Refused(f"it is still needed at line {outside[0].lineno}, outside the block it is acquired in")
    notes = check(subject, name, region, needs)
    base = subject.layout.indent_of(first_line(outer.statement))
    after = last_line(outer.statement)
    if not form.keyword or form.drops_await:
        enclose_finally(subject, name, region, after, base)
        return notes
    steady = remove_releases(subject, name, region.suite, region.first, region.last)
    spelled = with_imports(subject, form)
    subject.layout.add_after(after, f"{base}{spelled.keyword} {spelled.entering(name)}:")
    indent_region(subject, region, base, steady, after + 1)
    return notes


def _in(statement: ast.stmt, node: ast.AST) -> bool:
    return any(item is node for item in ast.walk(statement))


def _behind_branches(subject: Subject, name: str) -> Slot:
    """The outermost statement at whose end, and only there, every path has acquired it. Raises Refused."""
    slot = subject.slots[subject.statement]
    found: Slot | None = None
    while slot.index == len(slot.suite) - 1:
        owner = slot.owner
        if isinstance(owner, ast.If):
            arms = [arm for arm in (owner.body, owner.orelse) if arm is not slot.suite]
            if not all(_acquires_or_leaves(subject, arm, name) for arm in arms):
                break
        elif isinstance(owner, ast.match_case):
            match = subject.parents[owner]
            assert isinstance(match, ast.Match)
            arms = [case.body for case in match.cases if case is not owner]
            if not _is_any(match.cases[-1]) or not all(_acquires_or_leaves(subject, arm, name) for arm in arms):
                break
            slot = found = subject.slots[match]
            continue
        elif isinstance(owner, ast.Try) and slot.suite is owner.body:
            if owner.orelse or owner.finalbody or not all(_leaves(handler.body) for handler in owner.handlers):
                break
        else:
            break
        assert isinstance(owner, ast.stmt)
        slot = found = subject.slots[owner]
    if found is None:
        raise Refused("it is still needed outside the block it is acquired in")
    return found


def _is_any(case: ast.match_case) -> bool:
    """Whether a case takes whatever is left."""
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


def _acquires_or_leaves(subject: Subject, suite: Suite, name: str) -> bool:
    if not suite:
        return False
    if _leaves(suite):
        return True
    last = suite[-1]
    if isinstance(last, ast.If):
        return all(_acquires_or_leaves(subject, arm, name) for arm in (last.body, last.orelse))
    match last:
        case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
            call = value.value if isinstance(value, ast.Await) else value
            while isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                if call.func.attr not in subject.resource.fluent:
                    break
                call = call.func.value
            return subject.layout.span(call) in subject.siblings
    return False


def _leaves(suite: Suite) -> bool:
    if not suite:
        return False
    last = suite[-1]
    match last:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="sys"), attr="exit"))):
            return True
        case ast.Expr(value=ast.Call(func=ast.Name(id="exit" | "quit"))):
            return True
        case ast.If(body=body, orelse=orelse):
            return _leaves(body) and _leaves(orelse)
    return isinstance(last, _LEAVING)


def enclose_with_stack(subject: Subject) -> list[str]:
    """An exit stack round the branches and the uses: only what was acquired is released."""
    name = subject.name
    if name is None:
        match subject.statement:
            case ast.Assign(targets=[ast.Name(id=found)]):
                name = found
            case _:
                raise Refused("it is acquired only under a condition, inside an expression")
    form = form_of(subject)
    needs = subject.needs(name)
    tracked = tracked_names(subject, name, needs)
    slot, region = _common_suite(subject, name, tracked)
    notes = check(subject, name, region, needs, rebound=True)
    _only_set_before(subject, name, region)
    if not subject.resource.repeatable and list(_releases(subject, name, region)):
        raise Refused("it is released on some paths already; releasing it twice is an error")
    if name in subject.parameters or not isinstance(subject.statement, ast.Assign) or subject.name is None:
        notes.append(f"{name!r} is released only where this function opened it: nothing may use it after that")
    stack = subject.new_name("stack")
    base = subject.layout.indent_of(first_line(slot.statement))
    text = _entered(subject, form, name, stack)
    subject.layout.add_before(first_line(slot.statement), f"{base}{text} as {stack}:")
    indent_region(subject, region, base, frozenset(), first_line(slot.statement))
    return notes


def _common_suite(subject: Subject, name: str, tracked: set[str]) -> tuple[Slot, Region]:
    """The innermost suite that holds the acquisition and all uses. Raises Refused."""
    slot = subject.slots[subject.statement]
    while True:
        after = region_after(subject, name, slot.suite, slot.index, tracked)
        region = Region(slot.suite, slot.index, max(after.last, slot.index), after.closes_itself, after.until)
        if not used_outside(subject, region, {name} if after.closes_itself else tracked):
            return slot, region
        owner = slot.owner
        if isinstance(owner, ast.For | ast.AsyncFor | ast.While):
            raise Refused("it is acquired in a loop and still needed after it")
        while not isinstance(owner, ast.stmt):
            owner = subject.parents[owner]
        if owner is subject.node:
            raise Refused("its uses are spread too widely")
        slot = subject.slots[owner]
        if subject.layout.source.line_text(first_line(owner)).lstrip().startswith("elif"):
            continue


def _only_set_before(subject: Subject, name: str, region: Region) -> None:
    inside = [n for n in subject.own(region.statements) if isinstance(n, ast.Name) and n.id == name]
    start = first_line(subject.statement)
    for node in inside:
        if isinstance(node.ctx, ast.Store) and node.lineno > last_line(subject.statement):
            sibling = any(subject.layout.source.line_of(span.start) == node.lineno for span in subject.siblings)
            if not sibling or not exclusive(subject, node, subject.statement):
                raise Refused(f"{name!r} gets another value at line {node.lineno}")
        if isinstance(node.ctx, ast.Del) and node.lineno > start:
            raise Refused(f"{name!r} is deleted at line {node.lineno}")


def _releases(subject: Subject, name: str, region: Region) -> list[ast.stmt]:
    own = [statement for statement in region.statements if subject.is_release(statement, name)]
    return own + [found for statement in region.statements for found in subject.release_statements(statement, name)]


def _stack(subject: Subject, kind: str) -> str:
    if subject.module.is_older_python:
        raise Refused(f"it needs an exit stack, and the file is written for Python 2, which has no {kind}")
    return imported(subject.module, subject.layout, "contextlib", kind)


def _entered(subject: Subject, form: Form, name: str, stack: str) -> str:
    """Register the acquisition with the stack; returns the head of the stack's own ``with``."""
    layout = subject.layout
    span = layout.span(subject.acquisition)
    if form.keyword == "with":
        spelled = with_imports(subject, form)
        layout.replace(span, f"{stack}.enter_context({spelled.entering(layout.source.text(span))})")
        return f"with {_stack(subject, 'ExitStack')}()"
    if form.keyword:
        kept = layout.source.text(entered_span(subject, form))
        entered = f"await {stack}.enter_async_context({kept})"
        parent = subject.parents[subject.acquisition]
        layout.replace(span, f"({entered})" if isinstance(parent, ast.BoolOp | ast.IfExp) else entered)
        return f"async with {_stack(subject, 'AsyncExitStack')}()"
    if subject.name is None:
        raise Refused("it is acquired only under a condition, inside an expression")
    callback = release_code(subject, name).removeprefix("await ")
    function, _, argument = callback.rpartition("(")
    arguments = ", ".join(part for part in (function, argument.rstrip(")")) if part)
    base = layout.indent_of(first_line(subject.statement))
    push = "push_async_callback" if subject.resource.asynchronous else "callback"
    layout.add_after(last_line(subject.statement), f"{base}{subject.unit}{stack}.{push}({arguments})")
    kind = "AsyncExitStack" if subject.resource.asynchronous else "ExitStack"
    keyword = "async with" if subject.resource.asynchronous else "with"
    return f"{keyword} {_stack(subject, kind)}()"
