"""Which names a round of a loop may read as the round before left them."""

from __future__ import annotations

import ast

import pytest

from leakfix.repairs.python.carried import carried

CARRIED = {
    "read at first": "print(a)\na = 1",
    "set under a condition": "if b:\n    a = 1\nprint(a)",
    "set in one arm": "if b:\n    a = 1\nelse:\n    pass\nprint(a)",
    "asked whether it is there": "if a is None:\n    a = 1",
    "set in a try": "try:\n    a = f()\nexcept OSError:\n    pass\nprint(a)",
    "read by what handles an error": "try:\n    a = f()\nexcept OSError:\n    print(a)",
    "read in the end": "try:\n    a = f()\nfinally:\n    print(a)",
    "added to": "a += 1",
    "set in an inner loop": "for c in b:\n    a = c\nprint(a)",
    "read by a function of its own": "def f():\n    return a\na = f()",
    "in one case": "match b:\n    case 1:\n        a = 1\nprint(a)",
    "set where a failure is swallowed": "with suppress(OSError):\n    a = f()\nprint(a)",
    "an attribute is set": "a.b = 1\na = 2",
    "set by a test that may be left out": "if b or (a := f()):\n    pass\nprint(a)",
    "deleted before": "a = 1\ndel a\nprint(a)",
}
NEW = {
    "set at first": "a = 1\nprint(a)",
    "set in both arms": "if b:\n    a = 1\nelse:\n    a = 2\nprint(a)",
    "set or left": "if b:\n    a = 1\nelse:\n    continue\nprint(a)",
    "set in a try that leaves": "try:\n    a = f()\nexcept OSError:\n    raise\nprint(a)",
    "set by with": "with f() as a:\n    print(a)",
    "set by an inner loop, read there": "for a in b:\n    print(a)",
    "set in the end": "try:\n    f()\nfinally:\n    a = 1\nprint(a)",
    "set by a test": "if (a := f()) and a.b:\n    print(a)",
    "set in a with": "with f():\n    a = f()\nprint(a)",
    "set to nothing": "a = None\nif b:\n    a = 1\nprint(a)",
    "never set": "print(a)",
}


def left(body: str, head: str = "for b in bs:") -> set[str]:
    (loop,) = ast.parse(head + "\n" + "\n".join(f"    {line}" for line in body.split("\n"))).body
    assert isinstance(loop, ast.For | ast.While)
    return carried(loop, {"a"})


@pytest.mark.parametrize("body", CARRIED.values(), ids=CARRIED)
def test_carried_to_the_next_round(body: str) -> None:
    assert left(body) == {"a"}


@pytest.mark.parametrize("body", NEW.values(), ids=NEW)
def test_new_in_each_round(body: str) -> None:
    assert left(body) == set()


def test_what_a_loop_tests_and_sets_itself() -> None:
    assert left("a = 1", "while a:") == {"a"}
    assert left("print(a)", "for a in bs:") == set()
