"""What needs a resource without naming it: locks it holds, listeners, a database in memory, what was set on it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from leakfix.languages.python.modules import Value
from leakfix.repairs.python.layout import last_line
from leakfix.repairs.python.subject import Refused, Subject, Suite, Wrong

_OF_SESSIONS = re.compile(
    r"\bpg_(?:try_)?advisory_lock|\bget_lock\s*\(|^\s*listen\s|\bcreate\s+(?:global\s+|local\s+)?temp|\bmode=memory\b",
    re.IGNORECASE,
)
"""Statements and addresses whose effect lasts as long as the connection."""
_OF_TRANSACTIONS = re.compile(
    r"\bpg_(?:try_)?advisory_xact_lock|^\s*begin\s+(?:exclusive|immediate)\b|^\s*lock\s+tables?\b"
    r"|\b(?:from|where|by|limit)\b.*\bfor\s+(?:no\s+key\s+)?(?:update|share)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Those whose effect ends with the transaction."""
_LISTENS = frozenset("add_listener add_termination_listener add_notify_handler fileno".split())
_LOCKS = frozenset({"with_for_update"})
_UNLOCKS = re.compile(r"\badvisory_unlock|\brelease_(?:all_)?locks?\s*\(|^\s*unlisten\b|^\s*unlock\b", re.IGNORECASE)
_ENDS = frozenset("commit rollback".split())
_SETS = re.compile(r"^\s*set\s+(?!local\b|transaction\b|constraints\b)", re.IGNORECASE)
_SETTINGS = frozenset("autocommit isolation_level readonly deferrable set_session set_isolation_level".split())


def check_unnamed(subject: Subject, region: Suite, released: bool) -> Iterator[str]:
    """Notes for a reviewer. Raises Wrong where the rest of the function may rely on the resource being open.

    released: whether the function itself releases it at the end of the region.
    """
    resource, function = subject.resource, subject.call.func
    if isinstance(function, ast.Attribute) and function.attr.endswith("cursor"):
        return  # its connection stays open, and all that lasts with that
    last = max((last_line(statement) for statement in region), default=last_line(subject.statement))
    inside = [node for statement in (subject.statement, *region) for node in _expressions(statement)]
    held = next((node for node in inside if _lasts(subject, node, inside)), None)
    later = next((node for node in subject.own(subject.node.body) if _does(node) and _line(node) > last), None)
    if held is not None and later is not None and not released:
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


def _lasts(subject: Subject, node: ast.expr, inside: list[ast.expr]) -> bool:
    """Whether a part of a region begins something that lasts, and nothing in the region behind it ends that."""
    if _is_of_memory(subject, node):
        return True
    match node:
        case ast.Constant(value=str() as text) if _OF_TRANSACTIONS.search(text):
            return not _ends(_after(node, inside))
        case ast.Constant(value=str() as text) if _OF_SESSIONS.search(text):
            return not any(_text_of(other) and _UNLOCKS.search(_text_of(other)) for other in _after(node, inside))
        case ast.Attribute(attr=word):
            return word in _LISTENS or (word in _LOCKS and not _ends(_after(node, inside)))
    return False


def _after(node: ast.expr, inside: list[ast.expr]) -> Iterator[ast.expr]:
    return (other for other in inside if other.lineno > node.lineno)


def _ends(nodes: Iterator[ast.expr]) -> bool:
    return any(getattr(node, "attr", "") in _ENDS for node in nodes)


def _is_of_memory(subject: Subject, node: ast.expr) -> bool:
    """Whether an argument of the acquiring call is a constant of the file that names a database in memory."""
    if not isinstance(node, ast.Name) or node not in subject.call.args:
        return False
    values = [item.expression for item in subject.module.names.get(node.id, ()) if isinstance(item, Value)]
    return any("mode=memory" in _text_of(value) for value in values)


def _text_of(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


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
