"""What is remembered between runs does not outlive the settings it was found under."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LEAK = """import sqlite3


def rows(path):
    connection = sqlite3.connect(path)
    return connection.execute("select 1").fetchall()
"""

Program = Callable[..., Any]
Write = Callable[[dict[str, str]], None]


def _settle(tree: Path) -> None:
    """Let everything look old: what changed a moment ago is not remembered by its stamp."""
    past = time.time() - 100
    for path in [*tree.rglob("*"), tree]:
        if ".git" not in path.parts:
            os.utime(path, (past, past))


@pytest.fixture
def paths(tree: Path, leakfix: Program, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Where the program, which keeps what it finds, finds something."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}

    def run(*options: str) -> list[str]:
        done = leakfix("check", "--output-format", "json", *options, env=environment)
        assert done.returncode in (0, 1), done.stderr
        return [finding["path"] for finding in json.loads(done.stdout)["findings"]]

    return run


def test_settings_of_folders_come_change_and_go(tree: Path, write: Write, paths: Callable[..., list[str]]) -> None:
    write({"base.toml": "", "a/x.py": LEAK, "b/x.py": LEAK, "b/leakfix.toml": 'extend = "../base.toml"'})
    _settle(tree)
    assert paths() == paths() == ["a/x.py", "b/x.py"]
    write({"a/leakfix.toml": 'ignore = ["leak"]'})
    assert paths() == ["b/x.py"]
    write({"a/leakfix.toml": ""})
    assert paths() == paths() == ["a/x.py", "b/x.py"]
    write({"base.toml": 'ignore = ["leak"]'})
    assert paths() == ["a/x.py"]
    (tree / "b" / "leakfix.toml").unlink()
    assert paths() == ["a/x.py", "b/x.py"]
    write({"pyproject.toml": "[tool.leakfix.per-file-ignores]\n'b/*' = ['leak']"})
    assert paths() == ["a/x.py"]
    assert paths("--isolated") == ["a/x.py", "b/x.py"]
    assert paths() == ["a/x.py"]


def test_a_baseline_comes_and_goes(tree: Path, write: Write, leakfix: Program, paths: Callable[..., list[str]]) -> None:
    write({"x.py": LEAK, "leakfix.toml": ""})
    _settle(tree)
    assert paths() == paths() == ["x.py"]
    assert leakfix("baseline", "create").returncode == 0
    assert paths() == paths() == []
    (tree / "x.py").rename(tree / "y.py")
    assert paths() == []
    (tree / ".leakfix-baseline.json").unlink()
    assert paths() == ["y.py"]
