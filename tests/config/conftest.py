"""What tests of settings share: files with leaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LEAK = """import sqlite3


def rows(path):
    connection = sqlite3.connect(path)
    return connection.execute("select 1").fetchall()
"""
MORE = """

def names(path):
    connection = sqlite3.connect(path)
    return connection.execute("select name").fetchall()
"""
RULE = "sqlite3/unclosed-connection"


@pytest.fixture
def write(tree: Path) -> Callable[[dict[str, str]], None]:
    """Put files into the tree."""

    def put(files: dict[str, str]) -> None:
        for name, text in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)

    return put


@pytest.fixture
def found(called: Callable[..., Any]) -> Callable[..., list[str]]:
    """``path function`` of what the program finds."""

    def run(*options: str, **others: Any) -> list[str]:
        done = called("check", "--no-cache", "--output-format", "json", *options, **others)
        assert done.returncode in (0, 1), done.stderr
        report = json.loads(done.stdout)
        assert done.returncode == bool(report["findings"])
        return [f"{finding['path']} {finding['function']}" for finding in report["findings"]]

    return run
