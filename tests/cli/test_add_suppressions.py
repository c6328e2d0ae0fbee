"""Comments that ``check --add-suppressions`` writes, and that the next check reads."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Program = Callable[..., Any]

RULE = "sqlite3/unclosed-connection"
HEAD = "import sqlite3\n\n\ndef use(path):\n"
GO = """package main

import "database/sql"

func names(db *sql.DB) error {
	rows, err := db.Query(QUERY)
	if err != nil {
		return err
	}
	for rows.Next() {
		return nil
	}
	return nil
}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("    one = sqlite3.connect(path)\n", f"    one = sqlite3.connect(path)  # leakfix: allow[{RULE}] as ever\n"),
        ("    one = sqlite3.connect(path)  # why\n", f"connect(path)  # why  # leakfix: allow[{RULE}] as ever\n"),
        ("    one = sqlite3.connect(\n        path,\n    )\n", f"    )  # leakfix: allow[{RULE}] as ever\n"),
        ('    one = sqlite3.connect("""a\nb""")\n', f'b""")  # leakfix: allow[{RULE}] as ever\n'),
        (
            "    one = sqlite3.connect(\n        path) \\\n    or None\n",
            f"connect(  # leakfix: allow[{RULE}] as ever\n",
        ),
        ("    one, two = sqlite3.connect(path), sqlite3.connect(path)\n", f"path)  # leakfix: allow[{RULE}] as ever\n"),
    ],
)
def test_a_comment_on_the_line_that_acquires(tree: Path, leakfix: Program, body: str, expected: str) -> None:
    file, text = tree / "a.py", HEAD + body + "    return 3\n"
    file.write_text(text)
    done = leakfix("check", "--add-suppressions", "--reason", "as ever")
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"a.py:5:{body.index('sqlite3.connect') + 1} allowed[{RULE}]" in done.stdout.decode()
    after = file.read_text()
    assert expected in after
    assert after.count("leakfix:") == 1
    assert ast.dump(ast.parse(after)) == ast.dump(ast.parse(text))
    again = leakfix("check", "--no-cache")
    assert again.returncode == 0
    assert again.stdout.startswith(b"No leaks found")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("    one = \\\n        sqlite3.connect(path); \\\n        one.execute('x')\n", "behind a backslash"),
        ('    sqlite3.connect(path).execute("""\n    x\n    """)\n', "inside a string"),
    ],
)
def test_where_no_comment_can_stand_that_is_said(tree: Path, leakfix: Program, body: str, reason: str) -> None:
    (tree / "a.py").write_text(HEAD + body)
    done = leakfix("check", "--add-suppressions")
    assert done.returncode == 1
    assert reason in done.stderr.decode()
    assert (tree / "a.py").read_text() == HEAD + body


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ('"SELECT 1"', '\trows, err := db.Query("SELECT 1") // leakfix: allow[database_sql/unclosed-rows]\n'),
        ("`SELECT 1\n\t-- // no comment\n\t`", "\t`) // leakfix: allow[database_sql/unclosed-rows]\n"),
    ],
)
def test_go(tree: Path, leakfix: Program, query: str, line: str) -> None:
    (tree / "go.mod").write_text("module example.com/x\n\ngo 1.22\n")
    (tree / "main.go").write_text(GO.replace("QUERY", query))
    assert leakfix("check", "--add-suppressions").returncode == 0
    assert line in (tree / "main.go").read_text()
    assert leakfix("check", "--no-cache").returncode == 0


def test_line_ends_and_encoding_stay(tree: Path, leakfix: Program) -> None:
    text = "# coding: latin-1\n" + HEAD + "    one = sqlite3.connect('é')\n    return 3\n"
    raw = text.encode("latin-1").replace(b"\n", b"\r\n")
    (tree / "a.py").write_bytes(raw)
    refused = leakfix("check", "--add-suppressions", "--reason", "→")
    assert refused.returncode == 2
    assert b"a.py: not written" in refused.stderr
    assert (tree / "a.py").read_bytes() == raw
    assert leakfix("check", "--add-suppressions", "--reason", "é").returncode == 0
    comment = f"  # leakfix: allow[{RULE}] é".encode("latin-1")
    assert (tree / "a.py").read_bytes() == raw.replace(b"'\xe9')", b"'\xe9')" + comment)


def test_a_read_only_file_is_named(tree: Path, leakfix: Program) -> None:
    (tree / "a.py").write_text(HEAD + "    one = sqlite3.connect(path)\n")
    (tree / "b.py").write_text(HEAD + "    one = sqlite3.connect(path)\n")
    (tree / "a.py").chmod(0o444)
    done = leakfix("check", "--add-suppressions")
    assert done.returncode == 2
    assert b"a.py: not written" in done.stderr
    assert "leakfix:" in (tree / "b.py").read_text()


@pytest.mark.parametrize("options", [["--reason", "x"], ["--add-suppressions", "--reason", "a\nb"]])
def test_reasons_go_with_comments_and_are_one_line(leakfix: Program, options: list[str]) -> None:
    done = leakfix("check", *options)
    assert done.returncode == 2
    assert b"--reason goes with --add-suppressions" in done.stderr
