"""One of several things that a function of the project returns at once, released by the variable it is unpacked to."""

from __future__ import annotations

import ast

from leakfix.languages.python.modules import FunctionInfo, Module, own_nodes
from leakfix.languages.python.names import Place
from leakfix.repairs.python.layout import first_line, last_line
from leakfix.repairs.python.scope import check, enclose_finally, region_after, tracked_names, used_outside
from leakfix.repairs.python.subject import Refused, Subject


def release_part(subject: Subject) -> list[str]:
    """``connection, cursor = opened()``: a ``finally`` for the one that holds, which the others may need."""
    names, at = _unpacked(subject), _position(subject)
    word = ast.unparse(subject.call.func).rpartition(".")[2]
    if at is None or at >= len(names):
        raise Refused(f"{word}() returns it together with other things: which of them to release is not known")
    name = names[at]
    others = [other for other in names if other != name]
    needs = subject.needs(name, others)
    tracked = tracked_names(subject, name, needs)
    statement = subject.statement
    slot = subject.slots[statement]
    region = region_after(subject, name, slot.suite, slot.index, tracked)
    outside = used_outside(subject, region, {name} if region.closes_itself else tracked)
    if outside or region.first > region.last:
        raise Refused(f"what {word}() returned is still needed outside the block it is unpacked in")
    notes = check(subject, name, region, needs)
    enclose_finally(subject, name, region, last_line(statement), subject.layout.indent_of(first_line(statement)))
    return [*notes, f"that what else {word}() returned ({', '.join(others)}) needs no release of its own"]


def _unpacked(subject: Subject) -> list[str]:
    """The variables that a statement unpacks the acquisition to."""
    match subject.statement:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value) if value is subject.acquisition:
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            return names if len({*names}) == len(targets) else []
    return []


def _position(subject: Subject) -> int | None:
    """The place of the resource in the tuples that the called function returns; None where that is not one place."""
    found: set[int | None] = set()
    for symbol in subject.names.of(subject.call.func, Place(subject.module, subject.function)):
        factory = subject.names.function(symbol)
        if factory is None:
            return None
        acquired = _acquired(subject, *factory)
        for node in own_nodes(factory[1].node):
            if isinstance(node, ast.Return):
                parts = node.value.elts if isinstance(node.value, ast.Tuple) else []
                places = [at for at, part in enumerate(parts) if isinstance(part, ast.Name) and part.id in acquired]
                found.add(places[0] if len(places) == 1 else None)
    return found.pop() if len(found) == 1 else None


def _acquired(subject: Subject, module: Module, info: FunctionInfo) -> set[str]:
    """The variables of a function that get nothing but a resource of this kind."""
    found: set[str] = set()
    others: set[str] = set()
    for node in own_nodes(info.node):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                call = value.value if isinstance(value, ast.Await) else value
                names = subject.names.of(call.func, Place(module, info)) if isinstance(call, ast.Call) else ()
                (found if subject.table.acquired_by(names, None) is subject.resource else others).add(name)
    return found - others
