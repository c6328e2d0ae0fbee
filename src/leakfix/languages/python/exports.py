"""Which names of a module may acquire a resource when other files use them."""

from __future__ import annotations

import ast
from collections.abc import Collection

from leakfix.languages.python.modules import Annotated, FunctionInfo, Module, Value, own_nodes

_PLAIN = frozenset({"__init__", "main", "run", "get", "set", "close", "execute", "handle", "process", "__call__"})


def exported(module: Module, words: Collection[str]) -> frozenset[str]:
    """Globals and attributes made by a call of one of the words, and functions that call one and return something."""
    found = set()
    for name, bindings in module.names.items():
        if any(isinstance(b, Value) and _calls(b.expression, words) for b in bindings):
            found.add(name)
    for info in module.classes.values():
        for name, entries in info.attributes.items():
            if any(_interesting(binding, words) for binding, _ in entries):
                found |= {name, info.qualname.rpartition(".")[2]}
    for function in module.functions.values():
        if function.call_words & set(words) and _hands_out(function):
            found.add(function.node.name)
    return frozenset(found - _PLAIN)


def _interesting(binding: object, words: Collection[str]) -> bool:
    if isinstance(binding, Value):
        return _calls(binding.expression, words)
    return isinstance(binding, Annotated) and any(
        word in ast.unparse(binding.annotation) for word in words if word[:1].isupper()
    )


def _calls(node: ast.expr, words: Collection[str]) -> bool:
    for item in ast.walk(node):
        if isinstance(item, ast.Call):
            word = item.func.attr if isinstance(item.func, ast.Attribute) else getattr(item.func, "id", "")
            if word in words:
                return True
    return False


def _hands_out(function: FunctionInfo) -> bool:
    return any(
        isinstance(node, ast.Return | ast.Yield) and node.value is not None and not isinstance(node.value, ast.Constant)
        for node in own_nodes(function.node)
    )
