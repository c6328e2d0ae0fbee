"""Which variable of the project an expression names: two that are called alike may be two databases."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from leakfix.codemod import View
from leakfix.languages.python.modules import Binding, FunctionInfo, Import, Module, local_bindings

_DEEPEST = 8


@dataclass(frozen=True)
class Home:
    """Where a global is set. binding: what sets it, if nothing else does; module: None where it is a library's."""

    module: Module | None
    name: str
    binding: Binding | None

    @property
    def symbol(self) -> str:
        """A name that no other variable has."""
        return self.name if self.module is None else f"@{self.module.path}:{self.name}"


def home_of(view: View, node: ast.expr, function: FunctionInfo | None = None) -> Home | None:
    """Where the global that an expression names is set; None for local variables and what nobody knows."""
    match node:
        case ast.Name(id=name):
            local = function is not None and (name in local_bindings(function.node) or _is_parameter(function, name))
            return None if local else _in_module(view, view.module, name, 0)
        case ast.Attribute(value=value, attr=attribute):
            for symbol in view.of(value, function):
                if symbol.startswith("@") and symbol.endswith(":"):
                    module = view.names.modules.load(symbol[1:-1])
                    return _in_module(view, module, attribute, 0) if module is not None else None
            base = home_of(view, value, function)
            return Home(None, f"{base.symbol}.{attribute}", None) if base is not None else None
    return None


def _in_module(view: View, module: Module, name: str, depth: int) -> Home | None:
    bindings = module.names.get(name, ())
    if not bindings or depth > _DEEPEST:
        return None
    item = bindings[0] if len(bindings) == 1 else None
    if not isinstance(item, Import):
        return Home(module, name, item)
    if item.attribute is None:
        return Home(None, item.module, None)
    path = view.names.modules.find(module.path, Import(item.module, None, item.level))
    other = view.names.modules.load(path) if path is not None else None
    if other is not None:
        return _in_module(view, other, item.attribute, depth + 1) if other is not module else None
    return Home(None, f"{item.module}.{item.attribute}", None) if not item.level else None


def variables_in(view: View, node: ast.expr, function: FunctionInfo | None) -> list[str] | None:
    """What an expression is made of, each name as the variable it stands for; None where one is not known.

    Two expressions with the same list mean the same, wherever they stand.
    """
    if isinstance(node, ast.Name | ast.Attribute):
        home = home_of(view, node, function)
        return [home.symbol] if home is not None else None
    found = [type(node).__name__]
    for child in ast.iter_child_nodes(node):
        inner = child.value if isinstance(child, ast.keyword) else child
        if isinstance(child, ast.keyword):
            found.append(f"{child.arg}=")
        if isinstance(inner, ast.expr):
            parts = variables_in(view, inner, function)
            if parts is None:
                return None
            found += parts
    return [*found, repr(node.value)] if isinstance(node, ast.Constant) else found


def is_bound_above(view: View, name: str, line: int) -> bool:
    """Whether a global of a file is set before a line, so that what is evaluated there can use it."""
    return any(name in _bound_by(statement) for statement in view.tree.body if statement.lineno < line)


def _bound_by(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name.partition(".")[0] for alias in names}
        case ast.Assign(targets=targets):
            return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return {name}
        case ast.Try(body=body) | ast.With(body=body):
            return {name for inner in body for name in _bound_by(inner)}
    return set()


def _is_parameter(function: FunctionInfo, name: str) -> bool:
    given = function.node.args
    return any(argument.arg == name for argument in [*given.posonlyargs, *given.args, *given.kwonlyargs])
