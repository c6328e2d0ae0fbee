"""What grows without measure is analysed in bounded time or said not to be: no hanging, no silence."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from leakfix import analysis, engine
from leakfix.cache.kept import Kept
from leakfix.cache.store import Store
from leakfix.config import Config
from leakfix.languages.python.modules import Module
from leakfix.registry import Registry
from leakfix.result import Report

ACQUIRED = "    c = sqlite3.connect(p)\n"


def checked(registry: Registry) -> Report:
    return engine.check(["."], Config(), registry, jobs=1)


HUGE = {
    "branches": ACQUIRED + "".join(f"    if x == {i}:\n        g({i})\n" for i in range(10_000)) + "    c.close()\n",
    "acquisitions": "".join(f"    c{i} = sqlite3.connect(p)\n    c{i}.close()\n" for i in range(500)),
    "tries": ACQUIRED
    + "".join(
        f"    try:\n        g({i})\n    except ValueError:\n        h({i})\n    finally:\n        k({i})\n"
        for i in range(2_000)
    )
    + "    c.close()\n",
    "terms": ACQUIRED + "    y = " + " + ".join(f"x{i}" for i in range(5_000)) + "\n    c.close()\n",
    "links": ACQUIRED + "    q" + ".filter(1)" * 3_000 + "\n    c.close()\n",
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_huge_function_is_said_not_to_be_analysed(tree: Path, registry: Registry, kind: str) -> None:
    (tree / "huge.py").write_text(f"import sqlite3\n\n\ndef f(p, q, x):\n{HUGE[kind]}")
    (tree / "small.py").write_text("import sqlite3\n\n\ndef f(p):\n    sqlite3.connect(p).execute('x')\n")
    report = checked(registry)
    assert [error.path for error in report.errors] == ["huge.py"]
    assert "not analysed" in report.errors[0].message
    assert [finding.path for finding in report.findings] == ["small.py"]


def test_deep_nesting_is_analysed(tree: Path, registry: Registry) -> None:
    lines = "".join("    " * (i + 1) + f"if x > {i}:\n" for i in range(90))
    (tree / "deep.py").write_text(
        f"import sqlite3\n\n\ndef f(p, x):\n{ACQUIRED}{lines}{'    ' * 91}g()\n    c.close()\n"
    )
    assert [finding.line for finding in checked(registry).findings] == [5]


def test_modules_that_import_each_other_in_a_circle(tree: Path, registry: Registry) -> None:
    for i in range(100):
        after = (i + 1) % 100
        (tree / f"m{i}.py").write_text(
            f"import sqlite3\nfrom m{after} import f{after}\n\n\n"
            f"def f{i}(p):\n    return f{after}(p) if p else sqlite3.connect(p)\n\n\n"
            f"def g{i}(p):\n    f{i}(p).execute('x')\n"
        )
    report = checked(registry)
    assert {finding.path for finding in report.findings} == {f"m{i}.py" for i in range(100)}
    assert not report.errors


def test_a_chain_of_a_thousand_calls_ends(tree: Path, registry: Registry) -> None:
    calls = "".join(f"def f{i}(p):\n    return f{i + 1}(p)\n\n\n" for i in range(1_000))
    last = "def f1000(p):\n    return sqlite3.connect(p)\n\n\ndef g(p):\n    f1000(p).execute('x')\n"
    (tree / "chain.py").write_text(f"import sqlite3\n\n\n{calls}{last}")
    assert "g" in {finding.function for finding in checked(registry).findings}


def test_repairs_of_a_large_file_come_in_parts(tree: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    leak = "def f{0}(p):\n    c = sqlite3.connect(p)\n    print(c.execute('{0}').fetchone())\n\n\n"
    text = "import sqlite3\n\n\n" + "".join(leak.format(i) for i in range(20))
    (tree / "many.py").write_text(text)
    monkeypatch.setattr(analysis, "_MOST_VERIFIED", 12 * len(text))
    report = checked(registry)
    assert [finding.fix is not None for finding in report.findings] == [True] * 11 + [False] * 9
    assert "accept those that are offered and check again" in str(report.findings[-1].refusal)
    for _ in range(3):
        for repaired in engine.repair(checked(registry), lambda *_: True):
            (tree / "many.py").write_bytes(repaired.after.raw)
    assert not checked(registry).findings


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_that_takes_too_long_is_said_not_to_be_analysed(
    tree: Path, registry: Registry, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):  # enough for a second process
        (tree / f"m{number:02}.py").write_text("import sqlite3\n\n\ndef f(p):\n    sqlite3.connect(p).execute('x')\n")
    leaks = analysis.Analysis.leaks

    def endless(self: analysis.Analysis, module: Module, only: str | None = None) -> Iterator[analysis.Located]:
        while module.path == "m07.py":
            pass
        return leaks(self, module, only)

    monkeypatch.setattr(analysis.Analysis, "leaks", endless)
    report = engine.check(["."], Config(time_limit=1), registry, jobs=jobs)
    assert [error.path for error in report.errors] == ["m07.py"]
    assert "not analysed" in report.errors[0].message
    assert "time-limit" in report.errors[0].message
    assert len({finding.path for finding in report.findings}) == 39


def test_an_answer_that_time_cut_short_is_not_kept(
    tree: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tree / "slow.py").write_text("import sqlite3\n\n\ndef f(p):\n    sqlite3.connect(p).execute('x')\n")
    store = tmp_path_factory.mktemp("store")
    with monkeypatch.context() as patch:
        patch.setattr(analysis.Analysis, "exports", lambda self, module: sum(1 for _ in itertools.count()))
        late = engine.check(["slow.py"], Config(time_limit=1), registry, jobs=1, kept=Kept(Store(str(store)), "k"))
        assert late.errors
        assert not late.findings
    again = engine.check(["slow.py"], Config(), registry, jobs=1, kept=Kept(Store(str(store)), "k"))
    assert [finding.line for finding in again.findings] == [5]
