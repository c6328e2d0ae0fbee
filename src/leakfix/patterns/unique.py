"""What is made once and is not the same when it is made again: locks, connections, what chance makes, what changes.

The words stand here once; who uses them says in which form they have to appear.
"""

from __future__ import annotations

import ast

from leakfix.languages.python.modules import ClassInfo, FunctionInfo, FunctionNode, own_nodes
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.view import View

IN_USE = "Lock|Semaphore|Event|Condition|Queue|Task|Thread|Timer|create_task"
"""Calls that make something others may be holding or waiting for."""
CONNECTED = r"Client|Session|Engine|Connection|Pool|sessionmaker|create_\w*(?:engine|pool|client)|connect"
"""Calls that make one thing for each server or tenant."""
CHANCE = r"\brandom\b|\brand(?:int|range|bits|bytes)?\(|\buuid\d|\bsecrets\b|\burandom\b|\btoken_"
"""Whose value is another each time."""
CLOCK = r"\b(?:utc)?now\(|\btime\(\)|\bmonotonic\(|\bperf_counter\(|\btoday\(|\bnext\(\w+\)"
"""Whose value is another later on."""
DONE = (
    r"(?:\b(?:charge|book|reserve|allocate|provision|enqueue|publish|submit|insert|insert_\w+)"
    r"|\.(?:create|register|issue|send|pay))\("
)
"""Calls that do something in the world beside giving their value."""

_CONTAINERS = frozenset("list dict set deque defaultdict Counter OrderedDict".split())


def is_changing(view: View, function: FunctionInfo, value: ast.expr) -> bool:
    """Whether a value is a new object of the project that changes later: by its methods, or by what it begins empty."""
    for name in view.of(value.func, function) if isinstance(value, ast.Call) else ():
        found = view.names.class_(name)
        if found is not None:
            methods = found[1].methods.values()
            return any(_sets(method.node) for method in methods) or _collects(found[1])
    return False


def _sets(method: FunctionNode) -> bool:
    stores = (n for n in own_nodes(method) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store))
    return method.name != "__init__" and next(stores, None) is not None


def _collects(owner: ClassInfo) -> bool:
    for node in ast.walk(owner.node):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        is_own = node in owner.node.body or any(isinstance(target, ast.Attribute) for target in targets)
        if isinstance(node, ast.Assign | ast.AnnAssign) and is_own and node.value and _is_empty(node.value):
            return True
    return False


def _is_empty(value: ast.expr) -> bool:
    match value:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(keywords=[ast.keyword(arg="default_factory")]):
            return True
        case ast.Call():
            return name_of(value) in _CONTAINERS
    return False
