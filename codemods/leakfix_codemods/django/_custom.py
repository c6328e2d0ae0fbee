"""Methods of a project's own managers and querysets: what ``Invoice.objects.unpaid()`` asks for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from leakfix.codemod import View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo, Module, Value
from leakfix.languages.python.names import Place
from leakfix_codemods.django._querysets import MANAGERS, REFINING

_DEEPEST = 3


def spelled_out(view: View, function: FunctionInfo, chain: ast.expr) -> ast.expr | None:
    """A chain with what its own methods return in their place; None where it has none, or one is not understood."""
    manager = chain
    methods: list[ast.Call] = []
    while isinstance(manager, ast.Call) and isinstance(manager.func, ast.Attribute):
        methods.append(manager)
        manager = manager.func.value
    if not isinstance(manager, ast.Attribute) or manager.attr not in MANAGERS:
        return None
    owners = list(_owners(view, function, manager))
    if not owners or all(_word(call) in REFINING for call in methods):
        return None
    return _built(view, owners, manager, list(reversed(methods)), 0)


def _word(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _built(
    view: View, owners: list[tuple[Module, ClassInfo]], begun: ast.expr, calls: list[ast.Call], depth: int
) -> ast.expr | None:
    """The calls of a chain put behind one another again, those of own methods as what these return."""
    for call in calls:
        if _word(call) in REFINING:
            assert isinstance(call.func, ast.Attribute)
            step = ast.copy_location(ast.Attribute(begun, call.func.attr, call.func.ctx), call.func)
            begun = ast.copy_location(ast.Call(step, call.args, call.keywords), call)
            continue
        returned = _returned(owners, _word(call)) if not call.args and not call.keywords and depth < _DEEPEST else None
        built = _built(view, owners, begun, returned, depth + 1) if returned is not None else None
        if built is None:
            return None
        begun = built
    return begun


def _returned(owners: list[tuple[Module, ClassInfo]], method: str) -> list[ast.Call] | None:
    """The calls behind ``self`` that are all a method returns; None where it is not as plain as that."""
    found = next((info.methods[method] for _, info in owners if method in info.methods), None)
    if found is None or len(found.node.args.args) != 1 or found.node.decorator_list:
        return None
    body = found.node.body[1:] if ast.get_docstring(found.node) is not None else found.node.body
    match body:
        case [ast.Return(value=ast.Call() as node)]:
            calls: list[ast.Call] = []
            at: ast.expr = node
            while isinstance(at, ast.Call) and isinstance(at.func, ast.Attribute):
                if at.func.attr != "get_queryset":
                    calls.append(at)
                at = at.func.value
            return list(reversed(calls)) if isinstance(at, ast.Name) and at.id == found.node.args.args[0].arg else None
    return None


def _owners(view: View, function: FunctionInfo, manager: ast.Attribute) -> Iterator[tuple[Module, ClassInfo]]:
    """The project's classes that a model's manager has its methods of; none where a manager gives other rows."""
    for name in view.of(manager.value, function):
        model = view.names.class_(name)
        for module, info in view.names.lineage(*model) if model is not None else ():
            for binding, _ in info.attributes.get(manager.attr, ()):
                if isinstance(binding, Value):
                    for made in _classes_of(binding.expression):
                        for symbol in view.names.of(made, Place(module, None)):
                            owner = view.names.class_(symbol)
                            if owner is not None:
                                yield from _with_bases(view, *owner)


def _with_bases(view: View, module: Module, info: ClassInfo) -> Iterator[tuple[Module, ClassInfo]]:
    lineage = list(view.names.lineage(module, info))
    if not any("get_queryset" in owner.methods for _, owner in lineage):
        yield from lineage


def _classes_of(made: ast.expr) -> Iterator[ast.expr]:
    """The classes in ``Rows.as_manager()``, ``Rows()`` and ``Manager.from_queryset(Rows)()``."""
    match made:
        case ast.Call(func=ast.Attribute(value=rows, attr="as_manager")):
            yield rows
        case ast.Call(func=ast.Call(func=ast.Attribute(value=owner, attr="from_queryset"), args=[rows, *_])):
            yield from (owner, rows)
        case ast.Call(func=ast.Name() | ast.Attribute() as owner):
            yield owner
