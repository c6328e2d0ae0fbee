"""A list that gets an item with every request, lives as long as the program, and is never cut.

What leaks
----------
A list of a module, a class or a long-lived object to which a function that serves requests appends, or one that such a
function calls. Nothing takes an item away, and all that is ever read of it is its end: ``history[-20:]``.

Why it hurts
------------
The list grows with the number of requests there ever were. After days the process holds them all, and is killed or
restarted for its memory.

How it is repaired
------------------
Behind the statement that appends, the list is cut to its last 4,096 items: ``del history[:-4096]``. Offered for review:
how many are needed is for the project to say.

When it is left alone
---------------------
Lists that anything goes through, measures, sorts, hands on, returns, empties or sets anew, in this file or another:
they are a store, and what is in them is wanted. Functions that no request reaches, commands, scripts, tests; processes
that are replaced after some thousand requests, where the project's files say so (``--max-requests``).
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from leakfix.codemod import Fix, Match, PatternCodemod, Refusal, Safety, Step, Text, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.patterns.caches import MOST_ENTRIES
from leakfix.patterns.called import SERVES, serves_what_ends
from leakfix.patterns.containers import Container, containers
from leakfix.patterns.growing import is_long_lived
from leakfix.patterns.requested import serves_requests
from leakfix.project.kinds import is_copy, is_run_once, is_test
from leakfix_codemods._recycled import RECYCLING, is_recycled

_ADDS = frozenset({"append", "extend", "insert"})
_EMPTY = re.compile(
    rb"^(?:[ \t]+self\.|[ ]{0,4}|\t)(\w+)[ \t]*(?::[^=\n]+)?=[ \t]*(?:\[\]|list\(\))[ \t\r]*(?:#|$)", re.MULTILINE
)
_READ = rb"(?:\bin[ \t]+|\breturn[ \t]+|[(,=\[{*][ \t]*)(?:\w+\.)?%s\b(?!\.(?:append|extend|insert)\(|\[-)"


@dataclass(frozen=True)
class Kept:
    """A list that grows: the statements that add to it, and how many of its last items are read at most."""

    container: Container
    adding: list[ast.Expr]
    read: int


def find(view: View) -> Iterator[Match]:
    """Long-lived lists that requests add to, and of which only the end is read."""
    path = view.module.path
    if is_test(path) or is_copy(path) or is_run_once(path):
        return
    for container in containers(view):
        kept = _kept(view, container) if _is_list(container.node) else None
        if kept is None or is_recycled(view) or serves_what_ends(view):
            continue
        told = "adds an item, and nothing ever removes one"
        yield Match(
            container.node,
            f"{container.name} keeps an item of every request there ever was",
            partial(repair, view, kept),
            held="forever",
            steps=tuple(Step(statement.lineno, told) for statement in kept.adding),
            identity=container.name,
        )


def _is_list(node: ast.expr) -> bool:
    return isinstance(node, ast.List) or (isinstance(node, ast.Call) and ast.unparse(node.func) == "list")


def _kept(view: View, container: Container) -> Kept | None:
    """The list, if a request adds to it and nothing is done with it but that and reading its end."""
    if container.kind not in ("module", "class", "instance"):
        return None
    adding: list[ast.Expr] = []
    filling: list[FunctionInfo] = []
    read = 0
    for node, function in container.references:
        parent = view.parents[node]
        match parent, view.parents.get(parent):
            case ast.Attribute(attr=word), ast.Call() as call if word in _ADDS and call.func is parent:
                statement = view.parents[call]
                if function is None or not isinstance(statement, ast.Expr):
                    return None
                adding.append(statement)
                filling.append(function)
            case ast.Subscript(value=value, ctx=ast.Load(), slice=part), _ if value is node:
                wanted = _from_end(part)
                if wanted is None:
                    return None
                read = max(read, wanted)
            case ast.Assign() | ast.AnnAssign(), _ if isinstance(getattr(node, "ctx", None), ast.Store):
                if getattr(parent, "value", None) is not container.node:
                    return None
            case _:
                return None
    if container.kind == "instance" and not is_long_lived(view, container):
        return None
    served = any(serves_requests(view, function) for function in {each.qualname: each for each in filling}.values())
    if not served or _is_named_elsewhere(view, container):
        return None
    return Kept(container, adding, read)


def _from_end(part: ast.expr) -> int | None:
    """How many of the last items ``[-n]`` or ``[-n:]`` asks for; None for other parts."""
    match part:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
            return number
        case ast.Slice(lower=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)), upper=None):
            return number
        case ast.Slice(lower=ast.UnaryOp(op=ast.USub()), upper=None):
            return 0
    return None


def _is_named_elsewhere(view: View, container: Container) -> bool:
    """Whether another file names the list: as a variable that it imports, or behind a dot."""
    name = re.escape(container.name)
    named = re.compile(rf"\bimport\b[^#\n]*\b{name}\b|^\s+{name},?$|\.{name}\b".encode(), re.MULTILINE)
    return any(named.search(text) for text in view.texts(container.name))


def repair(view: View, kept: Kept) -> Fix | Refusal:
    """Cut the list to its last items."""
    layout = view.layout()
    if kept.read > MOST_ENTRIES:
        return Refusal(f"{kept.read} items are read of it: how many to keep is for you to decide")
    for statement in kept.adding:
        if not layout.stands_alone(statement):
            return Refusal("the statement that appends shares its line with others")
        call = statement.value
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Attribute)
        if call.func.attr == "insert":
            return Refusal("items are not only added at its end: which to drop is for you to decide")
        cut = f"del {layout.text(call.func.value)}[:-{MOST_ENTRIES}]"
        layout.add_after(layout.end_of(statement), layout.indent_of(statement.lineno) + cut)
    check = f"that nobody needs more than the last {MOST_ENTRIES:,} items"
    return Fix(f"keep the last {MOST_ENTRIES:,} items", Safety.REVIEW, tuple(layout.edits), check)


def may_collect(data: bytes, path: str) -> bool:
    """Whether a file's text appends to what begins as an empty list, and does nothing else with it."""
    return any(
        any(name + form in data for form in (b".append(", b".extend(", b".insert("))
        and re.search(_READ % name, data) is None
        for name in {*_EMPTY.findall(data)}
    )


def may_be_served(text: Text) -> bool:
    """Whether a file, or another of the project, answers requests."""
    return any(word.encode() in text.data or any(True for _ in text.texts(word)) for word in SERVES)


CODEMOD = PatternCodemod(
    find=find,
    words=("= []", "=[]", "= list()"),
    shape=may_collect,
    worth=may_be_served,
    noun="list",
    asks=(*RECYCLING, *SERVES),
    repairs="del LIST[:-4096] behind what appends",
)
