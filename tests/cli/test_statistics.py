"""How often each rule was found."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leakfix.report.formats import FORMATS

Invoke = Callable[..., Any]


def test_rules_are_counted(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("leak()\nstuck()\nleak()\n")
    (tree / "b.py").write_text("drip()\n")
    done = invoke("check", "--statistics")
    assert done.code == 1
    assert done.out == "     3  toy/leak  fixes: 2 safe\n     1  toy/drip  fixes: 1 to review\n"
    assert invoke("check", "--statistics", "--exit-zero").code == 0
    assert json.loads(invoke("check", "--statistics", "--output-format", "json").out) == [
        {"rule": "toy/leak", "category": "leak", "findings": 3, "safe": 2, "review": 0},
        {"rule": "toy/drip", "category": "leak", "findings": 1, "safe": 0, "review": 1},
    ]


def test_nothing_to_count(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("")
    done = invoke("check", "--statistics")
    assert (done.code, done.out) == (0, "")


def test_into_a_file(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("leak()\n")
    done = invoke("check", "--statistics", "--output-format", "json=counts.json")
    assert (done.code, done.out) == (1, "")
    assert [count["rule"] for count in json.loads((tree / "counts.json").read_text())] == ["toy/leak"]


WRONG = [
    *([f"--output-format={name}"] for name in FORMATS.keys() - {"text", "json"}),
    ["--output-format=html=page.html"],
    ["--output-format=text", "--output-format=json=counts.json"],
    ["--output-format=json=counts.json", "--output-format=json=again.json"],
    ["--output-format=sarif", "--output-file=counts"],
]


@pytest.mark.parametrize("options", sorted(WRONG), ids=" ".join)
def test_other_formats_cannot_hold_them(tree: Path, invoke: Invoke, options: list[str]) -> None:
    (tree / "a.py").write_text("leak()\n")
    done = invoke("check", "--statistics", *options)
    assert (done.code, done.out) == (2, "")
    assert "--statistics goes with one --output-format, text or json" in done.err
    assert os.listdir(tree) == ["a.py"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--reason", "it ends"], "--reason goes with --add-suppressions"),
        (["-"], "`-` needs --stdin-filename"),
        (["--output-format=text", "--output-format=json"], "only one format can go to stdout"),
        (["--statistics=json"], "does not take a value"),
    ],
)
def test_what_is_wrong_of_every_check(tree: Path, invoke: Invoke, options: list[str], why: str) -> None:
    (tree / "a.py").write_text("leak()\n")
    done = invoke("check", "--statistics", *options)
    assert (done.code, done.out) == (2, "")
    assert why in done.err


@pytest.mark.parametrize("option", ["--add-suppressions", "--show-settings"])
@pytest.mark.parametrize("report", ["--statistics", "--output-format=json", "--output-file=there"])
def test_without_a_check_there_is_no_report(tree: Path, invoke: Invoke, option: str, report: str) -> None:
    (tree / "a.py").write_text("leak()\n")
    done = invoke("check", option, report)
    assert done.code == 2
    assert f"{option} makes no report" in done.err
    assert (tree / "a.py").read_text() == "leak()\n"
