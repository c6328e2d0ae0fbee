"""One file's text from stdin, for editors without a language server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., subprocess.CompletedProcess[bytes]]
LEAK = b"""\
import psycopg2


def count(dsn):
    connection = psycopg2.connect(dsn)
    connection.cursor().execute("SELECT 1")
    connection.close()
"""


def test_the_text_counts_not_the_file(tree: Path, leakfix: Program) -> None:
    (tree / "a.py").write_bytes(b"x = 1\n")
    done = leakfix("check", "--stdin-filename", "a.py", "-", input=LEAK)
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.startswith(b"a.py:5:18 warning[psycopg2/unclosed-connection]")
    assert leakfix("check", "--stdin-filename", "a.py", "-", input=b"x = 1\n").returncode == 0


def test_a_file_that_is_not_there_yet(tree: Path, leakfix: Program) -> None:
    done = leakfix("check", "--output-format", "json", "--stdin-filename", str(tree / "new" / "a.py"), "-", input=LEAK)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert [finding["path"] for finding in report["findings"]] == ["new/a.py"]
    assert report["summary"]["files"] == 1


def test_other_files_are_followed(tree: Path, leakfix: Program) -> None:
    (tree / "made.py").write_text("import psycopg2\n\n\ndef connected(dsn):\n    return psycopg2.connect(dsn)\n")
    text = b"from made import connected\n\n\ndef rows(dsn):\n    connected(dsn).cursor()\n"
    assert leakfix("check", "--stdin-filename", "a.py", "-", input=text).returncode == 1


def test_the_diff_is_what_apply_shows_of_such_a_file(tree: Path, leakfix: Program) -> None:
    shown = leakfix("apply", "--diff", "--stdin-filename", "a.py", "-", input=LEAK)
    (tree / "a.py").write_bytes(LEAK)
    assert (shown.returncode, shown.stdout) == (1, leakfix("apply", "--diff", "a.py").stdout)
    assert shown.stdout
    assert (tree / "a.py").read_bytes() == LEAK


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "-"],
        ["check", "--stdin-filename", "a.py", "b.py"],
        ["apply", "--stdin-filename", "a.py", "-"],
        ["apply", "--yes", "--stdin-filename", "a.py", "-"],
        ["apply", "--diff", "--verify-build", "--stdin-filename", "a.py", "-"],
        ["apply", "--branch", "x", "--stdin-filename", "a.py", "-"],
    ],
)
def test_what_makes_no_sense_is_refused(tree: Path, leakfix: Program, arguments: list[str]) -> None:
    done = leakfix(*arguments, input=LEAK)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--stdin-filename" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--add-suppressions", "--show-settings", "--watch"])
def test_what_looks_at_files_takes_no_text(tree: Path, leakfix: Program, option: str) -> None:
    done = leakfix("check", option, "--stdin-filename", "a.py", "-", input=LEAK)
    assert done.returncode == 2
    assert f"{option} looks at files".encode() in done.stderr
