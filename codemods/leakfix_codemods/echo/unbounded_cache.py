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
added, so under the same lock. Always for review: an LRU cache keeps what is used, this guard does not. Where the module
requires ``github.com/hashicorp/golang-lru/v2``, or ``allow-dependencies`` names it and leakfix may add it to go.mod, a
map that is only asked and filled becomes such a cache.

When it is left alone
---------------------
Programs that do not use Echo; maps that are filled in ``init``, ``main`` or by what registers things; maps whose keys
are not made from what the function is given; maps that start with entries; maps that are deleted from, cleared, made
anew or measured anywhere in the package. Where no lock protects the map, it is reported beside handlers only, and
without a repair.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from leakfix.codemod import Category, Fix, GoMatch, GoPatternCodemod, GoView, Refusal, Requirement, Safety, Severity
from leakfix.languages.go.packages import GoFunction, parameters_of
from leakfix.languages.go.syntax import line, listed, own, plain, text
from leakfix.patterns.go import enclosing
from leakfix.project.manifest import declares, go_version
from leakfix.repairs.go.places import assigned_names, mentions
from leakfix.source import Span
from leakfix_codemods.echo._lru import cache_of

if TYPE_CHECKING:
    from tree_sitter import Node

MOST = 1000
LIBRARY = Requirement("github.com/hashicorp/golang-lru/v2", "v2.0.7", "golang-lru/v2")
_SHAPE = r"\A(?s:(?=.*\n(?:var |\t\w+ += (?:make\()?map\[)).*)\][^\n]{0,80}[^\n=!<>:]=[^=]"
"""Something is declared for the package, and something is set by its key."""
_STATE = re.compile(r"Mutex|Once|WaitGroup|Cond\b|\bchan\b|\bfunc\(|Conn\b|Client\b|Limiter|Timer|Ticker|atomic\.")
_MADE_STATE = re.compile(r"\bappend\(|\bmake\(chan|Mutex|rand\.|uuid\.|\+ 1\b")
_MAKING = ("short_var_declaration", "var_declaration", "range_clause", "assignment_statement")
_AT_START = re.compile(r"(?:[Ii]nit|[Mm]ain|[Rr]egister|[Ss]etup|[Nn]ew|[Mm]ust|[Cc]onfigure|[Aa]dd)(?![a-z])")


def find(view: GoView) -> Iterator[GoMatch]:
    """Maps of the package that functions of this file fill for ever."""
    maps = {name: spec for name, (spec, _) in view.package.variables.items() if _is_map(spec)}
    handles = _uses_echo(view.file.source.data)
    if not maps or not (handles or _is_of_a_service(view)):
        return
    for name, spec in maps.items():
        if _is_bounded(view, name, spec):
            continue
        for function, _ in view.functions:
            if _AT_START.match(function.qualname.rpartition(".")[2]) or _is_local(function, name):
                continue
            for adding in _additions(function, name):
                if not handles and not _is_locked(function, adding):
                    continue  # nobody expects several requests there
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


def _uses_echo(data: bytes) -> bool:
    return b'"github.com/labstack/echo' in data


def _is_of_a_service(view: GoView) -> bool:
    """Whether the package, or what its module requires, is for Echo: a command ends, and its maps with it."""
    if any(_uses_echo(file.source.data) for file in view.package.files):
        return True
    return any(declares(view.file.path, f"github.com/labstack/echo/{version}") for version in ("v4", "v5"))


def _is_map(spec: "Node") -> bool:
    """Whether a variable is a map that starts without entries."""
    declared, values = spec.child_by_field_name("type"), listed(spec.child_by_field_name("value"))
    if not values:
        return declared is not None and declared.type == "map_type"
    value = plain(values[0])
    if len(values) > 1 or value.type != "composite_literal":
        return len(values) == 1 and text(value).startswith("make(map[")
    kind, body = value.child_by_field_name("type"), value.child_by_field_name("body")
    return kind is not None and kind.type == "map_type" and (body is None or not body.named_child_count)


def _is_bounded(view: GoView, name: str, spec: "Node") -> bool:
    """Whether anything in the package empties the map, measures it or hands it on."""
    word = re.escape(name)
    emptied = rf"delete\({word},|clear\({word}\)|\b{word} = "
    measured = rf"len\({word}\) *[<>=]|[<>=] *len\({word}\)"
    handed_on = rf"&{word}\b|(?<!\blen)[(,] *{word}[,)]|return {word}\b(?!\[)"
    shapes = "|".join((emptied, measured, handed_on))
    pattern = re.compile(shapes.encode())
    return any(pattern.search(file.source.data.replace(spec.text or b"-", b"")) for file in view.package.files)


def _is_local(function: GoFunction, name: str) -> bool:
    made = (node for node in own(function.node) if node.type in _MAKING and not node.type.startswith("assignment"))
    return name in _given(function) or any(name in assigned_names(node) for node in made)


def _additions(function: GoFunction, name: str) -> Iterator["Node"]:
    given = _derived(function)
    for node in own(function.node):
        if node.type != "assignment_statement":
            continue
        for place in listed(node.child_by_field_name("left")):
            operand = place.child_by_field_name("operand")
            if place.type != "index_expression" or operand is None or text(operand) != name:
                continue
            key = place.child_by_field_name("index")
            if key is not None and any(mentions(key, word) for word in given):
                yield node


def _given(function: GoFunction) -> set[str]:
    """The names of what a function is given."""
    places = (function.node.child_by_field_name(field) for field in ("receiver", "parameters"))
    return {name for place in places for name, _, _ in parameters_of(place) if name not in ("", "_")}


def _derived(function: GoFunction) -> set[str]:
    """What a function is given, and the variables made from it."""
    known = _given(function)
    for node in own(function.node):
        if node.type in _MAKING and any(mentions(node, name) for name in known):
            known.update(assigned_names(node))
    return known - {"_"}


def _is_asked_first(function: GoFunction, adding: "Node", name: str) -> bool:
    """Whether the function looks for an entry before it makes one: ``if v, ok := cache[k]; ok {``."""
    for node in own(function.node):
        if node.type == "short_var_declaration" and node.start_byte < adding.start_byte:
            asked = [plain(value) for value in listed(node.child_by_field_name("right"))]
            if len(asked) == 1 and asked[0].type == "index_expression":
                if text(asked[0].child_by_field_name("operand")) == name:
                    return True
    return False


def _is_state(spec: "Node", adding: "Node") -> bool:
    """Whether entries are more than results: locks, channels, functions, counters, lists that grow."""
    operator = text(adding.child_by_field_name("operator"))
    made = " ".join(text(value) for value in listed(adding.child_by_field_name("right")))
    return operator != "=" or _STATE.search(text(spec)) is not None or _MADE_STATE.search(made) is not None


def _loops(node: "Node") -> Iterator["Node"]:
    loop = enclosing(node, "for_statement", "func_literal", "function_declaration", "method_declaration")
    if loop is not None and loop.type == "for_statement":
        yield loop


def _is_locked(function: GoFunction, adding: "Node") -> bool:
    """Whether something is locked in front of a line, and not unlocked between."""
    held: set[str] = set()
    for node in own(function.node):
        if node.type == "expression_statement" and node.start_byte < adding.start_byte:
            lock, _, method = text(node).rpartition(".")
            held = held | {lock} if method == "Lock()" else held - {lock} if method == "Unlock()" else held
    return bool(held)


def repair(view: GoView, function: GoFunction, adding: "Node", name: str) -> Fix | Refusal:
    """Drop all where there are too many."""
    if not _is_locked(function, adding):
        return Refusal("no lock protects it where it is filled")
    if not _is_asked_first(function, adding, name) or _is_state(view.package.variables[name][0], adding):
        return Refusal("what it holds is not computed again when it is missing: which to drop is for you to decide")
    if next(_loops(adding), None) is not None:
        return Refusal("it is filled in a loop, which may still need what would be dropped")
    if not name[0].isupper() and view.may_use(LIBRARY) and (go_version(view.file.path) or (0, 0)) >= (1, 18):
        cached = cache_of(view, name, MOST)
        if cached is not None:
            check = "that entries may go at any time; `go mod tidy` completes go.sum"
            return Fix(f"keep the {MOST:,} entries used last", Safety.REVIEW, cached, check, (LIBRARY,))
    sheet = view.sheet()
    if not sheet.stands_alone(adding) or enclosing(adding, "block") is None:
        return Refusal("the line that adds an entry holds something else")
    indent = sheet.indent(adding)
    key = next((word for word in ("key", "old", "known") if word != name and not mentions(adding, word)), "entry")
    emptied = (f"for {key} := range {name} {{", f"\tdelete({name}, {key})", "}")
    guard = (f"if len({name}) >= {MOST} {{", *(f"\t{each}" for each in emptied), "}")
    sheet.before(adding, *(f"{indent}{each}" for each in guard))
    check = "that entries may go at any time"
    return Fix(f"keep at most {MOST:,} entries", Safety.REVIEW, tuple(sheet.edits), check)


CODEMOD = GoPatternCodemod(
    find=find,
    noun="cache",
    requires=(LIBRARY,),
    repairs="a bound on the number of entries, inside the lock",
    shape=_SHAPE,
    category=Category.GROWTH,
)
