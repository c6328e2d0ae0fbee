"""The program as a process: start-up, import path, closed pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import leakfix as package

Program = Callable[..., subprocess.CompletedProcess[bytes]]


def test_version(leakfix: Program) -> None:
    done = leakfix("--version")
    assert (done.returncode, done.stdout) == (0, f"leakfix {package.__version__}\n".encode())
    assert leakfix("check", "--version").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--version"], ["click", "rich", "libcst", "git", "asyncio", "importlib.metadata", "subprocess"]),
        (["--help"], ["rich", "libcst", "git", "asyncio"]),
        (["rules"], ["rich", "libcst", "git", "asyncio"]),
    ],
)
def test_start_up_imports_only_what_it_needs(tree: Path, arguments: list[str], absent: list[str]) -> None:
    code = f"""
import sys
sys.argv[1:] = {arguments!r}
import os; os._exit = sys.exit
from leakfix.__main__ import main
try:
    main()
except SystemExit:
    pass
print([name for name in {absent!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, check=True)
    assert done.stderr.decode().strip() == "[]"


@pytest.mark.parametrize("shadowed", ["click", "rich", "json", "tomllib", "leakfix_codemods", "ast"])
def test_nothing_of_the_working_directory_is_imported(tree: Path, leakfix: Program, shadowed: str) -> None:
    (tree / f"{shadowed}.py").write_text("open('owned', 'w')\n")
    (tree / "src").mkdir()
    (tree / "src" / f"{shadowed}.py").write_text("open('owned', 'w')\n")
    path = os.pathsep.join(["", ".", str(tree), str(tree / "src")])
    assert leakfix("rules", env=os.environ | {"PYTHONPATH": path}).returncode == 0
    assert leakfix("--help", env=os.environ | {"PYTHONPATH": path}).returncode == 0
    assert not (tree / "owned").exists()


def test_a_plugin_lying_in_the_working_directory_is_not_loaded(tree: Path, leakfix: Program) -> None:
    (tree / "evil").mkdir()
    (tree / "evil" / "__init__.py").write_text("open('owned', 'w')\n")
    about = tree / "evil-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: evil\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[leakfix.codemods]\nevil = evil\n")
    done = leakfix("rules")
    assert (done.returncode, done.stderr) == (0, b"")
    assert not (tree / "owned").exists()


def test_it_runs_from_its_own_source(leakfix: Program) -> None:
    source = Path(package.__file__).parent.parent
    assert leakfix("rules", cwd=source).returncode == 0


@pytest.mark.parametrize("command", ["rules", "explain psycopg2/unclosed-connection", "--help"])
def test_a_closed_pipe_ends_quietly(tree: Path, command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [sys.executable, "-m", "leakfix", *command.split()]
    done = subprocess.run(arguments, cwd=tree, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_closed_pipe_does_not_disturb_the_version(tree: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [sys.executable, "-m", "leakfix", "--version"]
    done = subprocess.run(arguments, cwd=tree, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("selct = 1", "did you mean 'select'?"),
        ("x" * 2_000_000, "larger than"),
        ("a = " + "[" * 100_000, "deep"),
    ],
    ids=["misspelt", "too large", "too deep"],
)
def test_a_bad_configuration_exits_with_two(tree: Path, leakfix: Program, text: str, told: str) -> None:
    (tree / "leakfix.toml").write_text(text)
    for arguments in (["rules"], ["check"], ["apply", "--yes"]):
        done = leakfix(*arguments)
        assert done.returncode == 2
        assert told in done.stderr.decode()
        assert b"Traceback" not in done.stderr


def test_an_encoding_without_the_characters_is_no_fault(tree: Path, leakfix: Program) -> None:
    (tree / "leakfix.toml").write_text("'sélect' = 1")
    done = leakfix("rules", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_explain_knows_the_nearest_rule(tree: Path, leakfix: Program) -> None:
    done = leakfix("explain", "psycopg2/unclosed-conection")
    assert done.returncode == 2
    assert b"did you mean 'psycopg2/unclosed-connection'?" in done.stderr
    done = leakfix("explain", "psycopg2/unclosed-connection")
    assert done.returncode == 0
    for heading in (b"What leaks", b"Why it hurts", b"How it is repaired", b"When it is left alone"):
        assert heading in done.stdout


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("psycopg2/unreturned-pool-connection", b"+    try:"),
        ("database_sql/unfinished-transaction", b"+\tdefer tx.Rollback()"),
        ("gorm/unscanned-row", b"\treturn row.Err() == nil"),
    ],
    ids=["python", "go", "no repair"],
)
def test_explain_shows_the_example(tree: Path, leakfix: Program, rule: str, line: bytes) -> None:
    _, _, example = leakfix("explain", rule).stdout.partition(b"\nExample\n-------\n")
    assert line in example.splitlines()


def test_rules_are_one_line_each(tree: Path, leakfix: Program) -> None:
    lines = leakfix("rules").stdout.decode().splitlines()
    assert all(line.split()[1] in ("leak", "growth", "advice") for line in lines)
    assert "psycopg2/unreturned-pool-connection" in {line.split()[0] for line in lines}


def test_new_writes_a_codemod_that_loads(tree: Path, leakfix: Program) -> None:
    done = leakfix("new", "toydb/unclosed-connection", "--package", "plugin")
    assert done.returncode == 0
    written = sorted(str(path.relative_to(tree)) for path in tree.rglob("*.*"))
    assert written == [
        "fixtures/toydb/unclosed_connection/example.after.py",
        "fixtures/toydb/unclosed_connection/example.before.py",
        "fixtures/toydb/unclosed_connection/returned.ok.py",
        "plugin/toydb/__init__.py",
        "plugin/toydb/resources.toml",
        "plugin/toydb/unclosed_connection.py",
    ]
    compile((tree / "plugin" / "toydb" / "unclosed_connection.py").read_text(), "x", "exec")
    assert leakfix("new", "toydb/unclosed-connection", "--package", "plugin").returncode == 2
    again = leakfix("new", "toydb/unclosed-pool", "--package", "plugin")
    assert again.returncode == 0
    assert b"kept     plugin/toydb/resources.toml" in again.stdout


@pytest.mark.parametrize("name", ["toydb", "Toy/x", "../x/y", "a/b/c", "a/_b", "a/b.py"])
def test_new_refuses_other_names(tree: Path, leakfix: Program, name: str) -> None:
    assert leakfix("new", name).returncode == 2
    assert list(tree.iterdir()) == []
