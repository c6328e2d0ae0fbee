"""What a check costs, in numbers that no busy machine changes: files read and parsed, modules imported."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from leakfix import engine
from leakfix.config import Config
from leakfix.languages.python import project
from leakfix.project import files
from leakfix.registry import Registry
from leakfix.source import SourceFile

from .conftest import imported

LEAK = "import sqlite3\n\n\ndef f(p):\n    c = sqlite3.connect(p)\n    print(c.execute('x').fetchone())\n"


@pytest.fixture
def large(tree: Path) -> Path:
    """Two hundred files of which five matter."""
    for i in range(200):
        (tree / f"plain{i}.py").write_text(f"import os\n\n\ndef f{i}():\n    return os.getpid()\n")
    for i in range(5):
        (tree / f"leak{i}.py").write_text(LEAK)
    return tree


def test_only_what_matters_is_parsed(large: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = Counter[str]()
    parse = project.parse

    def counted(source: SourceFile) -> object:
        parsed[source.path] += 1
        return parse(source)

    monkeypatch.setattr("leakfix.analysis.parse", counted)
    report = engine.check(["."], Config(), registry, jobs=1)
    assert len(report.findings) == 5
    # once to find the leak, once more to verify its repair
    assert parsed == {f"leak{i}.py": 2 for i in range(5)}


def test_every_file_is_read_once(large: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Counter[str]()
    read_file = files.read_file

    def counted(path: str) -> bytes:
        read[path] += 1
        return read_file(path)

    run = engine.Run(Config(), registry, read=counted)
    run.index([f"plain{i}.py" for i in range(200)] + [f"leak{i}.py" for i in range(5)])
    assert set(read.values()) == {1}
    assert len(read) == 205


def test_an_answer_that_is_remembered_needs_neither_engine_nor_codemods(large: Path) -> None:
    names = "click", "leakfix.engine", "leakfix.registry", "leakfix_codemods", "tree_sitter", "tomlkit", "rich", "git"
    time.sleep(2.1)  # until no file system's clock can take a later change for the one before
    _, at_first = imported(["check", "--exit-zero", "--output-format", "json"], names, large)
    assert {"leakfix.engine", "leakfix_codemods"} < at_first
    # in other words, or what was said would be repeated as it stands
    again, later = imported(["check", "--output-format", "json", "--exit-zero"], names, large)
    assert later == {"click"}
    assert b"leak4.py" in again
