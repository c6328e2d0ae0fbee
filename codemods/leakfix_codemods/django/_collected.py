"""Loops that keep what they read: rows, or as much of each, in a list or a dict that is there when the loop is over."""

from __future__ import annotations

import ast
from collections.abc import Set
from functools import partial

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix_codemods.django._loops import bound_names
from leakfix_codemods.django._querysets import links

_COPIED = 4
"""Values of a row: in a dict, or an object made of so many, it lives on."""
_WRITES_AT_ONCE = frozenset({"bulk_create", "abulk_create", "bulk_update", "abulk_update"})
_ROUNDS = 3


def keeps_rows(view: View, comprehension: ast.AST, variables: set[str], source: ast.expr) -> bool:
    """Whether a comprehension's result is the rows themselves, or one value of each for a row of one value.

    A dict of many of a row's values weighs what the row does, ``bulk_create`` makes a list of what it is given, and a
    list that is given a name, with a value for each row, is as long as the table.
    """
    element = getattr(comprehension, "elt", getattr(comprehension, "value", None))
    match comprehension, view.parents[comprehension]:
        case ast.GeneratorExp(), ast.Call(func=ast.Attribute(attr="bulk_create" | "abulk_create")):
            return True
        case ast.GeneratorExp(), _:
            return False
        case ast.ListComp(elt=ast.Attribute() | ast.Call(), generators=[ast.comprehension(ifs=[])]), ast.Assign():
            return True
    flat = any(word.arg == "flat" for call in links(source) for word in call.keywords)
    tuples = any(getattr(call.func, "attr", "") == "values_list" for call in links(source))
    copied = tuples and isinstance(element, ast.Tuple) and len(element.elts) > 1
    return flat or copied or (element is not None and _is_kept_in(element, variables))


def _is_kept_in(element: ast.expr, variables: set[str], derived: Set[str] = frozenset()) -> bool:
    """Whether an expression is a row, an object that refers to one, ``Mark(user=user)``, or has many of its values."""
    match element:
        case ast.Name(id=name):
            return name in variables
        case ast.Dict(values=values):
            return len(values) >= _COPIED or any(_is_kept_in(value, variables) for value in values)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return any(_is_kept_in(part, variables) for part in parts)
        case ast.Call(func=ast.Name(id="list" | "tuple" | "set" | "dict" | "sorted"), args=[given, *_]):
            return _names(variables, given)
        case ast.Call(args=args, keywords=words):
            passed = [*args, *(word.value for word in words)]
            refers = any(isinstance(value, ast.Name) and value.id in variables for value in passed)
            return (name_of(element)[:1].isupper() and refers) or sum(
                map(partial(_names, variables | derived), passed)
            ) >= _COPIED
    return False


def _names(variables: Set[str], value: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id in variables for node in ast.walk(value))


def _holding(loop: ast.For | ast.AsyncFor, variables: set[str]) -> set[str]:
    """The variables that hold a row in a loop's body, or something made of one that refers to it."""
    held, derived = set(variables), set(variables)
    for _ in range(_ROUNDS):
        for node in (node for statement in loop.body for node in ast.walk(statement)):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_kept_in(value, held, derived):
                    held.add(name)
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if _names(derived, value):
                    derived.add(name)
                case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))], value=value):
                    held |= {name} if _is_kept_in(value, held) else set()
                case ast.For(target=target, iter=ast.Name(id=name)) if name in held:
                    held |= bound_names(target)
    return held


def collects_rows(loop: ast.For | ast.AsyncFor, variables: set[str]) -> bool:
    """Whether a loop puts rows into a list or a dict, where they stay either way: it does not empty that itself."""
    nodes = [node for statement in loop.body for node in ast.walk(statement)]
    held = _holding(loop, variables)
    emptied = {name for node in nodes if (name := _emptied(node))}
    for node in nodes:
        match node:
            case ast.Call(
                func=ast.Attribute(value=kept, attr="append" | "add" | "insert" | "setdefault"), args=[*_, element]
            ) if _is_kept_in(element, held):
                pass
            case ast.Assign(targets=[ast.Subscript(value=kept)], value=element) if _is_kept_in(element, held):
                pass
            case ast.Assign(targets=[ast.Subscript(value=kept, slice=ast.Name(id=name))]) if name in variables:
                pass
            case _:
                continue
        if not isinstance(kept, ast.Name) or kept.id not in emptied:
            return True
    return False


def _emptied(node: ast.AST) -> str:
    """The variable that a statement empties or begins anew: ``batch = []``, ``batch.clear()``, ``del batch[:]``."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.List(elts=[]) | ast.Dict(keys=[])):
            return name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="clear")):
            return name
        case ast.Delete(targets=[ast.Subscript(value=ast.Name(id=name), slice=ast.Slice(lower=None, upper=None))]):
            return name
    return ""


def collects_for_one_write(view: View, function: FunctionInfo, loop: ast.For | ast.AsyncFor) -> bool:
    """Whether a loop makes new objects of a list that is written at once after it: as many are kept as there are rows.

    Where the loop itself writes and empties the list, few are.
    """
    lists = {
        node.func.value.id
        for node in ast.walk(loop)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.attr in ("append", "extend")
    }
    written = {
        (item.id, node.lineno)
        for node in (view.own(function) if lists else ())
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in _WRITES_AT_ONCE
        for item in node.args[:1]
        if isinstance(item, ast.Name) and item.id in lists
    }
    last = loop.end_lineno or loop.lineno
    return bool(written) and all(line > last for _, line in written)
