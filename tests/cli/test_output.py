"""Where reports go: several formats at once, files, stdout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leakfix.report.formats import FORMATS

Invoke = Callable[..., Any]


@pytest.fixture(autouse=True)
def leaky(tree: Path) -> None:
    (tree / "a.py").write_text("leak()\n")


def test_several_formats_at_once(tree: Path, invoke: Invoke) -> None:
    result = invoke("check", "--output-format", "text", "--output-format", "json=out/report.json")
    assert result.code == 1
    assert result.out.startswith("a.py:1:1 ")
    assert json.loads((tree / "out" / "report.json").read_text())["summary"]["findings"] == 1


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_goes_to_stdout_and_to_a_file(tree: Path, invoke: Invoke, name: str) -> None:
    printed = invoke("check", "--output-format", name)
    quiet = invoke("check", "--output-format", f"{name}=report")
    assert (printed.code, quiet.code, quiet.out) == (1, 1, "")
    assert printed.out == (tree / "report").read_text("utf-8")
    assert printed.out


def test_the_file_of_the_format_without_one(tree: Path, invoke: Invoke) -> None:
    arguments = ["--output-format", "gitlab", "--output-format", "json=a.json", "--output-file", "b.json"]
    assert invoke("check", *arguments).out == ""
    assert isinstance(json.loads((tree / "a.json").read_text()), dict)
    assert isinstance(json.loads((tree / "b.json").read_text()), list)
    assert invoke("check", "--output-file", "text").out == ""
    assert (tree / "text").read_text().startswith("a.py:1:1 ")
    assert invoke("check", "--output-format", "json=-").out.startswith("{")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--output-format", "text", "--output-format", "json"], "only one format can go to stdout"),
        (["--output-format", "sarfi"], "'sarfi' is none of text, json, sarif"),
        (["--output-format", "sarif="], "names no file"),
        (["--output-format", "sarif=a", "--output-file", "b"], "all have one"),
        (["--output-format", "sarif=a", "--output-format", "json=./a"], "the same file"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_done(
    tree: Path, invoke: Invoke, arguments: list[str], told: str
) -> None:
    result = invoke("check", *arguments)
    assert (result.code, result.out) == (2, "")
    assert told in " ".join(result.err.split())
    assert [path.name for path in tree.iterdir()] == ["a.py"]


def test_a_file_is_replaced_whole_or_not_at_all(tree: Path, invoke: Invoke) -> None:
    (tree / "old.json").write_text("what was there")
    (tree / "old.json").chmod(0o640)
    assert invoke("check", "--output-format", "json=old.json").code == 1
    assert json.loads((tree / "old.json").read_text())["schema"] == 1
    assert (tree / "old.json").stat().st_mode & 0o777 == 0o640
    assert not list(tree.glob(".leakfix-*"))


def test_a_file_that_cannot_be_written_is_told_and_the_rest_done(
    tree: Path, invoke: Invoke, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away") / "mine"
    away.write_text("mine")
    (tree / "folder").mkdir()
    (tree / "outside").symlink_to(away)
    arguments = ["--output-format", "json=folder", "--output-format", "sarif=outside", "--output-format", "text"]
    result = invoke("check", "--exit-zero", *arguments)
    assert result.code == 2
    assert "folder: not written: Is a directory" in result.err
    assert "outside: not written: is a link to a file outside the working directory" in result.err
    assert result.out.startswith("a.py:1:1 ")
    assert away.read_text() == "mine"


def test_report_writes_a_page(tree: Path, invoke: Invoke) -> None:
    result = invoke("report", "--html")
    assert (result.code, result.out) == (1, "")
    assert "1 finding is in leakfix-report.html" in result.err
    page = (tree / "leakfix-report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert invoke("report", "--output-file", "-", "--exit-zero").out == page
    assert invoke("report", "--output-file", "pages/x.html").code == 1
    assert (tree / "pages" / "x.html").read_text("utf-8") == page
    assert invoke("report", "missing.py", "--output-file", "-").code == 2
