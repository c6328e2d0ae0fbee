"""A small project in which leaks depend on other files, and runs that remember."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leakfix import engine
from leakfix.cache.kept import Kept, key_of
from leakfix.cache.store import Store
from leakfix.config import Config
from leakfix.registry import Registry
from leakfix.report.json import document
from leakfix.result import Report

PROJECT = {
    "pyproject.toml": '[project]\nname = "shop"\ndependencies = ["cachetools", "django>=5"]\n',
    "shop/__init__.py": "",
    "shop/pool.py": """import sqlite3


def opened(path):
    return sqlite3.connect(path)


def shut(connection):
    connection.close()
""",
    "shop/again.py": "from shop.pool import opened\n\n\ndef fresh(path):\n    return opened(path)\n",
    "shop/orders.py": """from shop.again import fresh
from shop.pool import shut


def count(path):
    connection = fresh(path)
    return connection.execute("select count(*) from orders").fetchone()


def total(path):
    connection = fresh(path)
    rows = connection.execute("select 1").fetchall()
    shut(connection)
    return rows
""",
    "shop/prices.py": """_prices = {}


def price(request, item):
    if item not in _prices:
        _prices[item] = ask(item, request)
    return _prices[item]
""",
    "shop/alone.py": "import sqlite3\n\n\ndef one(path):\n    return sqlite3.connect(path).execute('x').fetchone()\n",
    "shop/plain.py": "def add(a, b):\n    return a + b\n",
    "go.mod": "module example.com/shop\n\ngo 1.22\n",
    "store/open.go": """package store

import "database/sql"

func Count(rows *sql.Rows) int {
\tcount := 0
\tif rows.Next() {
\t\tcount++
\t}
\treturn count
}
""",
    "web/list.go": """package web

import (
\t"database/sql"

\t"example.com/shop/store"
)

func List(db *sql.DB) (int, error) {
\trows, err := db.Query("select name from shop")
\tif err != nil {
\t\treturn 0, err
\t}
\treturn store.Count(rows), nil
}
""",
}


class Shop:
    """The project on disk, checked with and without memory."""

    def __init__(self, tree: Path, store: Store, registry: Registry) -> None:
        self.tree, self.store, self.registry = tree, store, registry
        self.config = Config()
        self.looked_at: list[str] = []
        for name, text in PROJECT.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Write a file as if that had been a while ago: what is fresh is not trusted by its stamp."""
        file = self.tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.tree / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    @property
    def key(self) -> str:
        return key_of(["."], repr(self.config))

    def remembering(self) -> Report:
        """Check with what is remembered; ``looked_at`` tells which files were analysed."""
        kept = Kept(self.store, self.key)
        answer = kept.answer()
        self.looked_at.clear()
        return answer or engine.check(["."], self.config, self.registry, jobs=1, kept=kept)

    def plain(self) -> Report:
        """Check without."""
        return engine.check(["."], self.config, self.registry, jobs=1)

    def agree(self) -> Report:
        """What both find, which must be the same."""
        report = self.remembering()
        looked_at = list(self.looked_at)
        assert told(report) == told(self.plain())
        self.looked_at[:] = looked_at
        return report


def told(report: Report) -> dict[str, Any]:
    """A report as people get it, without the time it took, and with the edits of its fixes."""
    values = document(report)
    del values["summary"]["seconds"]
    return values | {"edits": [finding.fix and finding.fix.edits for finding in report.findings]}


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on what was written before counts as written long ago."""
    ahead = [0]
    now = time.time_ns

    def advance() -> None:
        ahead[0] += 10_000_000_000

    monkeypatch.setattr("leakfix.project.stamps.time.time_ns", lambda: now() + ahead[0])
    return advance


@pytest.fixture
def shop(
    tree: Path,
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    settled: Callable[[], None],
) -> Shop:
    """The project; its files are settled."""
    made = Shop(tree, Store(str(tmp_path_factory.mktemp("store"))), registry)
    settled()
    analyse = engine.Run.analyse

    def analysing(run: engine.Run, path: str, *rest: Any) -> Any:
        made.looked_at.append(path)
        return analyse(run, path, *rest)

    monkeypatch.setattr(engine.Run, "analyse", analysing)
    return made
