"""One Go file as a pattern codemod sees it, and a place in it that it reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from leakfix.config import NO_WISHES, Wishes
from leakfix.finding import Fix, Refusal, Requirement, Severity
from leakfix.ir.nodes import Call, Function, Node
from leakfix.languages.go.packages import GoFile, GoFunction, Package, Resolver
from leakfix.languages.go.syntax import of_kind, text
from leakfix.project import manifest
from leakfix.repairs.go.places import Sheet
from leakfix.resources import ResourceTable
from leakfix.source import Span

if TYPE_CHECKING:
    from tree_sitter import Node as Syntax


@dataclass(frozen=True, slots=True)
class GoMatch:
    """A place that a codemod reports.

    span: what is marked; function: where it stands, as people write it. repair: called once, where it is shown.
    steps: lines of the witness with what happens there, besides the marked one.
    """

    span: Span
    function: str
    message: str
    repair: Callable[[], Fix | Refusal]
    severity: Severity = Severity.WARNING
    held: str | None = None
    steps: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class GoView:
    """A parsed file with what its functions do.

    lowered: gives the functions of the file with their graphs, function literals as functions of their own.
    wishes: what repairs may or should do beyond the least.
    """

    file: GoFile
    package: Package
    resolver: Resolver
    table: ResourceTable
    lowered: Callable[[], Sequence[tuple[GoFunction, Function]]]
    wishes: Wishes = NO_WISHES

    @cached_property
    def functions(self) -> Sequence[tuple[GoFunction, Function]]:
        """The functions of the file with their graphs, made when they are first asked for."""
        return self.lowered()

    def sheet(self) -> Sheet:
        """A fresh sheet for edits of the file."""
        return Sheet(self.file.source)

    def may_use(self, requirement: Requirement) -> bool:
        """Whether the module requires a library, or lets repairs bring it in."""
        return manifest.may_use(self.file.path, requirement, self.wishes.dependencies)

    def calls(self, function: Function) -> Iterator[tuple[Node, Call]]:
        """The calls of a function, in the order of its graph."""
        for node in function.graph.nodes:
            if isinstance(node.op, Call):
                yield node, node.op

    def is_called(self, call: Call, wanted: Iterable[str]) -> bool:
        """Whether a call is one of these, by their symbolic names."""
        names = {self.table.canonical(name) for name in call.callee.names}
        return not names.isdisjoint(wanted)

    def syntax_at(self, span: Span | None, kind: str) -> Syntax | None:
        """The node of a kind that fills a span."""
        if span is None:
            return None
        found = self.file.root.descendant_for_byte_range(span.start, span.end)
        while found is not None and found.type != kind:
            found = found.parent
        return found if found is not None and found.start_byte == span.start else None

    def named(self, kind: str) -> Iterator[Syntax]:
        """Every node of a kind in the file."""
        return iter(of_kind(self.file.root, kind))


def enclosing(node: Syntax, *kinds: str) -> Syntax | None:
    """The innermost node of some kinds round another."""
    at = node.parent
    while at is not None and at.type not in kinds:
        at = at.parent
    return at


__all__ = ["GoMatch", "GoView", "Sheet", "enclosing", "text"]
