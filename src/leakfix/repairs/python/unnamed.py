"""What needs a resource without naming it: locks it holds, listeners, a database in memory, what was set on it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from leakfix.languages.python.modules import Value
from leakfix.repairs.python.layout import last_line
from leakfix.repairs.python.subject import Refused, Subject, Suite, Wrong

_HOLDS = re.compile(
    r"\bpg_(?:try_)?advisory_lock|\bget_lock\s*\(|\bfor\s+(?:no\s+key\s+)?(?:update|share)\b"
    r"|\bbegin\s+(?:exclusive|immediate)\b|\block\s+tables?\b|\blisten\s+\w|\bcreate\s+(?:global\s+|local\s+)?temp"
    r"|\bmode=memory\b",
    re.IGNORECASE,
)
"""Statements and addresses whose effect lasts as long as the connection, or its transaction."""
_LISTENS = frozenset("with_for_update add_listener add_termination_listener add_notify_handler fileno".split())
_SETS = re.compile(r"^\s*set\s+(?!local\b|transaction\b|constraints\b)", re.IGNORECASE)
_SETTINGS = frozenset("autocommit isolation_level readonly deferrable set_session set_isolation_level".split())


def check_unnamed(subject: Subject, region: Suite) -> Iterator[str]:
    """Notes for a reviewer. Raises Wrong where the rest of the function may rely on the resource being open."""
    resource, function = subject.resource, subject.call.func
    if isinstance(function, ast.Attribute) and function.attr.endswith("cursor"):
        return  # its connection stays open, and all that lasts with that
    last = max((last_line(statement) for statement in region), default=last_line(subject.statement))
    inside = [node for statement in (subject.statement, *region) for node in _expressions(statement)]
    held = next((node for node in inside if _holds(node) or _is_of_memory(subject, node)), None)
    later = next((node for node in subject.own(subject.node.body) if _does(node) and _line(node) > last), None)
    if held is not None and later is not None:
        lasting = f"what line {held.lineno} began lasts as long as the {resource.noun}"
        raise Wrong(f"{lasting}, and line {_line(later)} may need it")
    if resource.keyed and (subject.call.args or subject.call.keywords):
        raise Refused("it has a key, and may be given back by that elsewhere")
    setting = next((node for node in inside if _is_setting(node)), None)
    if resource.release_with and not resource.release and setting is not None:
        yield f"what line {setting.lineno} sets stays set for whoever gets the {resource.noun} next"


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    return (node for node in ast.walk(statement) if isinstance(node, ast.expr))


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def _is_of_memory(subject: Subject, node: ast.expr) -> bool:
    """Whether an argument of the acquiring call is a constant of the file that names a database in memory."""
    if not isinstance(node, ast.Name) or node not in subject.call.args:
        return False
    bindings = subject.module.names.get(node.id, ())
    return any(isinstance(binding, Value) and _holds(binding.expression) for binding in bindings)


def _holds(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str() as text):
            return _HOLDS.search(text) is not None
        case ast.Attribute(attr=word):
            return word in _LISTENS
    return False


def _does(node: ast.AST) -> bool:
    return isinstance(node, ast.Call | ast.Await)


def _is_setting(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str() as text):
            return _SETS.match(text) is not None
        case ast.Attribute(attr=word, ctx=ast.Store()):
            return word in _SETTINGS
        case ast.Call(func=ast.Attribute(attr=word)):
            return word in _SETTINGS
    return False
