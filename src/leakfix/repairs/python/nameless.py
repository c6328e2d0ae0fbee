"""Acquisitions without a name of their own: inside an expression, or as the subject of a ``with``."""

from __future__ import annotations

import ast

from leakfix.languages.python.names import Place
from leakfix.repairs.python.forms import entered_span, form_of, release_code, with_imports
from leakfix.repairs.python.layout import first_line, last_line
from leakfix.repairs.python.scope import (
    Region,
    check,
    enclose_finally,
    indent_region,
    region_after,
    tracked_names,
    used_outside,
)
from leakfix.repairs.python.subject import Refused, SharedLines, Subject
from leakfix.source import Span


def enclose_nameless(subject: Subject) -> list[str]:
    """Give the acquisition a name in a scope over its statement and what lives on from it."""
    statement, layout = subject.statement, subject.layout
    _require_made_here(subject)
    form = form_of(subject)
    _evaluated_first(subject)
    if isinstance(statement, ast.Expr) and statement.value is subject.acquisition:
        return _discarded(subject)
    needs = subject.needs(None)
    tracked = tracked_names(subject, None, needs)
    slot = subject.slots[statement]
    after = region_after(subject, None, slot.suite, slot.index, tracked)
    region = Region(slot.suite, slot.index, max(after.last, slot.index), False, after.until)
    outside = used_outside(subject, region, tracked)
    if outside:
        raise Refused(f"what comes of it is still needed at line {outside[0].lineno}, outside its block")
    notes = check(subject, None, region, needs)
    name = subject.new_name(subject.resource.variable)
    base = layout.indent_of(first_line(statement))
    head = _use_name(subject, name)
    kept = layout.source.text(entered_span(subject, form)) if form.keyword else layout.source.text(head)
    if "\n" in kept and layout.string_lines:
        raise Refused("the acquisition spans lines of a string")
    if form.keyword:
        spelled = with_imports(subject, form)
        layout.add_before(first_line(statement), f"{base}{spelled.keyword} {spelled.entering(kept)} as {name}:")
        indent_region(subject, region, base, frozenset(), first_line(statement))
    else:
        release_code(subject, name)
        layout.add_before(first_line(statement), f"{base}{name} = {kept}")
        enclose_finally(subject, name, region, first_line(statement) - 1, base)
    return notes


def _require_made_here(subject: Subject) -> None:
    """Raise Refused where something else awaits the acquisition, or another one stands in the same statement."""
    parent = subject.parents.get(subject.acquisition)
    handed_on = isinstance(parent, ast.Starred | ast.List | ast.Tuple | ast.keyword | ast.Call | ast.comprehension)
    if handed_on and subject.acquisition is subject.call and _is_awaited_first(subject):
        raise Refused(f"it is handed on at line {subject.call.lineno}, and has to be awaited there")
    packed = isinstance(parent, ast.List | ast.Tuple | ast.Set | ast.Dict)
    if packed and isinstance(subject.statement, ast.Assign) and not subject.resource.repeatable:
        if not isinstance(subject.statement.targets[0], ast.Tuple | ast.List):
            raise Refused("it is put together with others, may be released from there, and twice is an error")
    match subject.statement:
        case ast.Assign(targets=[ast.Tuple() | ast.List()], value=ast.Tuple(elts=values) | ast.List(elts=values)):
            spans = [subject.layout.span(value) for value in values]
            if any(span.start <= one.start and one.end <= span.end for one in subject.siblings for span in spans):
                raise SharedLines("another is acquired in the same statement: give each a line of its own")


def _is_awaited_first(subject: Subject) -> bool:
    """Whether an acquiring call gives a coroutine or the like: what makes an object of a class does not."""
    if not (subject.resource.asynchronous or subject.resource.awaitable):
        return False
    names = subject.names.of(subject.call.func, Place(subject.module, subject.function))
    made = any(name.endswith("()") or name.rpartition(".")[2][:1].isupper() for name in names)
    return not made and (subject.calls_a_coroutine or not any(name.startswith("@") for name in names))


def _use_name(subject: Subject, name: str) -> Span:
    """Put the name where the acquisition stands, parentheses round an ``await`` included."""
    layout = subject.layout
    span = layout.span(subject.acquisition)
    data = layout.source.data
    wrapped = isinstance(subject.acquisition, ast.Await) and data[span.start - 1 : span.start] == b"("
    if wrapped and data[span.end : span.end + 1] == b")" and data[span.end + 1 : span.end + 2] in (b".", b"["):
        layout.replace(Span(span.start - 1, span.end + 1), name)
        return span
    layout.replace(span, name)
    return span


def _evaluated_first(subject: Subject) -> None:
    """Moving the acquisition before its statement must not change the order of calls. Raises Refused."""
    node: ast.AST = subject.acquisition
    while node is not subject.statement:
        parent = subject.parents[node]
        if _is_conditional(parent, node):
            raise Refused("it is acquired only under a condition, inside an expression")
        node = parent
    statement = subject.statement
    if isinstance(statement, ast.While | ast.Assert):
        raise Refused("it is acquired in the test of a loop")
    text = subject.layout.source.line_text(first_line(statement)).lstrip()
    if isinstance(statement, ast.If) and text.startswith("elif"):
        raise Refused("it is acquired in the test of an `elif`")
    start = subject.layout.span(subject.acquisition).start
    containing = {id(item) for item in _chain(subject)}
    for item in ast.walk(statement):
        if isinstance(item, ast.Call | ast.Await | ast.Yield) and id(item) not in containing:
            if subject.layout.span(item).end <= start:
                raise Refused(f"something else is called before it in the same statement, at line {item.lineno}")


def _is_conditional(parent: ast.AST, node: ast.AST) -> bool:
    """Whether a part of an expression is evaluated only sometimes, later, or more than once."""
    match parent:
        case ast.Lambda():
            return True
        case ast.BoolOp(values=values):
            return values[0] is not node
        case ast.IfExp(test=test):
            return test is not node
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return parent.generators[0] is not node
        case ast.comprehension():  # the first iterable is evaluated once and at once
            return parent.iter is not node
    return False


def _chain(subject: Subject) -> list[ast.AST]:
    found: list[ast.AST] = [subject.acquisition]
    while found[-1] is not subject.statement:
        found.append(subject.parents[found[-1]])
    return found


def _discarded(subject: Subject) -> list[str]:
    """An acquisition nobody uses: it may serve as a probe, so it stays, and is released at once."""
    statement, layout = subject.statement, subject.layout
    if not layout.stands_alone(statement):
        raise SharedLines
    name = subject.new_name(subject.resource.variable)
    base = layout.indent_of(first_line(statement))
    layout.insert(layout.span(statement).start, f"{name} = ")
    layout.add_after(last_line(statement), base + release_code(subject, name))
    return []


def enclose_transaction(subject: Subject) -> list[str]:
    """``with connect() as c:`` where that only ends the transaction: close it too, and keep the transaction."""
    statement, layout = subject.statement, subject.layout
    assert isinstance(statement, ast.With | ast.AsyncWith)
    if isinstance(statement, ast.AsyncWith):
        raise Refused("its `async with` does not release it")
    item = next(item for item in statement.items if item.context_expr is subject.acquisition)
    form = form_of(subject)
    given_back = not form.keyword and subject.resource.with_ == "transaction" and statement.items[0] is item
    if not given_back and (form.keyword != "with" or not form.wrapper):
        raise Refused("its `with` does not release it")
    match item.optional_vars:
        case ast.Name(id=name):
            pass
        case None:
            name = subject.new_name(subject.resource.variable)
        case _:
            raise Refused("its `with` binds no plain name")
    needs = subject.needs(name)
    tracked = tracked_names(subject, name, needs)
    slot = subject.slots[statement]
    region = region_after(subject, name, slot.suite, slot.index, tracked)
    whole = Region(slot.suite, slot.index, max(region.last, slot.index), False, region.until)
    if used_outside(subject, whole, tracked):
        raise Refused("it is still needed outside the block it is acquired in")
    notes = check(subject, name if given_back else None, whole, needs, rebound=True)
    acquired = layout.text(subject.acquisition)
    end = layout.span(item.optional_vars).end if item.optional_vars else layout.span(item.context_expr).end
    span = Span(layout.span(item.context_expr).start, end)
    base = layout.indent_of(first_line(statement))
    if given_back and "\n" in acquired:
        raise Refused("it is acquired over several lines of its `with`")
    if given_back:
        layout.replace(span, name)
        layout.add_before(first_line(statement), f"{base}{name} = {acquired}")
        enclose_finally(subject, name, whole, first_line(statement) - 1, base)
        return notes
    spelled = with_imports(subject, form)
    if region.last <= slot.index:
        layout.replace(span, f"{spelled.entering(acquired)} as {name}, {name}")
        return notes
    if statement.items[0] is not item:
        raise Refused("it is still needed after the `with` it shares with others")
    layout.replace(span, name)
    layout.add_before(first_line(statement), f"{base}with {spelled.entering(acquired)} as {name}:")
    indent_region(subject, whole, base, frozenset(), first_line(statement))
    return notes
