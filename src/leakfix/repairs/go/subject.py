"""A leak as its repairs see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leakfix.finding import Fix, Safety
from leakfix.languages.go.syntax import listed, plain, walk
from leakfix.repairs.go.flows import Package
from leakfix.repairs.go.places import Sheet, assigned_names
from leakfix.resources import Resource
from leakfix.source import SourceFile

if TYPE_CHECKING:
    from tree_sitter import Node


class NoRepair(Exception):
    """There is no repair that is surely right; the message says why."""


@dataclass(frozen=True)
class Subject:
    """A leak as the repairs see it.

    call: what acquires; statement: where it stands, or the ``if`` whose part it is.
    is_known: whether it is a library's own method that is called, and not an interface that gives the same.
    """

    source: SourceFile
    resource: Resource
    call: Node
    statement: Node
    is_known: bool = True
    package: Package = field(default_factory=Package)

    @property
    def names(self) -> list[str]:
        """What the acquiring statement sets."""
        made = self.initializer or self.statement
        return assigned_names(made)

    @property
    def initializer(self) -> Node | None:
        """``if x := acquire(); ... {``: the part before the semicolon."""
        found = self.statement.child_by_field_name("initializer")
        if found is not None and found.start_byte <= self.call.start_byte < found.end_byte:
            return found
        return None

    @property
    def is_value(self) -> bool:
        """Whether the call's results are what is assigned, and not something made of them."""
        made = self.initializer or self.statement
        if made.type == "var_declaration":
            values = [
                item
                for spec in walk(made)
                if spec.type == "var_spec"
                for item in listed(spec.child_by_field_name("value"))
            ]
        else:
            values = listed(made.child_by_field_name("right"))
        return len(values) == 1 and plain(values[0]) == self.call


def arguments_of(call: Node) -> list[Node]:
    """What a call is given."""
    listing = call.child_by_field_name("arguments")
    return [child for child in listing.named_children if child.type != "comment"] if listing is not None else []


def fixed(sheet: Sheet, title: str) -> Fix:
    """The repair that a sheet holds, with nothing left for a person to look at."""
    return Fix(title, Safety.SAFE, tuple(sheet.edits))
