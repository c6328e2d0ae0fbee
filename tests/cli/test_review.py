"""Answering on a terminal: what is written for which answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., Any]
Key = str | type[BaseException] | Callable[[], None]


@dataclass
class Person:
    """Somebody who presses these keys; what is callable happens before the next key."""

    keys: Iterator[Key]
    pressed: int = 0
    lines: list[str] = field(default_factory=list)
    edit: Callable[[bytes], bytes | None] = lambda data: None

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def key(self) -> str:
        key = next(self.keys, EOFError)
        while not isinstance(key, str | type):
            key()
            key = next(self.keys, EOFError)
        self.pressed += 1
        if isinstance(key, str):
            return key
        raise key

    def line(self, prompt: str) -> str:
        return self.lines.pop(0)

    def edited(self, path: str, data: bytes) -> bytes | None:
        return self.edit(data)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Person]:
    """Pretend somebody is there who presses these keys."""

    def sit_down(*keys: Key) -> Person:
        somebody = Person(iter(keys))
        monkeypatch.setattr("leakfix.cli.apply.can_ask", lambda: True)
        monkeypatch.setattr("leakfix.cli.apply.Keyboard", lambda: somebody)
        return somebody

    return sit_down


def _two_files(tree: Path) -> None:
    (tree / "a.py").write_text("leak()\nleak()\n")
    (tree / "b.py").write_text("leak()\n")


def _texts(tree: Path) -> tuple[str, str]:
    return (tree / "a.py").read_text(), (tree / "b.py").read_text()


def test_each_fix_is_shown_and_asked_for(tree: Path, invoke: Invoke, person: Any) -> None:
    _two_files(tree)
    person("y", "n", "y")
    result = invoke("apply")
    asked = [line.partition("(")[0].partition(":")[0].strip() for line in result.out.splitlines() if " of 3" in line]
    assert asked == ["Fix 1 of 3", "Fix 2 of 3", "Fix 3 of 3"]
    assert _texts(tree) == ("safe()\nleak()\n", "safe()\n")
    assert "- leak()" in result.out
    assert "+ safe()" in result.out
    assert result.code == 1


@pytest.mark.parametrize(
    ("keys", "after"),
    [
        ("ay", ("safe()\nsafe()\n", "safe()\n")),
        ("an", ("safe()\nsafe()\n", "leak()\n")),
        ("dy", ("leak()\nleak()\n", "safe()\n")),
        ("A", ("safe()\nsafe()\n", "safe()\n")),
        ("nA", ("leak()\nsafe()\n", "safe()\n")),
        ("D", ("leak()\nleak()\n", "leak()\n")),
        ("yunyy", ("leak()\nsafe()\n", "safe()\n")),
        ("yuUq", ("safe()\nleak()\n", "leak()\n")),
        ("AKKyq", ("safe()\nsafe()\n", "safe()\n")),
        ("jyq", ("leak()\nsafe()\n", "leak()\n")),
        ("kyq", ("leak()\nleak()\n", "safe()\n")),
        ("yKnyy", ("leak()\nsafe()\n", "safe()\n")),
        ("iq", ("leak()  # leakfix: allow[toy/leak] reviewed\nleak()\n", "leak()\n")),
    ],
)
def test_keys(tree: Path, invoke: Invoke, person: Any, keys: str, after: tuple[str, str]) -> None:
    _two_files(tree)
    person(*keys)
    invoke("apply")
    assert _texts(tree) == after


def test_the_rest_of_a_rule_leaves_other_rules_and_less_sure_fixes(tree: Path, invoke: Invoke, person: Any) -> None:
    (tree / "a.py").write_text("leak()\ndrip()\nleak()\n")
    somebody = person("A", "n")
    invoke("apply", "--unsafe-fixes")
    assert somebody.pressed == 2
    assert (tree / "a.py").read_text() == "safe()\ndrip()\nsafe()\n"


def test_the_rest_of_a_file_takes_no_less_sure_fix_along(tree: Path, invoke: Invoke, person: Any) -> None:
    (tree / "a.py").write_text("leak()\ndrip()\nleak()\n")
    person("a", "q")
    invoke("apply", "--unsafe-fixes")
    assert (tree / "a.py").read_text() == "safe()\ndrip()\nsafe()\n"


@pytest.mark.parametrize("end", ["q", EOFError])
def test_leaving_writes_what_was_accepted(tree: Path, invoke: Invoke, person: Any, end: Any) -> None:
    _two_files(tree)
    somebody = person("y", end)
    assert invoke("apply").code == 1
    assert somebody.pressed == 2
    assert _texts(tree) == ("safe()\nleak()\n", "leak()\n")


def test_ctrl_c_writes_nothing_and_the_next_review_goes_on(tree: Path, invoke: Invoke, person: Any) -> None:
    _two_files(tree)
    person("y", "n", KeyboardInterrupt)
    assert invoke("apply").code == 130
    assert _texts(tree) == ("leak()\nleak()\n", "leak()\n")
    somebody = person("n")
    assert "answers of an earlier review that are kept: 2" in invoke("apply").err
    assert somebody.pressed == 1
    assert _texts(tree) == ("safe()\nleak()\n", "leak()\n")


def test_what_was_skipped_is_asked_for_again_on_demand(tree: Path, invoke: Invoke, person: Any) -> None:
    (tree / "a.py").write_text("leak()\n")
    person("n")
    invoke("apply")
    somebody = person("y")
    assert invoke("apply").code == 1
    assert somebody.pressed == 0
    person("y")
    assert invoke("apply", "--again").code == 0
    assert (tree / "a.py").read_text() == "safe()\n"


def test_a_file_that_changed_is_not_written_but_asked_for_again(tree: Path, invoke: Invoke, person: Any) -> None:
    _two_files(tree)
    person("y", "y", lambda: (tree / "a.py").write_text("x = 1\nleak()\n"), "y", "y")
    result = invoke("apply")
    assert "a.py: changed while it was reviewed" in result.err
    assert _texts(tree) == ("x = 1\nsafe()\n", "safe()\n")


def test_an_answer_about_a_file_that_changed_since_is_asked_for_again(tree: Path, invoke: Invoke, person: Any) -> None:
    _two_files(tree)
    person("y", "n", KeyboardInterrupt)
    invoke("apply")
    (tree / "a.py").write_text("leak()\nleak()\nx = 1\n")
    person("n", "n")
    assert "asked for again, because files have changed since: 1" in invoke("apply").err
    assert _texts(tree) == ("leak()\nleak()\nx = 1\n", "leak()\n")


def test_editing(tree: Path, invoke: Invoke, person: Any) -> None:
    _two_files(tree)
    somebody = person("e", "e", "e", "e", "n", "n")
    versions = iter([None, b"safe()\nleak(\n", b"leak()\nleak()\n", b"mine()\nleak()\n"])
    shown = []
    somebody.edit = lambda data: shown.append(data) or next(versions)
    result = invoke("apply")
    assert shown == [b"safe()\nleak()\n"] * 4
    assert "nothing was changed" in result.out
    assert "it does not compile" in result.out
    assert "the leak is still there" in result.out
    assert _texts(tree) == ("mine()\nleak()\n", "leak()\n")


def test_an_edited_version_survives_an_interruption(tree: Path, invoke: Invoke, person: Any) -> None:
    (tree / "a.py").write_bytes(b"# -*- coding: latin-1 -*-\r\nleak()  # \xe9\r\nleak()\r\n")
    somebody = person("e", KeyboardInterrupt)
    somebody.edit = lambda data: data.replace(b"safe", b"mine")
    assert invoke("apply").code == 130
    person("y")
    assert invoke("apply").code == 0
    assert (tree / "a.py").read_bytes() == b"# -*- coding: latin-1 -*-\r\nmine()  # \xe9\r\nsafe()\r\n"


def test_undoing_below_an_edited_version_is_refused(tree: Path, invoke: Invoke, person: Any) -> None:
    (tree / "a.py").write_text("leak()\nleak()\nleak()\n")
    somebody = person("y", "e", "K", "K", "n", "q")
    somebody.edit = lambda data: data.replace(b"safe()\nsafe", b"safe()\nmine")
    assert "undo that one first" in invoke("apply").out
    assert (tree / "a.py").read_text() == "safe()\nmine()\nleak()\n"


def test_the_baseline(tree: Path, invoke: Invoke, person: Any) -> None:
    _two_files(tree)
    person("b", "q")
    invoke("apply")
    assert _texts(tree) == ("leak()\nleak()\n", "leak()\n")
    assert '"path": "a.py"' in (tree / ".leakfix-baseline.json").read_text()


def test_searching(tree: Path, invoke: Invoke, person: Any) -> None:
    _two_files(tree)
    somebody = person("/", "/", "y", "q")
    somebody.lines = ["nowhere", "B.PY"]
    assert "not found" in invoke("apply").out
    assert _texts(tree) == ("leak()\nleak()\n", "safe()\n")


def test_help_and_nonsense_ask_again(tree: Path, invoke: Invoke, person: Any) -> None:
    (tree / "a.py").write_text("leak()\n")
    somebody = person("?", "\x1b", "x", "u", "U", "y")
    result = invoke("apply")
    assert result.code == 0
    assert somebody.pressed == 6
    assert "Ctrl-C leaves at once and writes nothing" in result.out


def test_a_second_review_of_the_project_is_refused(tree: Path, invoke: Invoke, person: Any) -> None:
    _two_files(tree)
    results: list[Any] = []
    person(lambda: results.append(invoke("apply")), "q")
    invoke("apply")
    assert results[0].code == 2
    assert "another review of this project is going on" in results[0].err


def test_fixes_to_review_are_not_offered_unasked(tree: Path, invoke: Invoke, person: Any) -> None:
    (tree / "a.py").write_text("drip()\n")
    somebody = person("y")
    assert invoke("apply").code == 1
    assert somebody.pressed == 0


def test_control_characters_of_a_file_do_not_reach_the_terminal(tree: Path, invoke: Invoke, person: Any) -> None:
    (tree / "a.py").write_text("leak()  # \x1b]0;owned\x07\u202e\n")
    person("n")
    out = invoke("apply").out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\u202e" not in out
