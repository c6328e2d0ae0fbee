"""What a shell completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leakfix.plugins import rule_names

Program = Callable[..., Any]


def _offered(leakfix: Program, *words: str) -> list[str]:
    question = {"COMP_WORDS": " ".join(("leakfix", *words)), "COMP_CWORD": str(len(words))}
    done = leakfix(env={**os.environ, **question, "_LEAKFIX_COMPLETE": "bash_complete"})
    assert done.stderr == b""
    return [line.partition(",")[2] for line in done.stdout.decode().splitlines()]


def test_the_names_are_those_of_the_rules(leakfix: Program) -> None:
    assert [line.split()[0] for line in leakfix("rules").stdout.decode().splitlines()] == rule_names()


def test_rules_are_offered(tree: Path, leakfix: Program) -> None:
    (tree / "leakfix.toml").write_text('[[resource]]\nid = "psycopg/own"\n[[resource]]\nid = "pool"\n')
    own = ["psycopg/connect-timeout", "psycopg/own", "psycopg/unclosed-async-connection", "psycopg/unclosed-connection"]
    assert _offered(leakfix, "check", "--select", "psycopg/") == own
    assert _offered(leakfix, "check", "--ignore", "leak,user") == ["leak,user/pool"]
    assert _offered(leakfix, "apply", "--extend-select", "adv") == ["advice"]
    assert _offered(leakfix, "explain", "psycopg/o") == ["psycopg/own"]
    (tree / "leakfix.toml").write_text("broken =")
    assert _offered(leakfix, "explain", "psycopg/u") == own[2:]


def test_commands_options_keys_and_paths_are_offered(leakfix: Program) -> None:
    assert _offered(leakfix, "basel") == ["baseline"]
    assert _offered(leakfix, "check", "--stat") == ["--statistics"]
    assert _offered(leakfix, "config", "extend-p") == ["extend-per-file-ignores"]
    assert _offered(leakfix, "baseline", "cr") == ["create"]
    assert _offered(leakfix, "check", "x") == ["x"]  # a path: the shell's own matter


def test_nothing_heavy_is_loaded_for_it(tree: Path) -> None:
    heavy = [
        "leakfix.engine",
        "leakfix.registry",
        "leakfix_codemods",
        "leakfix.languages",
        "rich",
        "git",
        "tree_sitter",
    ]
    script = f"""
import os, sys
os.environ |= {{"COMP_WORDS": "leakfix check --select s", "COMP_CWORD": "3", "_LEAKFIX_COMPLETE": "bash_complete"}}
from leakfix.cli import main as run
run([])
print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert "sqlite3/unclosed-connection" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts(leakfix: Program, shell: str) -> None:
    done = leakfix("completion", shell)
    assert done.returncode == 0
    assert b"_LEAKFIX_COMPLETE" in done.stdout
    if shutil.which(shell):
        command = [shell, "-n", "/dev/stdin"]
        assert subprocess.run(command, input=done.stdout, capture_output=True, timeout=60, check=False).returncode == 0


def test_an_unknown_shell(leakfix: Program) -> None:
    assert leakfix("completion", "csh").returncode == 2


def test_bash_uses_it(tree: Path, leakfix: Program) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    folder = tree / "bin"
    folder.mkdir()
    (folder / "leakfix").write_text(f'#!/bin/sh\nexec {sys.executable} -m leakfix "$@"\n')
    (folder / "leakfix").chmod(0o755)
    (tree / "script").write_bytes(leakfix("completion", "bash").stdout)
    ask = "source ./script; COMP_WORDS=(leakfix check --select sqlite3/); COMP_CWORD=3; _leakfix_completion leakfix; "
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    command = [bash, "--norc", "-c", ask + 'printf "%s\\n" "${COMPREPLY[@]}"']
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["sqlite3/unclosed-connection"]
