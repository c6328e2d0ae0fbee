"""A map of the package as a ``golang-lru/v2`` cache: same questions, same additions, and a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakfix.codemod import GoView
from leakfix.languages.go.syntax import listed, plain, text, walk
from leakfix.repairs.go.imports import imported
from leakfix.repairs.go.places import Sheet
from leakfix.source import Edit

if TYPE_CHECKING:
    from tree_sitter import Node

_PATH = "github.com/hashicorp/golang-lru/v2"


def cache_of(view: GoView, name: str, most: int) -> tuple[Edit, ...] | None:
    """The edits that make a map such a cache; None where anything else is done with it, or its type is not written.

    ``New`` returns an error for sizes below one only (golang-lru v2, ``lru.go``).
    """
    spec, file = view.package.variables[name]
    sheet = view.sheet()
    if (
        file is not view.file
        or not _declared(sheet, spec, name, most)
        or not imported(view.file.root, sheet, _PATH, "lru")
    ):
        return None
    for other in view.package.files:
        for node in walk(other.root):
            if node.type == "identifier" and text(node) == name and not _is_inside(node, spec):
                if other is not view.file or not _rewritten(sheet, node):
                    return None
    return tuple(sheet.edits)


def _is_inside(node: Node, outer: Node) -> bool:
    return outer.start_byte <= node.start_byte < outer.end_byte


def _declared(sheet: Sheet, spec: Node, name: str, most: int) -> bool:
    """``var prices = map[string]int{}`` as a cache, where it is declared alone and says its type."""
    declaration = spec.parent
    values = listed(spec.child_by_field_name("value"))
    if declaration is None or declaration.type != "var_declaration" or declaration.named_child_count != 1:
        return False
    if len(spec.children_by_field_name("name")) != 1 or len(values) > 1:
        return False
    kind = next((node for node in walk(plain(values[0]) if values else spec) if node.type == "map_type"), None)
    if kind is None or spec.child_by_field_name("type") not in (None, kind):
        return False
    key, item = text(kind.child_by_field_name("key")), text(kind.child_by_field_name("value"))
    sheet.replace(spec.start_byte, spec.end_byte, f"{name}, _ = lru.New[{key}, {item}]({most})")
    return True


def _rewritten(sheet: Sheet, node: Node) -> bool:
    """A question or an addition in the words of the cache; False for any other use."""
    entry = node.parent
    if entry is None or entry.type != "index_expression" or entry.child_by_field_name("operand") != node:
        return False
    key = text(entry.child_by_field_name("index"))
    places = entry.parent
    statement = places.parent if places is not None and places.type == "expression_list" else None
    if statement is None or statement.type not in ("assignment_statement", "short_var_declaration"):
        return False
    left, right = listed(statement.child_by_field_name("left")), listed(statement.child_by_field_name("right"))
    if entry in right and len(left) == 2 and len(right) == 1:
        sheet.replace(entry.start_byte, entry.end_byte, f"{text(node)}.Get({key})")
        return True
    operator = statement.child_by_field_name("operator")
    if entry in left and len(left) == len(right) == 1 and operator is not None and text(operator) == "=":
        if right[0].type == "binary_expression":  # gofmt spaces it otherwise among arguments
            return False
        sheet.replace(statement.start_byte, right[0].start_byte, f"{text(node)}.Add({key}, ")
        sheet.replace(right[0].end_byte, right[0].end_byte, ")")
        return True
    return False
