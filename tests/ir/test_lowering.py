"""Python constructs as graphs: where control goes from a call, and what it passes on the way."""

from __future__ import annotations

import textwrap

import pytest

from leakfix.ir.dump import dump
from leakfix.ir.nodes import Call, Capture, Copy, Enter, Exit, Flow, Graph, Leave, Member, Nothing, Store, Yield
from leakfix.languages.python.modules import read_module
from leakfix.languages.python.program import PythonProgram
from leakfix.languages.python.project import Modules, parse
from leakfix.source import SourceFile


def lowered(text: str) -> Graph:
    """The graph of the function ``f`` of a file."""
    source = SourceFile.python("case.py", textwrap.dedent(text).encode())
    modules = Modules(lambda path: b"")
    modules.keep(read_module(source, parse(source)))
    function = PythonProgram(modules).function("@case.py:f")
    assert function is not None
    return function.graph


def trails(graph: Graph, word: str, flow: Flow = Flow.NORMAL) -> set[str]:
    """What may be passed after leaving the call of ``word`` (or a bare instruction named so) by a kind of edge.

    Behind the first edge only normal ones are followed, and none twice.
    """
    found: set[str] = set()

    def follow(number: int, marks: tuple[str, ...], seen: frozenset[int]) -> None:
        node = graph.nodes[number]
        mark = mark_of(node.op)
        marks = (*marks, mark) if mark else marks
        if isinstance(node.op, Exit):
            found.add(" ".join(marks))
        for edge in node.edges:
            if edge.target in seen or (edge.flow is not Flow.NORMAL and not is_raise(node.op)):
                continue
            known = ""
            if edge.condition:
                kind = "none" if edge.condition.none else "true"
                known = (
                    ""
                    if edge.condition.variable.startswith("%")
                    else f"[{edge.condition.variable} {'is' if edge.condition.holds else 'not'} {kind}]"
                )
            follow(edge.target, (*marks, known) if known else marks, seen | {edge.target})

    for node in graph.nodes:
        if mark_of(node.op) == word:
            for edge in node.edges:
                if edge.flow is flow:
                    follow(edge.target, (), frozenset({edge.target}))
    return found


def is_raise(op: object) -> bool:
    return isinstance(op, Nothing) and op.what in ("raise", "assertion")


def mark_of(op: object) -> str:
    match op:
        case Call():
            return op.callee.last_word
        case Exit(how=how):
            return f"<{how}>"
        case Enter():
            return "enter"
        case Leave():
            return "leave"
        case Yield():
            return "yield"
    return ""


CASES = {
    "plain statements": ("a()\nb()", "a", Flow.NORMAL, {"b <return>"}),
    "an exception leaves": ("a()\nb()", "a", Flow.RAISES, {"<raise>"}),
    "return skips what follows": ("if a():\n    return\nb()", "a", Flow.NORMAL, {"<return>", "b <return>"}),
    "raise": ("a()\nraise ValueError", "a", Flow.NORMAL, {"<raise>"}),
    "assert": ("a()\nassert x\nb()", "a", Flow.NORMAL, {"[x is true] b <return>", "[x not true] <raise>"}),
    "leaving the process": ("a()\nimport sys\nsys.exit(1)", "exit", Flow.NORMAL, {"<process>"}),
    "SystemExit": ("a()\nraise SystemExit(1)", "a", Flow.NORMAL, {"<process>"}),
    # try
    "finally after return": ("try:\n    return a()\nfinally:\n    b()\nc()", "a", Flow.NORMAL, {"b <return>"}),
    "finally after an exception": ("try:\n    a()\nfinally:\n    b()\nc()", "a", Flow.RAISES, {"b <raise>"}),
    "finally, then on": ("try:\n    a()\nfinally:\n    b()\nc()", "a", Flow.NORMAL, {"b c <return>"}),
    "finally that returns swallows": ("try:\n    a()\nfinally:\n    return b()", "a", Flow.RAISES, {"b <return>"}),
    "handler may not match": (
        "try:\n    a()\nexcept KeyError:\n    b()\nc()",
        "a",
        Flow.RAISES,
        {"b c <return>", "<raise>"},
    ),
    "except Exception catches": ("try:\n    a()\nexcept Exception:\n    b()\nc()", "a", Flow.RAISES, {"b c <return>"}),
    "bare except catches": ("try:\n    a()\nexcept:\n    b()\nc()", "a", Flow.RAISES, {"b c <return>"}),
    "several handlers": (
        "try:\n    a()\nexcept KeyError:\n    b()\nexcept (ValueError, TypeError):\n    c()",
        "a",
        Flow.RAISES,
        {"b <return>", "c <return>", "<raise>"},
    ),
    "else only without an exception": (
        "try:\n    a()\nexcept Exception:\n    b()\nelse:\n    c()\nfinally:\n    d()",
        "a",
        Flow.NORMAL,
        {"c d <return>"},
    ),
    "else is outside its handlers": (
        "try:\n    a()\nexcept Exception:\n    b()\nelse:\n    c()\nfinally:\n    d()",
        "c",
        Flow.RAISES,
        {"d <raise>"},
    ),
    "an exception in a handler": (
        "try:\n    a()\nexcept Exception:\n    b()\nfinally:\n    d()",
        "b",
        Flow.RAISES,
        {"d <raise>"},
    ),
    "raise in a handler": (
        "try:\n    a()\nexcept Exception:\n    b()\n    raise\nfinally:\n    d()",
        "b",
        Flow.NORMAL,
        {"d <raise>"},
    ),
    "nested finally": (
        "try:\n    try:\n        return a()\n    finally:\n        b()\nfinally:\n    c()",
        "a",
        Flow.NORMAL,
        {"b c <return>"},
    ),
    # with
    "with": ("with w() as x:\n    a()\nb()", "a", Flow.NORMAL, {"leave b <return>"}),
    "with, left by an exception": ("with w() as x:\n    a()\nb()", "a", Flow.RAISES, {"leave <raise>"}),
    "with, left by return": ("with w() as x:\n    return a()\nb()", "a", Flow.NORMAL, {"leave <return>"}),
    "two items": ("with v(), w():\n    a()", "a", Flow.RAISES, {"leave leave <raise>"}),
    "suppress": (
        "import contextlib\nwith contextlib.suppress(KeyError):\n    a()\nb()",
        "a",
        Flow.RAISES,
        {"leave b <return>"},
    ),
    # loops
    "for": ("for x in y:\n    a()\nb()", "a", Flow.NORMAL, {"b <return>"}),
    "for else": ("for x in y:\n    a()\nelse:\n    b()\nc()", "a", Flow.NORMAL, {"b c <return>"}),
    "break skips else": ("for x in y:\n    a()\n    break\nelse:\n    b()\nc()", "a", Flow.NORMAL, {"c <return>"}),
    "while else": (
        "while x:\n    a()\nelse:\n    b()",
        "a",
        Flow.NORMAL,
        {"[x not true] b <return>"},
    ),
    "while True never ends": ("while True:\n    a()\nb()", "a", Flow.NORMAL, set()),
    "break through finally": (
        "while True:\n    try:\n        a()\n        break\n    finally:\n        b()\nc()",
        "a",
        Flow.NORMAL,
        {"b c <return>"},
    ),
    "break through with": (
        "while True:\n    with w():\n        a()\n        break\nc()",
        "a",
        Flow.NORMAL,
        {"leave c <return>"},
    ),
    "continue": ("for x in y:\n    a()\n    if x:\n        continue\n    b()\nc()", "b", Flow.NORMAL, {"c <return>"}),
    "the iterator may raise": ("for x in y:\n    a()", "a", Flow.RAISES, {"<raise>"}),
    # match
    "match may match nothing": (
        "match x:\n    case 1:\n        a()\n    case 2:\n        b()\nc()",
        "a",
        Flow.NORMAL,
        {"c <return>"},
    ),
    "match with a guard": (
        "q()\nmatch x:\n    case _ if a():\n        b()\nc()",
        "a",
        Flow.NORMAL,
        {"b c <return>", "c <return>"},
    ),
    "match with a wildcard": (
        "q()\nmatch x:\n    case 1:\n        a()\n    case _:\n        b()",
        "q",
        Flow.NORMAL,
        {"a <return>", "b <return>"},
    ),
    # expressions
    "conditional expression": (
        "q()\ny = a() if x else b()",
        "q",
        Flow.NORMAL,
        {"[x is true] a <return>", "[x not true] b <return>"},
    ),
    "and": (
        "q()\nif x and a():\n    b()",
        "q",
        Flow.NORMAL,
        {"[x is true] a b <return>", "[x is true] a <return>", "[x not true] <return>"},
    ),
    "walrus": ("if (x := a()):\n    b()", "a", Flow.NORMAL, {"[x is true] b <return>", "[x not true] <return>"}),
    "is None": ("q()\nif x is None:\n    a()", "q", Flow.NORMAL, {"[x is none] a <return>", "[x not none] <return>"}),
    "is not None": (
        "q()\nif x is not None:\n    a()",
        "q",
        Flow.NORMAL,
        {"[x not none] a <return>", "[x is none] <return>"},
    ),
    "not": ("q()\nif not x:\n    a()", "q", Flow.NORMAL, {"[x not true] a <return>", "[x is true] <return>"}),
    "comprehension": ("y = [a(z) for z in x if b(z)]\nc()", "a", Flow.NORMAL, {"c <return>"}),
    "comprehension may raise": ("y = [a(z) for z in x]\nc()", "a", Flow.RAISES, {"<raise>"}),
    "arguments before the call": ("a(b(), c())", "b", Flow.NORMAL, {"c a <return>"}),
    "the receiver first": ("b().a(c())", "b", Flow.NORMAL, {"c a <return>"}),
    # generators
    "yield goes on": ("yield x\nb()", "yield", Flow.NORMAL, {"b <return>"}),
    "yield may be thrown into": ("try:\n    yield x\nfinally:\n    b()", "yield", Flow.RAISES, {"b <raise>"}),
    "yield may be closed": (
        "try:\n    yield x\nexcept Exception:\n    a()\nfinally:\n    b()",
        "yield",
        Flow.ABANDONED,
        {"b <abandon>"},
    ),
    "GeneratorExit is caught by name": (
        "try:\n    yield x\nexcept GeneratorExit:\n    a()",
        "yield",
        Flow.ABANDONED,
        {"a <return>", "<abandon>"},
    ),
}


@pytest.mark.parametrize(("text", "word", "flow", "expected"), CASES.values(), ids=CASES.keys())
def test_where_control_goes(text: str, word: str, flow: Flow, expected: set[str]) -> None:
    graph = lowered("def f(x, y):\n" + textwrap.indent(text, "    ") + "\n")
    assert trails(graph, word, flow) == expected, dump(graph)


AWAITED = {
    "await may be cancelled": ("await a()", {"<abandon>"}),
    "except Exception does not stop it": ("try:\n    await a()\nexcept Exception:\n    b()", {"<abandon>"}),
    "except BaseException does": ("try:\n    await a()\nexcept BaseException:\n    b()", {"b <return>"}),
    "a bare except does": ("try:\n    await a()\nexcept:\n    b()", {"b <return>"}),
    "CancelledError by name": (
        "import asyncio\ntry:\n    await a()\nexcept asyncio.CancelledError:\n    b()\n    raise",
        {"b <raise>", "<abandon>"},
    ),
    "finally runs": ("try:\n    await a()\nfinally:\n    b()", {"b <abandon>"}),
    "async with is left": ("async with w():\n    await a()", {"leave <abandon>"}),
}


@pytest.mark.parametrize(("text", "expected"), AWAITED.values(), ids=AWAITED.keys())
def test_where_cancellation_goes(text: str, expected: set[str]) -> None:
    graph = lowered("async def f(x):\n" + textwrap.indent(text, "    ") + "\n")
    assert trails(graph, "a", Flow.ABANDONED) == expected, dump(graph)


def test_a_plain_call_cannot_be_cancelled() -> None:
    assert trails(lowered("async def f():\n    a()\n"), "a", Flow.ABANDONED) == set()


@pytest.mark.parametrize("text", ["async for x in a():\n        b()", "async with a() as x:\n        b()"])
def test_what_is_awaited_without_the_word_may_be_cancelled(text: str) -> None:
    graph = lowered(f"async def f():\n    {text}\n")
    assert any(edge.flow is Flow.ABANDONED for node in graph.nodes for edge in node.edges), dump(graph)


def test_an_async_with_is_told_from_a_plain_one() -> None:
    graph = lowered("async def f():\n    async with a():\n        pass\n    with b():\n        pass\n")
    assert sorted(node.op.asynchronous for node in graph.nodes if isinstance(node.op, Enter)) == [False, True]


QUIET = ("x = 1", "y = x", "x = y = None", "x.name = y", "x[0] = y", "print(x)", "y = len(x)", "logger.info(x)", "pass")


@pytest.mark.parametrize("statement", QUIET)
def test_what_does_not_raise(statement: str) -> None:
    graph = lowered(f"def f(x, y):\n    {statement}\n")
    assert not any(edge.flow is Flow.RAISES for node in graph.nodes for edge in node.edges), dump(graph)


LOUD = ("x()", "x.y()", "y = x[0]", "y, z = x", "import json", "raise x", "assert x", "y = x + 1", "with x: pass")


@pytest.mark.parametrize("statement", LOUD)
def test_what_may_raise(statement: str) -> None:
    graph = lowered(f"def f(x, y):\n    {statement}\n")
    assert any(edge.flow is Flow.RAISES for node in graph.nodes for edge in node.edges), dump(graph)


def test_a_finally_body_appears_once_for_each_way_that_passes_it() -> None:
    graph = lowered(
        """
        def f(x):
            try:
                if x:
                    return a()
                b()
            finally:
                c()
            d()
        """
    )
    assert sum(mark_of(node.op) == "c" for node in graph.nodes) == 3


def test_names_of_a_comprehension_are_its_own() -> None:
    graph = lowered("def f(x):\n    y = [x for x in x.items()]\n    x.close()\n")
    close = next(node.op for node in graph.nodes if isinstance(node.op, Call) and node.op.callee.method == "close")
    assert close.callee.receiver == "x"
    bound = {node.op.dest for node in graph.nodes if isinstance(node.op, Copy) and node.op.dest.startswith("x%")}
    assert len(bound) == 1


def test_a_bound_method_is_no_call() -> None:
    graph = lowered("def f(x):\n    x.close\n")
    assert not any(isinstance(node.op, Call) for node in graph.nodes)
    assert any(isinstance(node.op, Member) and node.op.name == "close" for node in graph.nodes)


def test_what_is_stored_outside_the_function() -> None:
    graph = lowered("def f(self, x):\n    global y\n    self.x = x\n    y = x\n    z = {}\n    z['x'] = x\n")
    stores = [(node.op.target, node.op.name) for node in graph.nodes if isinstance(node.op, Store)]
    assert set(stores) == {(None, "x"), (None, "y"), ("z", None)}


def test_a_closure_captures_what_it_reads_and_tells_what_it_calls() -> None:
    graph = lowered("def f(x, y):\n    def g(y):\n        x.close()\n        return y\n    return g\n")
    (capture,) = [node.op for node in graph.nodes if isinstance(node.op, Capture)]
    assert capture.variables == ("x",)
    assert ("x", "close") in capture.called


def test_a_test_that_is_repeated_is_remembered_until_a_name_in_it_changes() -> None:
    text = "def f(x, y):\n    if x.flag:\n        a()\n    {between}\n    if x.flag:\n        b()\n"
    kept = trails(lowered(text.format(between="pass")), "a")
    changed = trails(lowered(text.format(between="x = y")), "a")
    key = "?x.flag"
    assert {"[?x.flag is true] b <return>", "[?x.flag not true] <return>"} == kept
    assert kept == changed
    forgets = [node.op for node in lowered(text.format(between="x = y")).nodes if type(node.op).__name__ == "Forget"]
    assert [op.variable for op in forgets] == [key]  # type: ignore[attr-defined]


def test_the_dump_names_instructions_and_edges() -> None:
    text = dump(lowered("def f(x):\n    if x is None:\n        return\n    x.close()\n"))
    assert "Call(" in text
    assert "[x is none]" in text
    assert "raises " in text
    assert "Exit(how='return')" in text
