"""Planning a repair: the strategies in their order, the first that is provably right."""

from __future__ import annotations

import ast
from collections.abc import Callable

from leakfix.finding import Fix, Refusal, Safety
from leakfix.repairs.python.branches import enclose_after_branches, enclose_with_stack
from leakfix.repairs.python.forms import Form, form_of
from leakfix.repairs.python.handlers import release_in_finally
from leakfix.repairs.python.nameless import enclose_nameless, enclose_transaction
from leakfix.repairs.python.packed import release_part
from leakfix.repairs.python.scope import check, enclose, region_after, tracked_names, used_outside
from leakfix.repairs.python.subject import Refused, SharedLines, Subject, Wrong
from leakfix.repairs.python.successive import release_the_last


def repair(make_subject: Callable[[], Subject], kept_elsewhere: bool) -> Fix | Refusal:
    """Repair one leak, or say why not."""
    subject = make_subject()
    if subject.resource.fix == "none":
        return Refusal(f"repairing a leaked {subject.resource.noun} needs a person's decision")
    if kept_elsewhere:
        return Refusal(
            f"on another path the {subject.resource.noun} is handed on: who releases it is for you to decide"
        )
    first: Refused | None = None
    for strategy in _strategies(subject):
        attempt = make_subject()
        try:
            notes = strategy(attempt)
        except Wrong as wrong:
            return Refusal(str(wrong))
        except Refused as refused:
            first = first or refused
            continue
        return _fix(attempt, notes, strategy)
    return Refusal(str(first) if first else "no repair is known for this shape", isinstance(first, SharedLines))


def _fix(subject: Subject, notes: list[str], strategy: Callable[[Subject], list[str]]) -> Fix:
    review = notes or subject.resource.fix == "review"
    check_text = "; ".join([*notes, *([subject.resource.check] if subject.resource.check else [])])
    return Fix(
        title=_TITLES[strategy].format(noun=subject.resource.noun),
        safety=Safety.REVIEW if review else Safety.SAFE,
        edits=tuple(subject.layout.edits),
        check=check_text,
    )


def _strategies(subject: Subject) -> list[Callable[[Subject], list[str]]]:
    statement = subject.statement
    if subject.packed:
        return [release_part]
    if isinstance(statement, ast.With | ast.AsyncWith):
        if any(item.context_expr is subject.acquisition for item in statement.items):
            return [enclose_transaction]
        return [enclose_nameless]
    if subject.name is not None:
        return [enclose_named, release_the_last, release_in_finally, enclose_after_branches, enclose_with_stack]
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.BoolOp | ast.IfExp):
        return [enclose_with_stack]
    return [enclose_nameless]


def enclose_named(subject: Subject) -> list[str]:
    """``name = acquire()`` and all uses in one suite: a scope from there to the last use."""
    name = subject.name
    assert name is not None
    form: Form = form_of(subject)
    needs = subject.needs(name)
    tracked = tracked_names(subject, name, needs)
    slot = subject.slots[subject.statement]
    region = region_after(subject, name, slot.suite, slot.index, tracked)
    outside = used_outside(subject, region, {name} if region.closes_itself else tracked)
    if outside:
        raise Refused(f"it is still needed at line {outside[0].lineno}, outside the block it is acquired in")
    notes = check(subject, name, region, needs, form)
    enclose(subject, form, name, region)
    if subject.is_scope and subject.never_released and subject.resource.objects:
        notes.append(f"what callers got from it inside the block must not need the {subject.resource.noun} after it")
    return notes


_TITLES: dict[Callable[[Subject], list[str]], str] = {
    enclose_named: "hold the {noun} in a scope that releases it",
    release_part: "release the {noun} in a finally",
    release_in_finally: "release the {noun} in the finally of its try",
    release_the_last: "release the {noun} in a finally, whichever it is by then",
    enclose_after_branches: "hold the {noun} in a scope that releases it",
    enclose_with_stack: "release what was opened here with an exit stack",
    enclose_nameless: "name the {noun} and hold it in a scope that releases it",
    enclose_transaction: "release the {noun}; its own `with` only ends the transaction",
}
