"""A small project with leaks of several rules, checked by the real engine, under review."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from leakfix import engine
from leakfix.config import Config
from leakfix.finding import Finding
from leakfix.registry import Registry
from leakfix.report.text import rendered_finding
from leakfix.result import Report
from leakfix.review.decisions import Review
from leakfix.source import SourceFile

FILES = {
    "shop/orders.py": """\
import sqlite3


def count(path):
    connection = sqlite3.connect(path)
    row = connection.execute("SELECT count(*) FROM orders").fetchone()
    connection.close()
    return row[0]


def names(path):
    connection = sqlite3.connect(path)
    return [name for (name,) in connection.execute("SELECT name FROM orders")]


def forget(path):
    connection = sqlite3.connect(path)
    return connection.execute("SELECT 1")
""",
    "shop/prices.py": """\
from functools import lru_cache


@lru_cache(maxsize=None)
def price(item):
    return len(item)


def shown(path):
    import sqlite3

    connection = sqlite3.connect(path)
    print(connection.execute("SELECT 1").fetchone())
    connection.close()
""",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, as the working directory."""
    folder = tmp_path / "project"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def report(project: Path, registry: Registry) -> Report:
    """What a check says of it."""
    return engine.check(["."], Config(root=os.getcwd()), registry, jobs=1)


@pytest.fixture
def review(report: Report) -> Review:
    """A review of all its findings."""
    return Review(report.findings, report.sources, report.run.checked)


@pytest.fixture
def describe() -> Callable[[Finding, SourceFile], str]:
    return lambda finding, source: "".join(rendered_finding(finding, source, True))
