"""What a loop over the rows of a queryset does to those still to come, and to what they come from."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Set

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.languages.python.names import Place
from leakfix_codemods.django._orm import nodes_of
from leakfix_codemods.django._querysets import manager_of

_WRITES = frozenset(
    "save delete update create bulk_create bulk_update get_or_create update_or_create asave adelete aupdate acreate "
    "abulk_create abulk_update execute executemany refresh_from_db".split()
)
_RELATED_WRITES = frozenset({"add", "remove", "set", "clear"})
_CLOSES = frozenset({"close_old_connections", "close_all", "close_if_unusable_or_obsolete"})
_READING = ("django.utils.", "django.template.", "django.core.serializers.", "django.forms.models.model_to_dict")
"""Where Django's own functions only read the row they are given; what another library's do is not known."""
_TAKING = frozenset(
    "append add extend insert update write writelines writerow writerows debug info warning error log".split()
)
"""Methods that take a row in, or write down what it says."""
_COMMAND = ("django.core.management.call_command", "django.core.management.base.call_command")
_HARMLESS_METHODS = frozenset({"get_absolute_url", "natural_key", "pk"})
_MAKING = ("__init__", "__enter__", "__exit__")
_UNNAMED = frozenset(
    f"__{word}__" for word in "bool contains eq format ge getattr gt hash iter le len lt ne repr str".split()
)
"""What runs where a row is printed, compared or tested."""
_DEEPEST = 3


def ends_reading(view: View, function: FunctionInfo, body: list[ast.stmt], depth: int = 0) -> str:
    """What in a loop, or in what it calls, ends the connection or transaction its rows would come from; "" if nothing.

    A cursor on the server ends with its transaction.
    """
    place = Place(view.module, function)
    for node in nodes_of(body):
        if not isinstance(node, ast.Call):
            continue
        word = getattr(node.func, "attr", getattr(node.func, "id", ""))
        owner = ast.unparse(node.func.value).rpartition(".")[2] if isinstance(node.func, ast.Attribute) else ""
        if word in _CLOSES or (word == "close" and "connection" in ast.unparse(node.func)):
            return "closes the connection"
        if word in ("commit", "rollback") and owner in ("transaction", "connection"):
            return "ends the transaction"
        for called in _called(view, place, node) if depth < _DEEPEST else ():
            found = called.function
            if found is not None and found is not function:
                reason = ends_reading(view.elsewhere(called.module), found, found.node.body, depth + 1)
                if reason:
                    return reason
    return ""


def _called(view: View, place: Place, call: ast.Call) -> Iterator[Place]:
    """The project's functions that a call runs: for a class, what makes its objects and a ``with`` over one."""
    for name in view.names.of(call.func, place):
        found, made = view.names.function(name), view.names.class_(name)
        if found is not None:
            yield Place(*found)
        elif made is not None:
            module, info = made
            yield from (Place(module, info.methods[word]) for word in _MAKING if word in info.methods)


def why_not_plain(
    view: View, function: FunctionInfo, queryset: ast.expr, body: list[ast.stmt], variables: set[str]
) -> str:
    """What in a loop over rows may change those still to come; "" where nothing does."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Yield | ast.YieldFrom):
                return "what is done between two rows is up to whoever takes them"
            reason = ""
            if isinstance(node, ast.Call):
                reason = _why_call(view, function, queryset, node, variables, 0)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in variables:
                models = _models(view, function, queryset)
                reason = _why_methods(view, models, {node.attr}, only_decorated=True)
            elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
                set_by = {"__setitem__"} if isinstance(node, ast.Subscript) else {"__setattr__", node.attr}
                reason = _why_methods(view, view.of(node.value, function), set_by)
            if reason:
                return reason
    return _why_methods(view, _models(view, function, queryset), _UNNAMED)


def _models(view: View, function: FunctionInfo, queryset: ast.expr) -> tuple[str, ...]:
    manager = manager_of(queryset)
    return view.of(manager.value, function) if manager is not None else ()


def _why_methods(view: View, classes: Iterable[str], words: Set[str], only_decorated: bool = False) -> str:
    """What methods do that no call names: special ones, properties and their setters."""
    for found in (view.names.class_(name.removesuffix("()")) for name in classes):
        for module, info in view.names.lineage(*found) if found is not None else ():
            for node in info.node.body:
                if isinstance(node, ast.FunctionDef) and node.name in words:
                    if node.decorator_list or not only_decorated:
                        method = FunctionInfo(node, f"{info.qualname}.{node.name}", info, None)
                        reason = _why_body(view, Place(module, method), 0)
                        if reason:
                            return reason
    return ""


def _why_call(
    view: View, function: FunctionInfo, queryset: ast.expr, call: ast.Call, variables: set[str], depth: int
) -> str:
    word = getattr(call.func, "attr", getattr(call.func, "id", ""))
    base = call.func.value if isinstance(call.func, ast.Attribute) else None
    root = base
    while isinstance(root, ast.Attribute | ast.Call | ast.Subscript):
        root = root.func if isinstance(root, ast.Call) else root.value
    on_row = isinstance(root, ast.Name) and root.id in variables
    if word in _WRITES and base is not None:
        return f"{word}() is called in the loop"
    if word in _RELATED_WRITES and on_row and base is not root:
        return f"{word}() is called in the loop"
    if on_row and base is root and word not in _HARMLESS_METHODS and not _is_display(word):
        return _why_method(view, function, queryset, word, depth)
    if base is None or (isinstance(base, ast.Name) and base.id in ("self", "cls")):
        return _why_function(view, function, queryset, call, depth)
    names = view.of(call.func, function)
    given_itself = any(isinstance(argument, ast.Name) and argument.id in variables for argument in call.args)
    if given_itself and word not in _TAKING:
        return _why_function(view, function, queryset, call, depth)
    if any(view.names.function(name) is not None or name in _COMMAND for name in names):
        return _why_function(view, function, queryset, call, depth)
    return ""


def _is_display(word: str) -> bool:
    return (word.startswith("get_") and word.endswith("_display")) or word in dir(str) or word in dir(dict)


def _why_method(view: View, function: FunctionInfo, queryset: ast.expr, word: str, depth: int) -> str:
    for name in _models(view, function, queryset):
        for method in view.names.member(f"{name}()", word):
            found = view.names.function(method)
            if found is not None:
                return _why_body(view, Place(*found), depth)
    return f"what {word}() does with the row is not known"


def _why_function(view: View, function: FunctionInfo, queryset: ast.expr, call: ast.Call, depth: int) -> str:
    names = [name for name in view.of(call.func, function) if not name.endswith("()")]  # what an object does may be all
    if names and all(name.startswith("builtins.") for name in names):
        return ""
    for name in names:
        found = view.names.function(name)
        if found is not None:
            return _why_body(view, Place(*found), depth)
        if not name.startswith("@") and (
            name.partition(".")[0] in sys.stdlib_module_names or name.startswith(_READING)
        ):
            return ""
    return f"what {ast.unparse(call.func)}() does with the row is not known"


def _why_body(view: View, place: Place, depth: int) -> str:
    assert place.function is not None
    called = place.function.node.name
    if depth > _DEEPEST:
        return f"what {called}() does with the row is not known"
    for node in own_nodes(place.function.node):
        if isinstance(node, ast.Call):
            word = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if word in _WRITES and isinstance(node.func, ast.Attribute):
                return f"{called}(), called in the loop, calls {word}()"
            names = view.names.of(node.func, place)
            if any(name in _COMMAND for name in names) or (isinstance(node.func, ast.Name) and not names):
                return f"what {word}() does, which {called}() calls in the loop, is not known"
            for inner in (view.names.function(name) for name in names):
                if inner is not None and inner[1].node is not place.function.node:
                    reason = _why_body(view, Place(*inner), depth + 1)
                    if reason:
                        return reason
    return ""


def bound_names(target: ast.expr) -> set[str]:
    """The names a loop's target binds."""
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
