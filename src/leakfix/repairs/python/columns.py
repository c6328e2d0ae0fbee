"""Which attributes of a project's live objects are plain values, read from the classes the file can see."""

from __future__ import annotations

import ast

from leakfix.languages.python.modules import Annotated, Binding, ClassInfo, Module, Value, named_words
from leakfix.languages.python.names import Names
from leakfix.resources import Resource

_PLAIN_TYPES = frozenset(
    "Mapped Optional Union Annotated Final int str float bool bytes date datetime time timedelta "
    "Decimal UUID None".split()
)
_EAGER = ("joined", "selectin", "subquery", "immediate", False)


def plain_attributes(names: Names, module: Module, resource: Resource) -> frozenset[str]:
    """Attributes declared as columns, and nowhere as a relation, in this module and those its classes come from."""
    if not resource.columns:
        return frozenset()
    columns: set[str] = set()
    relations: set[str] = set()
    for seen in _visible(names, module):
        for info in seen.classes.values():
            for name, entries in info.attributes.items():
                bindings = [binding for binding, function in entries if function is None]
                if any(_is_relation(binding, resource) for binding in bindings):
                    relations.add(name)
                elif bindings and any(_is_column(binding, resource) for binding in bindings):
                    columns.add(name)
    return frozenset(columns - relations)


def lazy_attributes(names: Names, module: Module, resource: Resource, of_models: bool = False) -> frozenset[str]:
    """Attributes of the classes a module can see that are loaded when they are read, and always so.

    of_models: of tables' classes, whatever other classes call so.
    """
    lazy: set[str] = set()
    others: set[str] = set()
    for seen in _visible(names, module) if resource.relations else ():
        for info in seen.classes.values():
            if of_models and not _is_table(info, resource):
                continue
            for name, entries in info.attributes.items():
                bindings = [binding for binding, function in entries if function is None]
                if any(_is_relation(binding, resource) for binding in bindings):
                    (others if any(_is_eager(binding) for binding in bindings) else lazy).add(name)
                elif bindings:
                    others.add(name)
    return frozenset(lazy - others)


def _is_table(info: ClassInfo, resource: Resource) -> bool:
    """Whether a class is that of a table's rows: it says so, or has a relation or a column that nothing else has."""
    if any(word.arg == "table" for word in info.node.keywords) or "__tablename__" in info.attributes:
        return True
    made = {_called(binding) for entries in info.attributes.values() for binding, _ in entries}
    return not made.isdisjoint({*resource.relations, *resource.columns} - {"Field"})


def _is_eager(binding: Binding) -> bool:
    match binding:
        case Value(expression=ast.Call(keywords=keywords)):
            return any(k.arg == "lazy" and getattr(k.value, "value", "") in _EAGER for k in keywords)
    return False


def plain_classes(names: Names, module: Module, resource: Resource) -> frozenset[str]:
    """Symbolic names of classes whose live objects have columns and no relation, nor one another class gives them."""
    if not resource.columns:
        return frozenset()
    seen = _visible(names, module)
    related: set[str] = set()
    found: dict[str, str] = {}
    for other in seen:
        for info in other.classes.values():
            own = [binding for entries in info.attributes.values() for binding, method in entries if method is None]
            inherited = [
                binding
                for _, base in names.inside_bases(other, info)
                for entries in base.attributes.values()
                for binding, method in entries
                if method is None
            ]
            relations = [binding for binding in (*own, *inherited) if _is_relation(binding, resource)]
            related |= {word for binding in relations for word in _words_of(binding)}
            if not relations and any(_called(binding) in resource.columns for binding in own):
                found[f"@{other.path}:{info.qualname}"] = info.node.name
    return frozenset(symbol for symbol, name in found.items() if name not in related)


def _words_of(binding: Binding) -> frozenset[str]:
    match binding:
        case Annotated(annotation=node) | Value(expression=node):
            return named_words(node)
    return frozenset()


def _visible(names: Names, module: Module) -> list[Module]:
    found = {module.path: module}
    for name in module.names:
        for symbol in names.module_name(module, name):
            path = symbol[1:].partition(":")[0] if symbol.startswith("@") else ""
            if path and path not in found:
                other = names.modules.load(path)
                if other is not None:
                    found[path] = other
    return list(found.values())


def _called(binding: Binding) -> str:
    match binding:
        case Value(expression=ast.Call(func=ast.Name(id=word) | ast.Attribute(attr=word))):
            return word
    return ""


def _is_relation(binding: Binding, resource: Resource) -> bool:
    if isinstance(binding, Annotated):
        return bool(
            named_words(binding.annotation)
            & {"List", "list", "Set", "set", "Sequence", "DynamicMapped", "WriteOnlyMapped"}
        )
    match binding:
        case Value(expression=ast.Call(keywords=keywords)):
            return _called(binding) in resource.relations or any(keyword.arg == "deferred" for keyword in keywords)
    return False


def _is_column(binding: Binding, resource: Resource) -> bool:
    match binding:
        case Annotated(annotation=annotation):
            return named_words(annotation) <= _PLAIN_TYPES
        case Value():
            return _called(binding) in resource.columns
    return False
