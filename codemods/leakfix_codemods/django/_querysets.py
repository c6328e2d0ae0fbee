"""What an expression says about a queryset: whether it is one, of all rows, and what a loop over it does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.tables import ENOUGH, growth
from leakfix.project.mentions import DEFINITION
from leakfix_codemods.django._outdated import as_defined, meets_few_rows

MANAGERS = frozenset({"objects", "_default_manager", "_base_manager", "all_objects"})
REFINING = frozenset(
    "all filter exclude order_by select_related prefetch_related values values_list only defer annotate alias distinct "
    "using reverse select_for_update extra".split()
)
_NARROWING = frozenset({"filter", "exclude"})
_INDEXED = frozenset({"ForeignKey", "OneToOneField", "SlugField"})
"""Fields that have an index by themselves."""
_WIDE_LOOKUPS = frozenset("gt gte lt lte isnull ne range".split())
"""Conditions that let a large part of a table through, whatever they compare with; patterns do if they are fixed."""
_DJANGO = ("django.", "wagtail.", "mptt.", "polymorphic.", "model_utils.", "treebeard.", "netbox.", "modelcluster.")


def links(node: ast.expr) -> list[ast.Call]:
    """The calls of a chain ``Model.objects.filter(...).order_by(...)`` from its end; [] if it is none."""
    found: list[ast.Call] = []
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        found.append(node)
        if node.func.attr not in REFINING:
            return []
        node = node.func.value
    is_manager = isinstance(node, ast.Attribute) and node.attr in MANAGERS
    return found if is_manager else []


def manager_of(node: ast.expr) -> ast.Attribute | None:
    """The ``Model.objects`` a chain begins with."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    return node if isinstance(node, ast.Attribute) and node.attr in MANAGERS else None


def is_whole(node: ast.expr) -> bool:
    """Whether a chain gives all rows of a table, or all but those some fixed condition leaves out."""
    chain = links(node)
    if not chain or _is_grouped(chain) or _asks_of_counts(chain):
        return False
    return all(_is_wide(call) for call in chain if _method(call) in _NARROWING)


def _is_grouped(chain: list[ast.Call]) -> bool:
    """Whether rows are put in groups, of which there are fewer: ``values(...).annotate(...)`` or ``.distinct()``."""
    words = [_method(call) for call in reversed(chain)]
    first = next((at for at, word in enumerate(words) if word in ("values", "values_list")), len(words))
    return not {"annotate", "distinct"}.isdisjoint(words[first:])


def _asks_of_counts(chain: list[ast.Call]) -> bool:
    """Whether rows are picked by something computed for each: those that are not as they should be, mostly."""
    computed = {word.arg for call in chain if _method(call) in ("annotate", "alias") for word in call.keywords}
    asked = (word for call in chain if _method(call) in _NARROWING for word in call.keywords)
    return any(word.arg.partition("__")[0] in computed for word in asked if word.arg)


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _is_wide(call: ast.Call) -> bool:
    """Whether a condition lets a large part of the table through: constants, ranges, patterns."""
    if not call.args and not call.keywords:
        return True
    for argument in call.args:
        if not isinstance(argument, ast.Call | ast.BinOp | ast.UnaryOp):
            return False
        words = [item for item in ast.walk(argument) if isinstance(item, ast.keyword)]
        if not words or not all(_is_wide_word(word) for word in words):
            return False
    if _method(call) == "exclude":
        return not any(_is_of_others(word) for word in call.keywords)
    return all(_is_wide_word(word) for word in call.keywords)


def _is_of_others(word: ast.keyword) -> bool:
    """Whether rows are told apart by what was met or is known, or from what they should be: those new, or left over."""
    name, _, lookup = (word.arg or "").rpartition("__")
    met = isinstance(word.value, ast.Call) or (isinstance(word.value, ast.Name) and not word.value.id.isupper())
    computed = isinstance(word.value, ast.Call) and name_of(word.value)[:1].isupper()  # F("other"), Lower("name")
    return computed or (lookup == "in" and (name in ("id", "pk", "uuid") or met))


def _is_wide_word(word: ast.keyword) -> bool:
    if word.arg is None:
        return False
    name, lookup = word.arg.rpartition("__")[0], word.arg.rpartition("__")[2]
    if word.arg in ("id", "pk", "depth", "level") or word.arg.endswith(("__id", "__pk", "_id")):
        return False
    if name and lookup in _WIDE_LOOKUPS:
        return True
    return isinstance(word.value, ast.Constant) or (isinstance(word.value, ast.Attribute) and word.value.attr.isupper())


def is_refined(node: ast.expr, name: str) -> bool:
    """Whether a chain narrows or orders the queryset a variable holds."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REFINING:
        node = node.func.value
    return isinstance(node, ast.Name) and node.id == name


def refined(node: ast.expr, former: ast.expr) -> ast.expr:
    """A chain that begins with a variable or a call, with what that holds or gives instead."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REFINING:
        inner = ast.Attribute(refined(node.func.value, former), node.func.attr, node.func.ctx)
        return ast.copy_location(ast.Call(ast.copy_location(inner, node.func), node.args, node.keywords), node)
    return former


_OTHER_MAPPERS = re.compile(rb"^(?:from|import) (?:mongoengine|umongo|tortoise|ormar|edgy)\b", re.MULTILINE)
"""Libraries whose models have ``objects``, too, and no ``iterator()``."""


def is_large(view: View, function: FunctionInfo, chain: ast.expr) -> bool:
    """Whether a chain's model is one of Django's, and its table sure to grow."""
    manager = manager_of(chain)
    if manager is None:
        return False
    table = table_of(view, function, chain)
    grown = growth(view, table, _conditions(chain), _columns(chain), _is_streamed(function))
    if grown < ENOUGH or meets_few_rows(view, table):
        return False
    if any(_OTHER_MAPPERS.search(text) for text in view.texts(DEFINITION + table)):
        return False
    names = view.of(manager.value, function)
    for name in names:
        found = view.names.class_(name)
        if found is not None:
            bases = view.names.outside_bases(*found)
            unknown = bool(bases) and not any("." in base for base in bases)
            return unknown or any(base.startswith(_DJANGO) for base in bases)
    return any(name.startswith(_DJANGO) for name in names) or b"django" in view.module.source.data


def _is_streamed(function: FunctionInfo) -> bool:
    """Whether it is a part of an answer that is streamed, which nobody does with few rows."""
    at: FunctionInfo | None = function
    while at is not None:
        if any(isinstance(node, ast.Name) and node.id.startswith("Streaming") for node in own_nodes(at.node)):
            return True
        at = at.parent
    return False


def table_of(view: View, function: FunctionInfo, chain: ast.expr) -> str:
    """What a chain's model is called: where a migration asked for it by name, that one."""
    manager = manager_of(chain)
    if manager is None:
        return ""
    model = manager.value
    asked_here = _asked_for(model)
    if asked_here:
        return as_defined(view, asked_here)
    for node in own_nodes(function.node) if isinstance(model, ast.Name) else ():
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if isinstance(model, ast.Name):
                if name == model.id and _asked_for(value):
                    return as_defined(view, _asked_for(value))
    return str(getattr(model, "attr", getattr(model, "id", "")))


def _asked_for(value: ast.expr) -> str:
    """The model that ``apps.get_model("shop", "Order")`` gives, as it is spelled there; "" for anything else."""
    match value:
        case ast.Call(func=ast.Attribute(attr="get_model"), args=[*_, ast.Constant(value=str() as said)]):
            return said.rpartition(".")[2]
    return ""


def _conditions(chain: ast.expr) -> list[tuple[str, ast.expr]]:
    """What the rows of a chain must be; what is left out by ``exclude`` is the smaller part."""
    found: list[tuple[str, ast.expr]] = []
    for call in links(chain):
        if _method(call) == "filter":
            given = [node for argument in call.args for node in ast.walk(argument) if isinstance(node, ast.keyword)]
            found += [(word.arg or "", word.value) for word in [*given, *call.keywords]]
    return found


def asked_of(chain: ast.expr) -> set[str]:
    """The fields, with their lookups, that a chain's conditions want in some state; a number is none."""
    given = [node for call in links(chain) if _method(call) in _NARROWING for node in [*call.args, *call.keywords]]
    words = [word for node in given for word in ast.walk(node) if isinstance(word, ast.keyword) and word.arg]
    return {word.arg or "" for word in words if not _is_number(word.value)}


def sets_one_of(view: View, function: FunctionInfo, chain: ast.expr, method: str, fields: set[str]) -> bool:
    """Whether a method of the rows' class sets one of these fields."""
    manager = manager_of(chain)
    for name in view.of(manager.value, function) if manager is not None else ():
        for symbol in view.names.member(f"{name}()", method):
            found = view.names.function(symbol)
            for node in own_nodes(found[1].node) if found is not None else ():
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in fields:
                    return True
    return False


def ordering_of(model: ast.ClassDef) -> Iterator[ast.expr]:
    """What a model's ``Meta`` says of the order in which its rows come."""
    for meta in (item for item in model.body if isinstance(item, ast.ClassDef) and item.name == "Meta"):
        for statement in meta.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="ordering")], value=ast.List(elts=given) | ast.Tuple(elts=given)):
                    yield from given


def is_indexed(model: ast.ClassDef, field: str) -> bool:
    """Whether a model's class says that the database keeps an index on a field."""
    meta = [item for item in model.body if isinstance(item, ast.ClassDef) and item.name == "Meta"]
    named = any(isinstance(node, ast.Constant) and node.value == field for item in meta for node in ast.walk(item))
    for statement in model.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=made, keywords=words)) if name == field:
                plain = {word.arg for word in words if getattr(word.value, "value", None) is True}
                kind = getattr(made, "attr", getattr(made, "id", ""))
                return named or not plain.isdisjoint({"db_index", "unique", "primary_key"}) or kind in _INDEXED
    return named


def _is_number(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)


def _columns(chain: ast.expr) -> list[str]:
    """The columns a chain selects where it makes no objects."""
    for call in links(chain):
        if _method(call) in ("values", "values_list"):
            return [str(given.value) for given in call.args if isinstance(given, ast.Constant)]
    return []


def prefetches(node: ast.expr) -> bool:
    """Whether a chain loads related rows in queries of their own."""
    return any(_method(call) == "prefetch_related" for call in links(node))


def uses_in_order(view: View, name: str, function: FunctionInfo) -> Iterator[ast.Name]:
    """Where a name stands in a function, in the order of the source."""
    yield from sorted(view.uses(name, function), key=lambda node: (node.lineno, node.col_offset))
