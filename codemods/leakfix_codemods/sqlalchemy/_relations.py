"""Relationships of the project's own models, and loops over queries whose body follows them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.codemod import View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo, Module, Scoped, Value
from leakfix.languages.python.names import Place

Model = tuple[Module, ClassInfo]
_RELATIONS = frozenset({"sqlalchemy.orm.relationship", "sqlalchemy.orm.relation", "sqlmodel.Relationship"})
_SELECTS = frozenset(
    {
        "sqlalchemy.select",
        "sqlalchemy.future.select",
        "sqlmodel.select",
        "sqlalchemy.sql.select",
        "sqlmodel.sql.expression.select",
    }
)
_LAZY = frozenset({"select", True})
_PLAIN = frozenset(
    "filter filter_by where order_by limit offset join outerjoin distinct group_by having execution_options".split()
)
_RESULTS = frozenset({"all", "unique", "scalars", "fetchall"})


@dataclass(frozen=True)
class Rows:
    """A loop over rows of a model. at: the ``query(Model)`` that options go behind. entity: the model, as written."""

    source: ast.expr
    at: ast.expr
    entity: ast.expr
    model: Model
    row: str
    body: list[ast.AST]
    position: int


def loops(view: View, function: FunctionInfo) -> Iterator[Rows]:
    """The loops and comprehensions of a function over plain queries for one of the project's models."""
    looping = ast.For | ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    for position, node in enumerate(node for node in view.own(function) if isinstance(node, looping)):
        body: list[ast.AST]
        if isinstance(node, ast.For):
            target, source, body = node.target, node.iter, [*node.body]
        else:
            first = node.generators[0]
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            target, source, body = first.target, first.iter, [*parts, *first.ifs, *node.generators[1:]]
        if isinstance(source, ast.Call) and view.is_a(source.func, function, "builtins.enumerate") and source.args:
            target = target.elts[1] if isinstance(target, ast.Tuple) and len(target.elts) == 2 else target
            source = source.args[0]
        held = _held(view, function, source) if isinstance(source, ast.Name) else source
        found = _query(view, function, held) if held is not None else None
        if found is None or not isinstance(target, ast.Name):
            continue
        at, entity = found
        names = view.of(entity, function)
        model = view.names.class_(names[0]) if len(names) == 1 else None
        if model is not None:
            yield Rows(source, at, entity, model, target.id, body, position)


def _held(view: View, function: FunctionInfo, name: ast.Name) -> ast.expr | None:
    """What a variable holds that is set once."""
    stored = [view.parents[use] for use in view.uses(name.id, function) if isinstance(use.ctx, ast.Store)]
    if len(stored) != 1 or not isinstance(stored[0], ast.Assign) or len(stored[0].targets) != 1:
        return None
    inside = stored[0].value if view.function_of(stored[0]) is function else None
    return inside if isinstance(inside, ast.Call) else None


def _query(view: View, function: FunctionInfo, node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """``query(Model)``, ``Model.query`` or ``select(Model)`` that a loop's rows come from, with the model."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _RESULTS:
        if node.args:
            break
        node = node.func.value
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("scalars", "execute", "exec") and node.args:
        statement: ast.expr | None = node.args[0]
        if isinstance(statement, ast.Name):
            statement = _held(view, function, statement)
        root = _root(statement) if statement is not None else None
        return _selected(view, function, root)
    root = _root(node)
    match root:
        case ast.Call(func=ast.Attribute(attr="query"), args=[entity], keywords=[]):
            return root, entity
        case ast.Attribute(attr="query", value=entity):
            return root, entity
    return None


def _root(node: ast.expr) -> ast.expr | None:
    """Where a chain of plain refinements begins; None where it does anything else, such as loading relations."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "query" or node.func.attr == "select":
            return node
        if node.func.attr not in _PLAIN:
            return None
        node = node.func.value
    return node


def _selected(view: View, function: FunctionInfo, root: ast.expr | None) -> tuple[ast.expr, ast.expr] | None:
    if isinstance(root, ast.Call) and len(root.args) == 1 and view.is_a(root.func, function, *_SELECTS):
        return root, root.args[0]
    return None


# -- what the body follows --------------------------------------------------------------------------------------------


def is_lazy(view: View, model: Model, name: str, depth: int = 0) -> bool:
    """Whether an attribute of a model is a relationship that is loaded when it is first read."""
    module, info = model
    declared = [binding for binding, function in info.attributes.get(name, ()) if function is None]
    calls = [
        binding.expression
        for binding in declared
        if isinstance(binding, Value) and isinstance(binding.expression, ast.Call)
    ]
    if declared:
        return len(calls) == 1 and _is_relation(view, module, calls[0])
    if name in info.methods or depth > 8:
        return False
    bases = view.names.inside_bases(module, info)
    return any(is_lazy(view, base, name, depth + 1) for base in bases if base[1] is not info)


def _is_relation(view: View, module: Module, call: ast.Call) -> bool:
    names = view.names.of(call.func, Place(module, None))
    if not any(name in _RELATIONS or name.endswith(".SQLAlchemy().relationship") for name in names):
        return False
    words = {word.arg: word.value for word in call.keywords}
    said = words.get("lazy", ast.Constant(True))
    if None in words or "sa_relationship" in words or "sa_relationship_kwargs" in words:
        return False
    return isinstance(said, ast.Constant) and said.value in _LAZY


def followed(view: View, rows: Rows) -> list[str]:
    """The relationships that a loop's body reads for each row."""
    nodes = [node for part in rows.body for node in _here(part)]
    if any(isinstance(node, ast.Return | ast.Break) for node in nodes):
        return []  # a search: few rows may be all it looks at
    if any(isinstance(node, ast.Name) and node.id == rows.row and not isinstance(node.ctx, ast.Load) for node in nodes):
        return []
    read: dict[str, bool] = {}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == rows.row:
            read[node.attr] = read.get(node.attr, True) and isinstance(node.ctx, ast.Load) and not _adds(view, node)
    return [name for name, only_read in read.items() if only_read and is_lazy(view, rows.model, name)]


def _adds(view: View, node: ast.Attribute) -> bool:
    """Whether the loop changes what a relationship holds: ``row.tags.append(tag)``."""
    method = view.parents.get(node)
    return isinstance(method, ast.Attribute) and method.attr in ("append", "add", "remove", "extend", "clear")


def _here(part: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run for most rows: not those of functions, failures and exceptions."""
    if isinstance(part, (*Scoped, ast.Raise, ast.ExceptHandler)):
        return
    yield part
    for child in ast.iter_child_nodes(part):
        yield from _here(child)
