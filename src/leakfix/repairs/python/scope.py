"""The region a resource is needed in, and the scope put round it."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from leakfix.repairs.python.carried import carried
from leakfix.repairs.python.forms import Form, entered_span, release_code, with_imports
from leakfix.repairs.python.hazards import check_region
from leakfix.repairs.python.lasting import Needs
from leakfix.repairs.python.layout import first_line, last_line, takes_finally
from leakfix.repairs.python.releases import remove_releases, require_no_other
from leakfix.repairs.python.subject import Refused, SharedLines, Subject, Suite, Wrong
from leakfix.repairs.python.unnamed import check_unnamed
from leakfix.source import Span


@dataclass(frozen=True)
class Region:
    """Statements ``suite[first:last + 1]`` that need the resource; ``first > last`` where none does."""

    suite: Suite
    first: int
    last: int
    closes_itself: bool
    """It ends with the release itself, so what was made from the resource may be used after it."""
    until: int | None = None
    """The line from which on the names stand for something else."""

    @property
    def statements(self) -> Suite:
        """The statements themselves."""
        return self.suite[self.first : self.last + 1]


def tracked_names(subject: Subject, name: str | None, needs: Needs) -> set[str]:
    """Names whose use needs the resource to be open."""
    return set(needs.derived()) | ({name} if name else set())


def region_after(subject: Subject, name: str | None, suite: Suite, index: int, tracked: set[str]) -> Region:
    """The statements after ``suite[index]`` up to the last that needs the resource, or to where it is released."""
    end = _rebound_at(subject, name, suite, index, tracked)
    until = first_line(suite[end]) if end < len(suite) else None
    using = [i for i in range(index + 1, end) if subject.mentions(suite[i], tracked)]
    if name is not None:
        named = [i for i in using if subject.mentions(suite[i], {name})]
        for i in named:
            if _releases_always(subject, suite[i], name) and i == named[-1]:
                return Region(suite, index + 1, _with_inner(subject, suite, index, i), True, until)
    return Region(suite, index + 1, using[-1] if using else index, False, until)


def _with_inner(subject: Subject, suite: Suite, index: int, last: int) -> int:
    """The index up to which others that were acquired after this one are released after it: they go before it then."""
    later = {
        statement.targets[0].id
        for statement in suite[index + 1 : last]
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
        if subject.layout.span(statement.value.value if isinstance(statement.value, ast.Await) else statement.value)
        in subject.siblings
    }
    while last + 1 < len(suite) and any(subject.is_release(suite[last + 1], name) for name in later):
        last += 1
    return last


def _rebound_at(subject: Subject, name: str | None, suite: Suite, index: int, tracked: set[str]) -> int:
    """The index from which on the name, and all that was made from it, stand for something else."""
    for at in range(index + 1, len(suite)):
        if name is not None and _binds_anew(suite[at], name):
            rest = [node for statement in suite[at:] for node in ast.walk(statement) if isinstance(node, ast.Name)]
            others = {node.id for node in rest} & (tracked - {name})
            if all(_stored_first(rest, other) for other in others):
                return at
            break
    return len(suite)


def _binds_anew(statement: ast.stmt, name: str) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Name(id=found)], value=value):
            made = [value]
        case ast.With(items=items) | ast.AsyncWith(items=items):
            found = next((i.optional_vars.id for i in items if isinstance(i.optional_vars, ast.Name)), "")
            made = [item.context_expr for item in items]
        case _:
            return False
    return found == name and not any(isinstance(n, ast.Name) and n.id == name for m in made for n in ast.walk(m))


def _stored_first(nodes: list[ast.Name], name: str) -> bool:
    """Whether the first line that has a name only stores it."""
    mine = [node for node in nodes if node.id == name]
    line = min(node.lineno for node in mine)
    return all(isinstance(node.ctx, ast.Store) for node in mine if node.lineno == line)


def _releases_always(subject: Subject, statement: ast.stmt, name: str) -> bool:
    if isinstance(statement, ast.Expr):
        return subject.is_release(statement, name)
    if isinstance(statement, ast.Try):
        return any(isinstance(i, ast.Expr) and subject.is_release(i, name) for i in statement.finalbody)
    return False


def used_outside(subject: Subject, region: Region, names: set[str]) -> list[ast.Name]:
    """Uses of the names that may run after the acquisition but stand outside the region."""
    inside = {id(node) for statement in region.statements for node in ast.walk(statement)}
    statement = subject.statement
    own = {id(node) for node in ast.walk(statement)}
    after = last_line(statement)
    loops = [item for item, _ in _ancestors(subject, statement) if isinstance(item, ast.For | ast.AsyncFor | ast.While)]
    again = {id(node) for loop in loops for node in ast.walk(loop)}
    return [
        node
        for node in subject.parents
        if isinstance(node, ast.Name)
        and node.id in names
        and id(node) not in inside | own
        and not (region.until is not None and node.lineno >= region.until)
        and (node.lineno > after or (isinstance(node.ctx, ast.Load) and id(node) in again))
        and not exclusive(subject, node, statement)
    ]


def exclusive(subject: Subject, node: ast.AST, other: ast.AST) -> bool:
    """Whether two nodes stand in different arms of one ``if`` or ``match``."""
    chain = {id(item): child for item, child in _ancestors(subject, other)}
    for item, child in _ancestors(subject, node):
        if id(item) in chain:
            first = chain[id(item)]
            if isinstance(item, ast.If):
                arms = [next((arm for arm in (item.body, item.orelse) if part in arm), None) for part in (child, first)]
                return None not in arms and arms[0] is not arms[1]
            return isinstance(item, ast.Match) and child is not first
    return False


def _ancestors(subject: Subject, node: ast.AST) -> list[tuple[ast.AST, ast.AST]]:
    found = []
    while node in subject.parents:
        found.append((subject.parents[node], node))
        node = subject.parents[node]
    return found


def _whole_lines(subject: Subject, region: Region) -> None:
    """A scope takes whole lines: its first and last statement must not share theirs with what stays outside."""
    edges = [subject.statement]
    if region.first <= region.last:
        following = region.suite[region.last + 1 : region.last + 2]
        if following and first_line(following[0]) <= last_line(region.suite[region.last]):
            edges.append(following[0])
    for statement in edges:
        if not subject.layout.stands_alone(statement):
            raise SharedLines


def _lets_go(subject: Subject, node: ast.Name) -> bool:
    """``name = None`` and ``del name``: the scope still has the resource."""
    statement = subject.parents[node]
    if isinstance(node.ctx, ast.Del):
        return True
    return (
        isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and statement.value.value is None
    )


def check(
    subject: Subject,
    name: str | None,
    region: Region,
    needs: Needs,
    form: Form | None = None,
    rebound: bool = False,
) -> list[str]:
    """Whether a scope over the region is right. Returns notes for a reviewer; raises Refused.

    rebound: the name may get other values in the region.
    """
    _whole_lines(subject, region)
    tracked = tracked_names(subject, name, needs)
    for loop, _ in _ancestors(subject, region.suite[min(region.first, region.last)]):
        if isinstance(loop, ast.For | ast.AsyncFor | ast.While) and (left := carried(loop, tracked)):
            raise Wrong(f"{min(left)!r} may still be needed in the next round of the loop at line {loop.lineno}")
    notes = check_region(subject, name, region.statements, needs)
    require_no_other(subject, name, region.statements, needs)
    notes += check_unnamed(subject, region.statements, region.closes_itself)
    if name is not None and not rebound:
        for node in subject.own(region.statements):
            if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
                if form is not None and form.keyword and _lets_go(subject, node):
                    continue
                raise Refused(f"{name!r} gets another value at line {node.lineno}, inside the part that needs it")
    return notes


def enclose(subject: Subject, form: Form, name: str, region: Region) -> None:
    """Put the assignment of ``name`` and the region after it into a scope."""
    statement = subject.statement
    base = subject.layout.indent_of(first_line(statement))
    if region.first > region.last:
        subject.layout.add_after(last_line(statement), base + release_code(subject, name, names_pool=True))
    elif form.keyword:
        steady = remove_releases(subject, name, region.suite, region.first, region.last)
        _head(subject, with_imports(subject, form), name)
        if not _anything_left(subject, name, region):
            subject.layout.add_after(last_line(statement), base + subject.unit + "pass")
        indent_region(subject, region, base, steady, last_line(statement) + 1)
    else:
        enclose_finally(subject, name, region, last_line(statement), base, names_pool=True)


def enclose_finally(
    subject: Subject, name: str, region: Region, after: int, base: str, names_pool: bool = False
) -> None:
    """``try:`` behind a line, the region in it, and ``finally:`` with the release.

    A region that is a ``try`` itself gets the clause, and stays where it is.
    """
    layout, release = subject.layout, release_code(subject, name, names_pool)
    end = layout.end_of(region.suite[region.last])
    if takes_finally(region.statements):
        remove_releases(subject, name, region.suite, region.first, region.last, indents=False)
        layout.add_after(end, base + "finally:", base + subject.unit + release)
        return
    steady = remove_releases(subject, name, region.suite, region.first, region.last)
    layout.add_after(
        after,
        base + "try:",
        *([] if _anything_left(subject, name, region) else [base + subject.unit + "pass"]),
    )
    indent_region(subject, region, base, steady, after + 1)
    layout.add_after(end, base + "finally:", base + subject.unit + release)


def _anything_left(subject: Subject, name: str, region: Region) -> bool:
    return any(not subject.layout.deletes(first_line(item)) for item in region.statements)


def indent_region(subject: Subject, region: Region, base: str, steady: frozenset[int], start: int) -> None:
    """Indent a region, from the line behind its head."""
    end = subject.layout.end_of(region.suite[region.last])
    subject.layout.trim(start, end)
    for line in range(start, end + 1):
        if line not in steady:
            subject.layout.indent(line, line, subject.unit, base)


def _head(subject: Subject, form: Form, name: str) -> None:
    """``name = ACQUIRE`` becomes ``with ACQUIRE as name:``."""
    layout, statement = subject.layout, subject.statement
    whole, kept = layout.span(statement), entered_span(subject, form)
    value = getattr(statement, "value", None)
    assert isinstance(value, ast.expr)
    named = statement.annotation if isinstance(statement, ast.AnnAssign) else statement.targets[0]  # type: ignore[attr-defined]
    data, start = layout.source.data, layout.span(value).start
    gap_start = layout.span(named).end
    if data[gap_start:start].strip() != b"=":  # the value stands in parentheses, perhaps with comments
        start = data.index(b"=", gap_start) + 1
        while data[start : start + 1] in (b" ", b"\t"):
            start += 1
        layout.replace(Span(whole.start, start), f"{form.keyword} {form.wrapper}")
        if form.drops_await:
            layout.replace(Span(layout.span(value).start, kept.start), "")
        layout.insert(whole.end, f" as {name}:")
        return
    prefix = f"{form.keyword} {form.wrapper}(" if form.wrapper else f"{form.keyword} "
    layout.replace(Span(whole.start, kept.start), prefix)
    layout.insert(whole.end, f"{')' if form.wrapper else ''} as {name}:")
