"""Findings that were accepted, and what becomes of them when code moves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import LEAK, MORE

NAME = ".leakfix-baseline.json"

Program = Callable[..., Any]
Write = Callable[[dict[str, str]], None]
Found = Callable[..., list[str]]


def _entries(tree: Path, file: str = NAME) -> list[str]:
    document = json.loads((tree / file).read_text())
    return [f"{entry['path']} {entry['function']}" for entry in document["findings"]]


@pytest.fixture(autouse=True)
def project(write: Write) -> None:
    write({"leakfix.toml": "", "a.py": LEAK})


def test_created_extended_shown_and_pruned(tree: Path, write: Write, called: Program, found: Found) -> None:
    done = called("baseline", "create")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [
        ".leakfix-baseline.json: 1 finding accepted.",
        "Commit this file, so that CI and others know of it.",
    ]
    assert found() == []
    write({"a.py": LEAK + MORE, "sub/b.py": LEAK})
    assert found() == ["a.py names", "sub/b.py rows"]
    again = called("baseline", "create")
    assert again.returncode == 2
    assert b"`leakfix baseline add` adds to it" in again.stderr
    assert called("baseline", "add", "sub").stdout == b".leakfix-baseline.json: 1 finding added.\n"
    assert found() == ["a.py names"]
    assert _entries(tree) == ["a.py rows", "sub/b.py rows"]
    shown = called("baseline", "show", "sub").stdout.decode()
    assert shown == "sub/b.py: sqlite3/unclosed-connection in rows\n"
    write({"a.py": "", "sub/b.py": ""})
    assert b"1 removed, 1 left" in called("baseline", "prune", "a.py").stdout
    assert _entries(tree) == ["sub/b.py rows"]
    (tree / "sub" / "b.py").unlink()
    assert b"(the file is gone)" in called("baseline", "show").stdout
    assert b"1 removed, 0 left" in called("baseline", "prune").stdout
    assert called("baseline", "prune").stdout == b"Nothing to remove.\n"
    assert called("baseline", "add").stdout.startswith(b"Nothing to add")
    write({"a.py": LEAK})
    assert called("baseline", "create", "--force").returncode == 0
    assert _entries(tree) == ["a.py rows"]


def test_what_is_accepted_is_counted_not_shown(write: Write, called: Program) -> None:
    called("baseline", "create")
    done = called("check")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"No new leaks found; 1 accepted by the baseline. Looked at 1 file in ")
    assert called("check").stdout.startswith(b"No new leaks found; 1 accepted by the baseline.")  # as it was kept
    write({"a.py": LEAK + MORE})
    last = called("check").stdout.decode().splitlines()[-1]
    assert last.startswith(
        "Found 1 leak in 1 file (1 with a safe fix); 1 accepted by the baseline. Looked at 1 file in "
    )
    assert set(json.loads(called("check", "--output-format=json").stdout)["summary"]) == {
        *("files", "parsed", "findings", "fixable", "seconds")
    }
    write({"a.py": LEAK.replace("connect(path)", "connect(path)  # leakfix: allow[sqlite3/*] for now")})
    assert called("check").stdout.startswith(b"No leaks found: 1 file in ")


def test_there_is_none_where_there_is_nothing_to_accept(tree: Path, write: Write, called: Program) -> None:
    write({"a.py": ""})
    assert called("baseline", "create").stdout.startswith(b"No leaks found")
    assert not (tree / NAME).exists()


def test_what_does_not_run_or_cannot_be_read_is_not_pruned(tree: Path, write: Write, called: Program) -> None:
    called("baseline", "create")
    before = (tree / NAME).read_bytes()
    write({"a.py": LEAK + "x ="})
    assert called("baseline", "prune").stdout == b"Nothing to remove.\n"
    write({"a.py": ""})
    assert called("baseline", "prune", "--select", "growth").stdout == b"Nothing to remove.\n"
    assert called("baseline", "prune", "--ignore", "leak").stdout == b"Nothing to remove.\n"
    assert (tree / NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({"a.py": "# a line\n\n" + LEAK}, []),
        ({"a.py": LEAK.replace("rows", "lines")}, []),
        ({"a.py": None, "b.py": LEAK}, []),
        ({"a.py": None, "deep/b.py": LEAK.replace("rows", "lines")}, []),
        ({"b.py": LEAK}, ["b.py rows"]),  # a copy: the first is still there
        ({"a.py": LEAK.replace("rows", "lines") + LEAK[16:]}, ["a.py lines"]),
        ({"a.py": None, "b.py": LEAK.replace("select 1", "select 2")}, ["b.py rows"]),
        ({"a.py": "import sqlite3\n", "b.py": LEAK}, ["b.py rows"]),  # a.py is there: nobody knows where it went
    ],
)
def test_moved_code_is_known_as_far_as_that_is_sure(
    tree: Path, write: Write, called: Program, found: Found, moved: dict[str, str | None], expected: list[str]
) -> None:
    called("baseline", "create")
    for path, text in moved.items():
        if text is None:
            (tree / path).unlink()
    write({path: text for path, text in moved.items() if text is not None})
    assert found() == expected
    paths = [path for path, text in moved.items() if text is not None]
    assert found(*paths) == expected


def test_pruning_learns_new_names(tree: Path, write: Write, called: Program, found: Found) -> None:
    called("baseline", "create")
    (tree / "a.py").unlink()
    write({"b.py": LEAK.replace("rows", "lines")})
    done = called("baseline", "prune")
    assert b"0 removed, 1 left" in done.stdout
    assert _entries(tree) == ["b.py lines"]
    write({"a.py": LEAK})
    assert found() == ["a.py rows"]


def test_go_too(tree: Path, write: Write, called: Program, found: Found) -> None:
    code = """package main

import "database/sql"

func names(db *sql.DB) error {
	rows, err := db.Query("SELECT name FROM users")
	if err != nil {
		return err
	}
	for rows.Next() {
		return nil
	}
	return nil
}
"""
    write({"go.mod": "module example.com/x\n\ngo 1.22\n", "main.go": code, "a.py": ""})
    before = found()
    assert "main.go names" in before
    called("baseline", "create")
    assert found() == []
    write({"main.go": code.replace("names(", "others(")})
    assert found() == []
    write({"main.go": code + code[code.index("func") :].replace("names(", "others(")})
    assert set(found()) == {path.replace("names", "others") for path in before}


def test_each_folder_has_its_own(tree: Path, write: Write, called: Program, found: Found) -> None:
    write({"sub/b.py": LEAK, "sub/leakfix.toml": "", "other/c.py": LEAK, "other/leakfix.toml": 'baseline = "ci/known"'})
    done = called("baseline", "create")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"\nCommit these files, so that CI and others know of it.\n")
    assert _entries(tree) == ["a.py rows"]
    assert _entries(tree, f"sub/{NAME}") == ["b.py rows"]
    assert _entries(tree, "other/ci/known") == ["../c.py rows"]
    assert found() == []
    assert found("b.py", cwd=tree / "sub") == []
    os.remove(tree / "sub" / NAME)
    assert found() == ["sub/b.py rows"]
    assert found("b.py", cwd=tree / "sub") == ["b.py rows"]


def test_one_that_is_none_is_told(tree: Path, called: Program) -> None:
    (tree / NAME).write_text("[]")
    for command in (("check",), ("baseline", "show"), ("baseline", "add")):
        done = called(*command)
        assert done.returncode == 2
        assert b"not a baseline of leakfix" in done.stderr
    assert called("baseline", "create", "--force").returncode == 0
