"""What a call may run that names nothing: ``HANDLERS[kind](message)``, ``getattr(handlers, f"on_{kind}")(message)``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from leakfix.languages.python.modules import FunctionInfo, Import, Module, Value, own_nodes
from leakfix.languages.python.names import Names, Place


def looked_up(names: Names, place: Place, call: ast.Call) -> Iterator[Place]:
    """The project's functions that what is called may be, where it was looked up in a dict, a module or an object."""
    sources: list[ast.expr] = [call.func]
    if isinstance(call.func, ast.Name) and place.function is not None:
        for node in own_nodes(place.function.node):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == call.func.id:
                    sources.append(value)
    for source in sources:
        match source:
            case ast.Call(func=ast.Name(id="getattr"), args=[holder, wanted, *_]):
                yield from _named(names, place, holder, _beginning(wanted))
            case ast.Subscript(value=table) | ast.Call(func=ast.Attribute(value=table, attr="get")):
                yield from _entries(names, place, table)


def _beginning(wanted: ast.expr) -> str:
    """What a name that is put together begins with."""
    match wanted:
        case ast.Constant(value=str() as text) | ast.BinOp(left=ast.Constant(value=str() as text)):
            return text
        case ast.JoinedStr(values=[ast.Constant(value=str() as text), *_]):
            return text
    return ""


def _named(names: Names, place: Place, holder: ast.expr, beginning: str) -> Iterator[Place]:
    """The functions of a module, or the methods of an object's class, whose names begin in some way."""
    if isinstance(holder, ast.Name) and holder.id == "self" and place.function is not None and place.function.owner:
        methods = place.function.owner.methods
        yield from (Place(place.module, method) for name, method in methods.items() if name.startswith(beginning))
    for symbol in names.of(holder, place):
        module = names.modules.load(symbol[1:-1]) if symbol.startswith("@") and symbol.endswith(":") else None
        for function in module.functions.values() if module is not None else ():
            if function.owner is None and function.parent is None and function.node.name.startswith(beginning):
                yield Place(module, function)  # type: ignore[arg-type]


def _entries(names: Names, place: Place, table: ast.expr) -> Iterator[Place]:
    """The functions that stand in a dict of a module, or of the class."""
    for module, display in _displays(names, place, table):
        for value in display.values:
            for symbol in names.of(value, Place(module, None)):
                found = names.function(symbol)
                if found is not None:
                    yield Place(*found)


def _displays(names: Names, place: Place, table: ast.expr) -> Iterator[tuple[Module, ast.Dict]]:
    match table:
        case ast.Name(id=name):
            yield from _bound(names, place.module, name)
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if _owner(place) is not None:
            owner = _owner(place)
            bindings = owner.owner.attributes.get(name, ()) if owner is not None and owner.owner is not None else ()
            for binding, _ in bindings:
                if isinstance(binding, Value) and isinstance(binding.expression, ast.Dict):
                    yield place.module, binding.expression
        case ast.Attribute(value=holder, attr=name):
            for symbol in names.of(holder, place):
                module = names.modules.load(symbol[1:-1]) if symbol.startswith("@") and symbol.endswith(":") else None
                if module is not None:
                    yield from _bound(names, module, name)


def _owner(place: Place) -> FunctionInfo | None:
    return place.function if place.function is not None and place.function.owner is not None else None


def _bound(names: Names, module: Module, name: str, depth: int = 2) -> Iterator[tuple[Module, ast.Dict]]:
    """The dict that a name of a module is bound to, there or where it comes from."""
    for binding in module.names.get(name, ()):
        if isinstance(binding, Value) and isinstance(binding.expression, ast.Dict):
            yield module, binding.expression
        elif isinstance(binding, Import) and binding.attribute is not None and depth:
            path = names.modules.find(module.path, Import(binding.module, None, binding.level))
            other = names.modules.load(path) if path is not None else None
            if other is not None:
                yield from _bound(names, other, binding.attribute, depth - 1)
