"""What could go wrong if the resource is released at the end of a region: reasons to refuse or to ask for review."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from leakfix.repairs.python.lasting import Need, Needs
from leakfix.repairs.python.subject import Refused, Subject

_KEYED = frozenset("sorted max min map filter sort groupby reduce key".split())


def check_region(subject: Subject, name: str | None, region: list[ast.stmt], needs: Needs) -> list[str]:
    """What a reviewer should check; empty where the repair is safe. Raises Refused where it cannot be right."""
    notes: list[str] = []
    for node in subject.own(region):
        match node:
            case ast.Return(value=ast.expr() as value):
                notes += _leaving(subject, name, node, needs.of(value), region, "returned")
            case ast.Assign(targets=targets, value=value):
                notes += _stored(subject, targets, needs.of(value))
            case ast.Call():
                notes += _handed(subject, node, needs)
            case ast.Global(names=names) | ast.Nonlocal(names=names) if name in names:
                raise Refused(f"{name!r} is shared with code outside the function")
    return list(dict.fromkeys(notes))


def _leaving(
    subject: Subject, name: str | None, node: ast.Return, need: Need, region: list[ast.stmt], how: str
) -> Iterator[str]:
    noun = subject.resource.noun
    if need is Need.RESOURCE:
        raise Refused(f"the {noun} itself is {how} at line {node.lineno}: its caller has to release it")
    if need is Need.VIEW:
        raise Refused(f"something that still needs the {noun} is {how} at line {node.lineno}")
    if need is not Need.PERHAPS or (name and _released_before(subject, node, name)):
        return
    if subject.resource.objects and name and _ended_before(subject, node, name, region):
        raise Refused(
            f"objects {how} at line {node.lineno} have expired by then: once the {noun} is closed "
            f"their attributes cannot be read; refresh them or return plain values first"
        )
    if subject.resource.objects:
        yield f"what is {how} at line {node.lineno} outlives the {noun}: no lazy attribute of it may be read later"
    else:
        yield f"what is {how} at line {node.lineno} must not need the {noun} any more"


def _released_before(subject: Subject, node: ast.stmt, name: str) -> bool:
    """Whether the statement always comes after a release that stands before it in a suite round it."""
    at: ast.AST = node
    while at in subject.parents:
        slot = subject.slots.get(at) if isinstance(at, ast.stmt) else None
        if slot is not None:
            for earlier in slot.suite[: slot.index]:
                if subject.is_release(earlier, name):
                    return True
        at = subject.parents[at]
    return False


def _ended_before(subject: Subject, node: ast.stmt, name: str, region: list[ast.stmt]) -> bool:
    """Whether live objects may be stale at a statement: the transaction ended, and nothing read them again."""
    ended = -1
    for item in subject.own(region):
        match item:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=found), attr=method)) if item.lineno < node.lineno:
                if found == name and method in subject.resource.enders:
                    ended = max(ended, item.lineno)
    refreshed = any(
        isinstance(item, ast.Call)
        and isinstance(item.func, ast.Attribute)
        and item.func.attr in ("refresh", "expunge", "expunge_all", "make_transient")
        and ended < item.lineno <= node.lineno
        for item in subject.own(region)
    )
    return ended >= 0 and not refreshed


def _stored(subject: Subject, targets: list[ast.expr], need: Need) -> Iterator[str]:
    outside = [t for t in targets if isinstance(t, ast.Attribute | ast.Subscript) and not _is_local(subject, t)]
    if not outside or need is Need.NOTHING:
        return
    line = outside[0].lineno
    if need >= Need.VIEW:
        raise Refused(f"something that still needs the {subject.resource.noun} is stored at line {line}")
    yield f"what is stored at line {line} outlives the {subject.resource.noun}"


def _handed(subject: Subject, node: ast.Call, needs: Needs) -> Iterator[str]:
    word = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    noun = subject.resource.noun
    for argument in arguments:
        if isinstance(argument, ast.Lambda) and word not in _KEYED and needs.of(argument) >= Need.VIEW:
            yield f"the lambda at line {argument.lineno} uses the {noun}: it must not run later"
    if isinstance(node.func, ast.Attribute) and word in ("append", "add", "extend", "insert", "put"):
        owner = node.func.value
        if needs.of(owner) is Need.NOTHING or isinstance(owner, ast.Attribute):
            need = max((needs.of(argument) for argument in arguments), default=Need.NOTHING)
            if need is not Need.NOTHING and need < Need.RESOURCE and not _is_local(subject, owner):
                yield f"what is collected at line {node.lineno} outlives the {noun}"


def _is_local(subject: Subject, node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if not isinstance(node, ast.Name):
        return False
    arguments = subject.node.args
    parameters = {a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
    stored = {n.id for n in subject.own(subject.node.body) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return node.id in stored - parameters
