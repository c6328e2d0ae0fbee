"""Relations of the project's own models, and loops over querysets whose body follows them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.codemod import View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo, Module, Scoped, Value
from leakfix.languages.python.names import Place
from leakfix_codemods.django._querysets import is_refined, links, manager_of

Model = tuple[Module, ClassInfo]
_FIELDS = "django.db.models.", "django.db.models.fields.related.", "django.contrib.gis.db.models."
_KINDS = {"ForeignKey": "one", "OneToOneField": "one", "ManyToManyField": "many"}
_PLAIN = frozenset({"all", "filter", "exclude", "order_by", "annotate", "alias", "distinct", "using", "reverse"})
# After these a select_related() would raise, or change what is locked or fetched.
_DELICATE = frozenset(
    "select_related prefetch_related only defer values values_list select_for_update union difference intersection "
    "extra raw dates datetimes iterator aiterator in_bulk".split()
)


@dataclass(frozen=True)
class Rows:
    """A loop over the rows of a model.

    at: the chain that relations are added to. iterates: it ends in ``iterator()``. position: its place among the loops.
    """

    source: ast.expr
    at: ast.expr
    model: Model
    row: str
    body: list[ast.AST]
    iterates: bool
    position: int


def loops(view: View, function: FunctionInfo) -> Iterator[Rows]:
    """The loops and comprehensions of a function over plain querysets of the project's models."""
    looping = ast.For | ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    for position, node in enumerate(node for node in view.own(function) if isinstance(node, looping)):
        match node:
            case ast.For(target=target, iter=source, body=body):
                inner: list[ast.AST] = [*body]
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                first = node.generators[0]
                if first.is_async:
                    continue
                target, source = first.target, first.iter
                parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                inner = [*parts, *first.ifs, *node.generators[1:]]
        found = _rows(view, function, source, target)
        if found is not None:
            at, model, row, iterates = found
            yield Rows(source, at, model, row, inner, iterates, position)


def _rows(
    view: View, function: FunctionInfo, source: ast.expr, target: ast.expr
) -> tuple[ast.expr, Model, str, bool] | None:
    while isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.args:
        names = view.of(source.func, function)
        if "builtins.enumerate" in names and isinstance(target, ast.Tuple) and len(target.elts) == 2:
            source, target = source.args[0], target.elts[1]
        elif "builtins.list" in names or "builtins.reversed" in names:
            source = source.args[0]
        else:
            return None
    if not isinstance(target, ast.Name):
        return None
    iterates = isinstance(source, ast.Call) and getattr(source.func, "attr", "") == "iterator"
    if iterates:
        assert isinstance(source, ast.Call)
        assert isinstance(source.func, ast.Attribute)
        source = source.func.value
    if isinstance(source, ast.Subscript) and isinstance(source.slice, ast.Slice) and not _is_one(source.slice):
        source = source.value
    if isinstance(source, ast.Name):
        chain = _held(view, function, source)
    else:
        chain = source
    if chain is None or not _is_plain(chain):
        return None
    model = model_of(view, function, chain)
    return (chain, model, target.id, iterates) if model is not None else None


def _is_one(part: ast.Slice) -> bool:
    return isinstance(part.upper, ast.Constant) and part.upper.value == 1


def _is_plain(chain: ast.expr) -> bool:
    """Whether a chain gives full rows, many of them, and loads nothing else yet."""
    calls = links(chain)
    if not calls and chain is not manager_of(chain):
        return False
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        if call.func.attr not in _PLAIN:
            return False
        if call.func.attr == "filter" and any(word.arg in ("pk", "id", None) for word in call.keywords):
            return False
    return True


def _held(view: View, function: FunctionInfo, name: ast.Name) -> ast.expr | None:
    """The chain a variable holds, where nothing delicate is done with it anywhere in the function."""
    chain: ast.expr | None = None
    for use in sorted(view.uses(name.id, function), key=lambda node: (node.lineno, node.col_offset)):
        parent = view.parents[use]
        if isinstance(use.ctx, ast.Store):
            if not isinstance(parent, ast.Assign) or len(parent.targets) != 1 or view.function_of(use) is not function:
                return None
            if chain is not None and is_refined(parent.value, name.id):
                continue
            if chain is not None:
                return None
            chain = parent.value
        else:
            while isinstance(parent, ast.Attribute | ast.Call) and use is not None:
                if isinstance(parent, ast.Attribute) and parent.attr in _DELICATE:
                    return None
                parent = view.parents[parent]
    return chain


# -- models -----------------------------------------------------------------------------------------------------------


def model_of(view: View, function: FunctionInfo, chain: ast.expr) -> Model | None:
    """The project's model whose rows a chain gives, unless its manager may load relations itself."""
    manager = manager_of(chain)
    names = view.of(manager.value, function) if manager is not None else ()
    found = view.names.class_(names[0]) if len(names) == 1 else None
    if manager is None or found is None or _loads_itself(view, found, manager.attr, 0):
        return None
    return found


def _loads_itself(view: View, model: Model, manager: str, depth: int) -> bool:
    module, info = model
    for binding, _ in info.attributes.get(manager, ()):
        if not isinstance(binding, Value) or not isinstance(binding.expression, ast.Call):
            return True
        names = view.names.of(binding.expression.func, Place(module, None))
        for name in names:
            inside = view.names.class_(name)
            if inside is not None and _mentions(view, inside, 0):
                return True
        if not names or any("from_queryset" in name or "as_manager" in name for name in names):
            return b"select_related" in module.source.data or b"prefetch_related" in module.source.data
    bases = view.names.inside_bases(module, info)
    return depth < 8 and any(_loads_itself(view, base, manager, depth + 1) for base in bases if base[1] is not info)


def _mentions(view: View, model: Model, depth: int) -> bool:
    words = {node.attr for node in ast.walk(model[1].node) if isinstance(node, ast.Attribute)}
    if words & (_DELICATE - {"iterator", "aiterator", "in_bulk", "dates", "datetimes"}):
        return True
    bases = view.names.inside_bases(*model)
    return depth < 8 and any(_mentions(view, base, depth + 1) for base in bases if base[1] is not model[1])


def relation(view: View, model: Model, name: str, depth: int = 0) -> tuple[str, Module, ast.Call] | None:
    """What a model's own attribute relates to: "one" or "many", and the field as it is declared."""
    module, info = model
    if name in info.methods:
        return None
    declared = info.attributes.get(name, [])
    for binding, function in declared:
        if len(declared) == 1 and function is None and isinstance(binding, Value):
            if isinstance(binding.expression, ast.Call):
                for symbol in view.names.of(binding.expression.func, Place(module, None)):
                    kind = _KINDS.get(symbol.rpartition(".")[2])
                    if kind and symbol.rpartition(".")[0] + "." in _FIELDS and not _may_dangle(binding.expression):
                        return kind, module, binding.expression
    if declared or depth > 8:
        return None
    for base in view.names.inside_bases(module, info):
        if base[1] is not info and (found := relation(view, base, name, depth + 1)):
            return found
    return None


def _may_dangle(field: ast.Call) -> bool:
    """Whether the row a field points to may be missing, so that an inner join would lose the row that points."""
    return any(word.arg in ("db_constraint", None) for word in field.keywords)


def target_of(view: View, module: Module, field: ast.Call, owner: Model) -> Model | None:
    """The project's model a field points to, where it is named so that it can be found."""
    to = field.args[0] if field.args else next((word.value for word in field.keywords if word.arg == "to"), None)
    if isinstance(to, ast.Constant) and isinstance(to.value, str):
        if to.value == "self":
            return owner
        to = ast.Name(to.value.rpartition(".")[2], ast.Load())
        names = view.names.module_name(module, to.id)
    else:
        names = view.names.of(to, Place(module, None)) if to is not None else ()
    return view.names.class_(names[0]) if len(names) == 1 else None


def is_reverse(view: View, model: Model, name: str) -> bool:
    """Whether another model points to this one, and is reached from it under a name."""
    short = model[1].node.name
    default = name.removesuffix("_set") if name.endswith("_set") else None
    for module in {id(item): item for item in (model[0], *view.others(name))}.values():
        for info in module.classes.values():
            for declared in info.attributes.values():
                binding = declared[0][0]
                if not isinstance(binding, Value) or not isinstance(binding.expression, ast.Call):
                    continue
                field = binding.expression
                said = next((word.value for word in field.keywords if word.arg == "related_name"), None)
                told = said.value if isinstance(said, ast.Constant) else None
                if told != name and not (said is None and default == info.node.name.lower()):
                    continue
                symbols = view.names.of(field.func, Place(module, None))
                if not any(symbol.startswith(_FIELDS) and symbol.rpartition(".")[2] in _KINDS for symbol in symbols):
                    continue
                if any(symbol.endswith("OneToOneField") for symbol in symbols):
                    continue
                to = target_of(view, module, field, (module, info))
                if to is not None and to[1].qualname == model[1].qualname and to[0].path == model[0].path:
                    return to[1].node.name == short
    return False


# -- what the body follows --------------------------------------------------------------------------------------------


def followed(view: View, rows: Rows) -> tuple[list[str], list[str]]:
    """The relations a loop's body follows for each row: those to one object, and those to many."""
    ones: list[str] = []
    manies: list[str] = []
    nodes = [node for part in rows.body for node in _here(part)]
    if any(isinstance(node, ast.Return | ast.Break) for node in nodes):
        return [], []  # a search: few rows may be all it looks at
    if any(isinstance(node, ast.Name) and node.id == rows.row and not isinstance(node.ctx, ast.Load) for node in nodes):
        return [], []
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == rows.row:
            if _is_set(nodes, rows.row, node.attr) or not isinstance(node.ctx, ast.Load):
                continue
            found = relation(view, rows.model, node.attr)
            if found is not None and found[0] == "one":
                ones.append(_path(view, rows.model, node, found))
            elif _is_listed(view, node) and (found is not None or is_reverse(view, rows.model, node.attr)):
                manies.append(node.attr)
    longest = [path for path in ones if not any(other.startswith(path + "__") for other in ones)]
    return list(dict.fromkeys(longest)), list(dict.fromkeys(manies))


def _here(part: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run for most rows: not those of functions, failures and exceptions."""
    if isinstance(part, (*Scoped, ast.Raise, ast.ExceptHandler)):
        return
    yield part
    for child in ast.iter_child_nodes(part):
        yield from _here(child)


def _is_set(nodes: list[ast.AST], row: str, name: str) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in (name, f"{name}_id")
        and not isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id == row
        for node in nodes
    )


def _path(view: View, model: Model, node: ast.Attribute, found: tuple[str, Module, ast.Call]) -> str:
    """The relations followed one after the other, as ``select_related`` names them."""
    path = node.attr
    owner: Model | None = model
    while owner is not None and path.count("__") < 3:
        owner = target_of(view, found[1], found[2], owner)
        above = view.parents.get(node)
        if owner is None or not isinstance(above, ast.Attribute) or not isinstance(above.ctx, ast.Load):
            break
        following = relation(view, owner, above.attr)
        if following is None or following[0] != "one":
            break
        path, node, found = f"{path}__{above.attr}", above, following
    return path


def _is_listed(view: View, node: ast.Attribute) -> bool:
    """Whether all related rows are asked for, and nothing else: ``row.tags.all()``."""
    method = view.parents.get(node)
    call = view.parents.get(method) if isinstance(method, ast.Attribute) and method.attr == "all" else None
    if not isinstance(call, ast.Call) or call.args or call.keywords:
        return False
    return not isinstance(view.parents.get(call), ast.Attribute | ast.Subscript)
