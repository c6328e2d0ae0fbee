"""``leakfix check``: exit codes, formats, selection."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., Any]


def test_a_clean_tree_exits_with_zero(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("print()\n")
    result = invoke("check")
    assert result.code == 0
    assert result.out == "No leaks found: 1 file in 0.2 s.\n"


def test_a_finding_exits_with_one(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("x = leak()\n")
    result = invoke("check", ".")
    assert result.code == 1
    assert result.out.startswith("a.py:1:5 error[toy/leak] this leaks\n")
    assert result.out.endswith("Found 1 leak in 1 file (1 with a safe fix). Looked at 1 file in 0.2 s.\n")
    assert "\x1b" not in result.out


def test_exit_zero_hides_findings_only(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("x = leak()\n")
    assert invoke("check", "--exit-zero").code == 0
    assert invoke("check", "--exit-zero", ".", "missing.py").code == 2


def test_a_missing_path_is_told_after_the_rest(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("x = leak()\n")
    result = invoke("check", "missing.py", "a.py")
    assert result.code == 2
    assert "a.py:1:5" in result.out
    assert "missing.py: No such file or directory" in result.err


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["--jobs", "0"], ["--select", ""], ["--select", ","]])
def test_bad_usage_exits_with_two(tree: Path, invoke: Invoke, arguments: list[str]) -> None:
    assert invoke("check", *arguments).code == 2


def test_an_unknown_command_exits_with_two(tree: Path, invoke: Invoke) -> None:
    assert invoke("chekc").code == 2


def test_a_wrong_rule_name_exits_with_two_and_names_the_right_one(tree: Path, invoke: Invoke) -> None:
    result = invoke("check", "--select", "toy/leaks")
    assert result.code == 2
    assert "did you mean 'toy/leak'?" in result.err


def test_select_and_ignore(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("leak()\ndrip()\n")
    assert "toy/drip" not in invoke("check", "--select", "toy/leak").out
    assert "toy/leak" not in invoke("check", "--ignore", "toy/leak").out
    assert invoke("check", "--select", "toy/leak,toy/drip").out.count("error[") == 2
    assert invoke("check", "--select", "advice").code == 0
    assert invoke("check", "--ignore", "toy/*").code == 0


def test_json_has_exactly_the_promised_keys(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("leak()\nstuck()\n")
    result = invoke("check", "--output-format", "json")
    document = json.loads(result.out)
    assert result.code == 1
    assert list(document) == ["leakfix", "schema", "findings", "errors", "summary"]
    assert document["schema"] == 1
    assert document["summary"] == {"files": 1, "parsed": 1, "findings": 2, "fixable": 1, "seconds": 0.25}
    first, second = document["findings"]
    assert list(first) == [
        *("rule", "category", "severity", "path", "line", "column", "end_line", "end_column", "function"),
        *("message", "resource", "held", "witness", "fingerprint", "fix", "refusal"),
    ]
    assert first["fix"] == {"title": "make leak safe", "safety": "safe"}
    assert first["refusal"] is None
    assert (second["fix"], second["refusal"]) == (None, "it is stuck")


def test_json_holds_the_errors_too(tree: Path, invoke: Invoke) -> None:
    result = invoke("check", "--output-format", "json", "missing.py")
    assert result.code == 2
    assert json.loads(result.out)["errors"] == [{"path": "missing.py", "message": "No such file or directory"}]


def test_a_name_that_is_not_utf8_is_shown_escaped(tree: Path, invoke: Invoke) -> None:
    name = os.fsdecode(b"caf\xe9\x1b[2J.py")
    (tree / name).write_text("leak()\n")
    assert invoke("check").out.startswith("caf\\xe9\\x1b[2J.py:1:1 ")
    document = json.loads(invoke("check", "--output-format", "json").out)
    assert document["findings"][0]["path"] == "caf\\xe9\x1b[2J.py"


def test_no_color_and_terminals(tree: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from leakfix.cli.terminal import has_colour

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert has_colour(Terminal())
    assert not has_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colour(Terminal())


def test_ctrl_c_exits_with_130(tree: Path, invoke: Invoke, engine: Any) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    engine.check = interrupted
    assert invoke("check").code == 130


def test_a_fault_of_our_own_exits_with_two(tree: Path, invoke: Invoke, engine: Any) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    engine.check = broken
    result = invoke("check")
    assert result.code == 2
    assert "ZeroDivisionError" in result.err
