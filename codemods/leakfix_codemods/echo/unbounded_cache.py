"""A map of the package that requests fill and nothing empties.

What leaks
----------
A map at package level gets an entry for every key that comes in, and no line of the package deletes one, clears it or
looks at its size.

Why it hurts
------------
The process lives for months, and so does every entry. Memory grows with the number of different keys until the
process is killed; entries that hold large structures take it sooner.

How it is repaired
------------------
In front of the line that adds an entry: where there are a thousand, all are dropped. It stands where the entry is
added, so under the same lock. Always for review: an LRU cache keeps what is used, this guard does not.

When it is left alone
---------------------
Maps that are filled in ``init``, ``main`` or by what registers things; maps whose keys are constants; maps that are
deleted from, cleared, made anew or measured anywhere in the package; maps that no lock protects where they are filled.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from leakfix.codemod import Category, Fix, GoMatch, GoPatternCodemod, GoView, Refusal, Safety, Severity
from leakfix.languages.go.packages import GoFunction
from leakfix.languages.go.syntax import line, listed, own, text
from leakfix.patterns.go import enclosing
from leakfix.source import Span

if TYPE_CHECKING:
    from tree_sitter import Node

MOST = 1000
_AT_START = re.compile(r"(?:init|main|register|setup|load|new|must|configure|add)", re.IGNORECASE)
_CONSTANT = re.compile(r"[A-Z]\w*\.[A-Z]\w*|\"[^\"]*\"|`[^`]*`|\d+")


def find(view: GoView) -> Iterator[GoMatch]:
    """Maps of the package that functions of this file fill for ever."""
    for name, (spec, _) in view.package.variables.items():
        if not _is_map(spec) or _is_bounded(view, name, spec):
            continue
        for function, _ in view.functions:
            if _AT_START.match(function.qualname.rpartition(".")[2]):
                continue
            for adding in _additions(function, name):
                span = Span(adding.start_byte, adding.end_byte)
                yield GoMatch(
                    span,
                    function.qualname,
                    f"{name} gets an entry for every key, and nothing ever removes one",
                    partial(repair, view, function, adding, name),
                    Severity.WARNING,
                    "forever",
                    ((line(spec), "lives as long as the process"),),
                )


def _is_map(spec: "Node") -> bool:
    declared = spec.child_by_field_name("type")
    if declared is not None:
        return declared.type == "map_type"
    values = listed(spec.child_by_field_name("value"))
    return any(
        value.type in ("call_expression", "composite_literal") and "map[" in text(value)[:10] for value in values
    )


def _is_bounded(view: GoView, name: str, spec: "Node") -> bool:
    """Whether anything in the package empties the map, measures it or hands it on."""
    word = re.escape(name)
    shapes = rf"delete\({word},|clear\({word}\)|len\({word}\)|\b{word} = |&{word}\b|[(,] *{word}[,)]|return {word}\b"
    pattern = re.compile(shapes.encode())
    return any(pattern.search(file.source.data.replace(spec.text or b"-", b"")) for file in view.package.files)


def _additions(function: GoFunction, name: str) -> Iterator["Node"]:
    for node in own(function.node):
        if node.type != "assignment_statement":
            continue
        for place in listed(node.child_by_field_name("left")):
            operand = place.child_by_field_name("operand")
            if place.type != "index_expression" or operand is None or text(operand) != name:
                continue
            if not _CONSTANT.fullmatch(text(place.child_by_field_name("index"))):
                yield node


def repair(view: GoView, function: GoFunction, adding: "Node", name: str) -> Fix | Refusal:
    """Drop all where there are too many."""
    locked = any(node.type == "call_expression" and text(node).endswith(".Lock()") for node in own(function.node))
    if not locked:
        return Refusal("no lock protects it where it is filled")
    sheet = view.sheet()
    if not sheet.stands_alone(adding) or enclosing(adding, "block") is None:
        return Refusal("the line that adds an entry holds something else")
    indent = sheet.indent(adding)
    sheet.before(adding, f"{indent}if len({name}) >= {MOST} {{", f"{indent}\tclear({name})", f"{indent}}}")
    check = "that entries may go at any time, and that the module is for Go 1.21 or newer, which has clear()"
    return Fix(f"keep at most {MOST:,} entries", Safety.REVIEW, tuple(sheet.edits), check)


CODEMOD = GoPatternCodemod(
    find=find,
    noun="cache",
    repairs="a bound on the number of entries, inside the lock",
    shape=r"^var |^\t\w+ += (?:make\()?map\[",
    category=Category.GROWTH,
)
