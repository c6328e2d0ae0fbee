"""The one place that knows tree-sitter: Go source as a tree of nodes with byte offsets.

A construct the grammar does not know becomes an ERROR node; it silences the function it stands in, not the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Parser, Query


@lru_cache(maxsize=1)
def _language() -> Language:
    import tree_sitter
    import tree_sitter_go

    return tree_sitter.Language(tree_sitter_go.language())


@lru_cache(maxsize=1)
def _parser() -> Parser:
    import tree_sitter

    return tree_sitter.Parser(_language())


@lru_cache(maxsize=64)
def _query(kind: str) -> Query:
    import tree_sitter

    return tree_sitter.Query(_language(), f"({kind}) @found")


def parsed(data: bytes) -> Node:
    """The root of a file's tree; there always is one."""
    return _parser().parse(data).root_node


def text(node: Node | None) -> str:
    """The source of a node; empty for none."""
    return (node.text or b"").decode("utf-8", "replace") if node is not None else ""


def line(node: Node) -> int:
    """The 1-based line a node begins on."""
    return int(node.start_point[0]) + 1


def statements(block: Node | None) -> list[Node]:
    """The statements of a block or of a case."""
    if block is None:
        return []
    listed = next((child for child in block.children if child.type == "statement_list"), None)
    found = listed.named_children if listed is not None else ()
    return [child for child in found if child.type != "comment"]


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, in the order of the source."""
    stack = [node]
    while stack:
        found = stack.pop()
        yield found
        stack.extend(reversed(found.children))


def of_kind(node: Node, kind: str) -> list[Node]:
    """What ``walk`` gives of one kind, found without making a Python object of every node."""
    import tree_sitter

    found = tree_sitter.QueryCursor(_query(kind)).captures(node).get("found", [])
    return sorted(found, key=lambda each: (each.start_byte, -each.end_byte))


def own(node: Node) -> Iterator[Node]:
    """A node and all below it, without the bodies of function literals in it."""
    stack = [node]
    while stack:
        found = stack.pop()
        yield found
        if found.type != "func_literal" or found == node:
            stack.extend(reversed(found.children))


def listed(node: Node | None) -> list[Node]:
    """The expressions of a list, or the one that stands alone."""
    if node is None:
        return []
    if node.type == "expression_list":
        return [child for child in node.named_children if child.type != "comment"]
    return [node]


def plain(node: Node) -> Node:
    """An expression without the brackets round it."""
    while node.type == "parenthesized_expression" and node.named_child_count:
        node = node.named_children[0]
    return node


def errors_in(root: Node) -> int:
    """How many places of a tree are no Go, or none the grammar knows."""
    if not root.has_error:
        return 0
    return sum(node.is_error or node.is_missing for node in walk(root))
