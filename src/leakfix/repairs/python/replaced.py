"""Whether a pool that functions keep in a global is the same one when something is given back to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from leakfix.languages.python.modules import Binding, FunctionInfo, Module, Value, own_nodes
from leakfix.languages.python.names import Place
from leakfix.repairs.python.subject import Refused, Subject

_DEEPEST = 3
_Setting = tuple[Module, FunctionInfo, Binding]


def require_same(subject: Subject, pool: ast.expr) -> None:
    """Raise Refused where several functions give the global a value, or one that ends it is called meanwhile."""
    settings = list(_settings(subject, pool))
    ends = {f"@{module.path}:{info.qualname}" for module, info, binding in settings if _is_nothing(binding)}
    if sum(not _is_nothing(binding) for _, _, binding in settings) > 1:
        raise Refused(f"{ast.unparse(pool)} is set in several places, and may be another one by then")
    called = _called(subject, Place(subject.module, subject.function), 0) if ends else set()
    own = f"@{subject.module.path}:{subject.function.qualname}"
    if not ends.isdisjoint({*called, own}):
        raise Refused(f"{ast.unparse(pool)} may be set to nothing by then")


def _settings(subject: Subject, pool: ast.expr) -> Iterator[_Setting]:
    """Where functions set the global that an expression names."""
    match pool:
        case ast.Name(id=name):
            modules = [subject.module]
        case ast.Attribute(value=holder, attr=name):
            symbols = subject.names.of(holder, Place(subject.module, subject.function))
            paths = [symbol[1:-1] for symbol in symbols if symbol.startswith("@") and symbol.endswith(":")]
            modules = [module for path in paths if (module := subject.names.modules.load(path)) is not None]
        case _:
            return
    for module in modules:
        yield from ((module, info, binding) for binding, info in module.set_later.get(name, ()))


def _is_nothing(binding: Binding) -> bool:
    return isinstance(binding, Value) and isinstance(binding.expression, ast.Constant)


def _called(subject: Subject, place: Place, depth: int) -> set[str]:
    """The project's functions that a function calls, itself or through others."""
    if place.function is None or depth > _DEEPEST:
        return set()
    found: set[str] = set()
    for node in own_nodes(place.function.node):
        if isinstance(node, ast.Call):
            for name in subject.names.of(node.func, place):
                inner = subject.names.function(name)
                if inner is not None and name not in found:
                    found |= {name} | _called(subject, Place(*inner), depth + 1)
    return found
