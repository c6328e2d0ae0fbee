"""What a loop over the rows of a queryset does to those still to come, and to what they come from."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

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
_HARMLESS_METHODS = frozenset({"get_absolute_url", "natural_key", "pk"})
_MAKING = ("__init__", "__enter__", "__exit__")
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
                reason = _why_property(view, function, queryset, node.attr)
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
    given = [item for argument in [*call.args, *(k.value for k in call.keywords)] for item in ast.walk(argument)]
    takes_row = any(isinstance(item, ast.Name) and item.id in variables for item in given)
    if on_row and base is root and word not in _HARMLESS_METHODS and not _is_display(word):
        return _why_method(view, function, queryset, word, depth)
    if base is None or (isinstance(base, ast.Name) and base.id in ("self", "cls")):
        return _why_function(view, function, queryset, call, depth)
    if takes_row and base is not None and word not in _TAKING:
        names = view.of(call.func, function)
        given_itself = any(isinstance(argument, ast.Name) and argument.id in variables for argument in call.args)
        if given_itself or any(view.names.function(name) is not None for name in names):
            return _why_function(view, function, queryset, call, depth)
    return ""


def _is_display(word: str) -> bool:
    return (word.startswith("get_") and word.endswith("_display")) or word in dir(str) or word in dir(dict)


def _why_method(view: View, function: FunctionInfo, queryset: ast.expr, word: str, depth: int) -> str:
    manager = manager_of(queryset)
    for name in view.of(manager.value, function) if manager is not None else ():
        for method in view.names.member(f"{name}()", word):
            if view.names.function(method) is not None:
                return _why_body(view, method, depth)
    return f"what {word}() does with the row is not known"


def _why_property(view: View, function: FunctionInfo, queryset: ast.expr, attribute: str) -> str:
    """What a property of the row's class does that a plain field would not."""
    manager = manager_of(queryset)
    for name in view.of(manager.value, function) if manager is not None else ():
        model = view.names.class_(name)
        for module, info in view.names.lineage(*model) if model is not None else ():
            method = info.methods.get(attribute)
            if method is not None and method.node.decorator_list:
                return _why_body(view, f"@{module.path}:{method.qualname}", 0)
    return ""


def _why_function(view: View, function: FunctionInfo, queryset: ast.expr, call: ast.Call, depth: int) -> str:
    names = [name for name in view.of(call.func, function) if not name.endswith("()")]  # what an object does may be all
    if names and all(name.startswith("builtins.") for name in names):
        return ""
    for name in names:
        if view.names.function(name) is not None:
            return _why_body(view, name, depth)
        if not name.startswith("@") and (
            name.partition(".")[0] in sys.stdlib_module_names or name.startswith(_READING)
        ):
            return ""
    return f"what {ast.unparse(call.func)}() does with the row is not known"


def _why_body(view: View, name: str, depth: int) -> str:
    found = view.names.function(name)
    if found is None or depth > 3:
        return f"what {name.rpartition(':')[2]}() does with the row is not known"
    for node in own_nodes(found[1].node):
        if isinstance(node, ast.Call):
            word = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if word in _WRITES and isinstance(node.func, ast.Attribute):
                return f"{found[1].node.name}(), called in the loop, calls {word}()"
            for inner in view.names.of(node.func, Place(*found)):
                if view.names.function(inner) is not None and inner != name:
                    reason = _why_body(view, inner, depth + 1)
                    if reason:
                        return reason
    return ""


def bound_names(target: ast.expr) -> set[str]:
    """The names a loop's target binds."""
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
