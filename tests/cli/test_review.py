"""Answering on a terminal: what is written for which answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., Any]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Pretend somebody is there who gives these answers; returns the questions asked."""

    def give(*lines: str | type[BaseException]) -> list[str]:
        asked: list[str] = []
        following: Iterator[str | type[BaseException]] = iter(lines)

        def read(prompt: str) -> str:
            asked.append(prompt)
            answer = next(following, EOFError)
            if isinstance(answer, str):
                return answer
            raise answer

        monkeypatch.setattr("leakfix.cli.apply.can_ask", lambda: True)
        monkeypatch.setattr("leakfix.cli.apply.asked", read)
        return asked

    return give


def _two_files(tree: Path) -> None:
    (tree / "a.py").write_text("leak()\nleak()\n")
    (tree / "b.py").write_text("leak()\n")


def _texts(tree: Path) -> tuple[str, str]:
    return (tree / "a.py").read_text(), (tree / "b.py").read_text()


def test_each_fix_is_shown_and_asked_for(tree: Path, invoke: Invoke, answers: Any) -> None:
    _two_files(tree)
    asked = answers("y", "n", "y")
    result = invoke("apply")
    assert [prompt.partition(":")[0] for prompt in asked] == ["Fix 1 of 3", "Fix 2 of 3", "Fix 3 of 3"]
    assert _texts(tree) == ("safe()\nleak()\n", "safe()\n")
    assert "-leak()" in result.out
    assert "+safe()" in result.out
    assert result.code == 1


def test_all(tree: Path, invoke: Invoke, answers: Any) -> None:
    _two_files(tree)
    asked = answers("n", "a")
    assert invoke("apply").code == 1
    assert len(asked) == 2
    assert _texts(tree) == ("leak()\nsafe()\n", "safe()\n")


def test_the_rest_of_a_rule(tree: Path, invoke: Invoke, answers: Any) -> None:
    (tree / "a.py").write_text("leak()\ndrip()\nleak()\n")
    asked = answers("r", "n")
    invoke("apply", "--unsafe-fixes")
    assert len(asked) == 2
    assert (tree / "a.py").read_text() == "safe()\ndrip()\nsafe()\n"


@pytest.mark.parametrize("end", ["q", EOFError])
def test_leaving_writes_what_was_accepted(tree: Path, invoke: Invoke, answers: Any, end: Any) -> None:
    _two_files(tree)
    asked = answers("y", end)
    assert invoke("apply").code == 1
    assert len(asked) == 2
    assert _texts(tree) == ("safe()\nleak()\n", "leak()\n")


def test_ctrl_c_writes_nothing(tree: Path, invoke: Invoke, answers: Any) -> None:
    _two_files(tree)
    answers("y", "y", KeyboardInterrupt)
    assert invoke("apply").code == 130
    assert _texts(tree) == ("leak()\nleak()\n", "leak()\n")


def test_help_and_nonsense_ask_again(tree: Path, invoke: Invoke, answers: Any) -> None:
    (tree / "a.py").write_text("leak()\n")
    asked = answers("?", "", "what", "Y")
    result = invoke("apply")
    assert result.code == 0
    assert len(asked) == 4
    assert "Ctrl-C leaves at once and writes nothing" in result.out


def test_fixes_to_review_are_not_offered_unasked(tree: Path, invoke: Invoke, answers: Any) -> None:
    (tree / "a.py").write_text("drip()\n")
    asked = answers("y")
    assert invoke("apply").code == 1
    assert asked == []


def test_control_characters_of_a_file_do_not_reach_the_terminal(tree: Path, invoke: Invoke, answers: Any) -> None:
    (tree / "a.py").write_text("leak()  # \x1b]0;owned\x07\u202e\n")
    answers("n")
    out = invoke("apply").out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\u202e" not in out
