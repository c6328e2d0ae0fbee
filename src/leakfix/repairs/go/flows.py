"""What may still need a value: the variables that something made from it is put into, and where they go.

Syntax alone tells little of types, so what is not seen to be harmless counts as needing the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leakfix.languages.go.syntax import listed, own, plain, text, walk
from leakfix.repairs.go.places import assigned_names, mentions

if TYPE_CHECKING:
    from tree_sitter import Node

_ERROR = re.compile(r"_|(?:\w*[eE]rr(?:or)?\d*)")
_CONSUMES = re.compile(
    r"ReadAll|Scan\w*|StructScan|MapScan|Err|Close\w*|Rollback|Commit|Exec\w*|MustExec|Next\w*|RowsAffected|LastInsertId|"
    r"Ping\w*|Decode|Unmarshal\w*|Copy\w*|String|len|cap|Columns|Print\w*|Sprint\w*|Errorf|Wrap\w*|Is|As|Status|Done|Join|"
    r"Select\w*|QueryRow\w*|Release|int|int64|string|bool|Deadline|Value"
)
_BINDS = re.compile(
    r"(?:Query(?!Row)|NamedQuery|Begin|Conn|Acquire|Prepare|SendBatch|Do(?![a-z])|Get(?![a-z])|Post|Dial|Open|Stream|Watch|"
    r"Subscribe|Listen|NewRequest|Command|New|With)"
)
_HOLDS = re.compile(
    r"Rows|Tx\b|Stmt|Conn\b|Reader|Closer|Response|Request\b|Context|Iter|Cursor|Stream|\bchan\b|\bfunc\(|\bany\b|interface"
)


@dataclass(frozen=True)
class Package:
    """The functions and types that a file's package declares, by their own names."""

    functions: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    types: Mapping[str, Node] = field(default_factory=dict)

    def may_hold(self, called: str) -> bool | None:
        """Whether what a function of the package gives may hold what it is given; None for somebody else's."""
        found = self.functions.get(called)
        if not found:
            return None
        return any(self._holds(text(node.child_by_field_name("result"))) for node in found)

    def keeps(self, called: str) -> bool:
        """Whether a function of the package starts something, or stores what it is given."""
        return any(self._keeps(node) for node in self.functions.get(called, ()))

    def _holds(self, kind: str, depth: int = 0) -> bool:
        if _HOLDS.search(kind):
            return True
        inner = [self.types[word] for word in re.findall(r"\w+", kind) if word in self.types]
        return depth < 3 and any(self._holds(_members(node), depth + 1) for node in inner)

    def _keeps(self, node: Node) -> bool:
        waits = b".Wait()" in (node.text or b"")
        for item in own(node):
            if item.type == "go_statement" and not waits:
                return True
            if item.type == "assignment_statement":
                places = listed(item.child_by_field_name("left"))
                values = listed(item.child_by_field_name("right"))
                stored = any(place.type in ("selector_expression", "index_expression") for place in places)
                if stored and any(plain(value).type == "identifier" for value in values):
                    return True
        return False


def _members(declaration: Node) -> str:
    """The types a struct's fields have, and nothing else of it: its name may say what it does not hold."""
    kinds = [item.child_by_field_name("type") for item in walk(declaration) if item.type == "field_declaration"]
    return " ".join(text(kind) for kind in kinds)


def is_error(name: str) -> bool:
    """Whether a variable, by its name, is an error, or none at all."""
    return _ERROR.fullmatch(name) is not None


def carries(value: Node, names: Iterable[str], package: Package, safe: Iterable[str] = ()) -> bool:
    """Whether an expression may give something that needs what one of the names holds.

    safe: fields that are plain values.
    """
    value = plain(value)
    match value.type:
        case "identifier":
            return text(value) in names
        case "selector_expression":
            operand = value.child_by_field_name("operand")
            plain_field = text(value.child_by_field_name("field")) in safe
            return operand is not None and not plain_field and carries(operand, names, package, safe)
        case "call_expression":
            return _call_carries(value, names, package)
        case "binary_expression" | "interpreted_string_literal" | "raw_string_literal" | "int_literal":
            return False
        case "func_literal":
            return any(mentions(value, name) for name in names)
    return any(carries(child, names, package, safe) for child in value.named_children)


def _call_carries(call: Node, names: Iterable[str], package: Package) -> bool:
    if not any(mentions(call, name) for name in names):
        return False
    called = text(call.child_by_field_name("function")).rpartition(".")[2]
    known = package.may_hold(called)
    if known is not None:
        return known
    return called == "append" or (_BINDS.match(called) is not None and _CONSUMES.fullmatch(called) is None)


def flows(region: Iterable[Node], name: str, package: Package, safe: Iterable[str] = ()) -> set[str]:
    """A name, and the variables of some statements that may hold something made from it; errors left out."""
    found = {name}
    nodes = [item for statement in region for item in walk(statement)]
    for _ in range(4):
        before = len(found)
        for item in nodes:
            for place, value in _bindings(item):
                if place not in found and not is_error(place) and carries(value, found, package, safe):
                    found.add(place)
        if len(found) == before:
            break
    return found


def _bindings(item: Node) -> Iterator[tuple[str, Node]]:
    """The variables an item sets, each with what it is set from; several may be set from one call."""
    if item.type == "var_spec":
        places = [text(place) for place in item.children_by_field_name("name")]
        values = listed(item.child_by_field_name("value"))
    elif item.type in ("short_var_declaration", "assignment_statement"):
        places, values = assigned_names(item), listed(item.child_by_field_name("right"))
    else:
        return
    for at, place in enumerate(places):
        if values and place.isidentifier():
            yield place, values[at] if len(values) == len(places) else values[0]
