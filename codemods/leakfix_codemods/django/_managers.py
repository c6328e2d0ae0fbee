"""Managers and querysets of the project that answer otherwise than Django's."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from leakfix.codemod import View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo, Module, own_nodes
from leakfix_codemods.django._querysets import links, manager_of

_GOING_THROUGH = frozenset("__iter__ __aiter__ _fetch_all iterator aiterator".split())


def answering_otherwise(view: View, function: FunctionInfo, chain: ast.expr, instead: str = "iterator") -> str:
    """The method of the project that a chain would go through, and what is called instead may not; "" where none is."""
    manager = manager_of(chain)
    if manager is None:
        return ""
    asked = {call.func.attr for call in links(chain) if isinstance(call.func, ast.Attribute)}
    for name in view.of(manager.value, function):
        model = view.names.class_(name)
        for info in _made_of(view, *model, manager.attr) if model is not None else ():
            for method in info.methods.values():
                word = method.node.name
                if word in (*_GOING_THROUGH, instead) or (word in asked and not _refines(method)):
                    return f"{info.node.name}.{word}()"
    return ""


def _made_of(view: View, module: Module, model: ClassInfo, attribute: str) -> Iterator[ClassInfo]:
    """The project's classes that a model's manager is made of, with those they derive from."""
    for home, info in view.names.lineage(module, model):
        for statement in info.node.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == attribute:
                    named = [node for node in ast.walk(value) if isinstance(node, ast.Name | ast.Attribute)]
                    for symbol in (symbol for node in named for symbol in view.elsewhere(home).of(node)):
                        found = view.names.class_(symbol.removesuffix("()"))
                        yield from (base for _, base in view.names.lineage(*found)) if found is not None else ()


def _refines(method: FunctionInfo) -> bool:
    """Whether all a method returns are querysets that Django made: ``super().all().filter(...)``."""
    returned = [node.value for node in own_nodes(method.node) if isinstance(node, ast.Return)]
    return bool(returned) and all(value is not None and _begins_with_own(value) for value in returned)


def _begins_with_own(node: ast.expr) -> bool:
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id == "self"
