"""Servers to watch: a PostgreSQL of our own that can be stopped, a MariaDB, and their clients."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from leakfix.watch.logins import login_for
from leakfix.watch.snapshot import Snapshot
from leakfix.watch.watching import Watch

from ..postgresql import PostgreSQL, running

SETTINGS = {"max_connections": 20, "superuser_reserved_connections": 3, "reserved_connections": 2}
LIMIT = 15
PATIENCE = 20.0  # seconds


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A server of few connections, for all tests of a process; some stop it."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("not installed: psycopg")
    with running(**SETTINGS) as server:
        yield server


@pytest.fixture
def client(postgresql: PostgreSQL) -> Iterator[Callable[..., Any]]:
    """Connect as an application and run statements; the last one is only sent where it does not end by itself."""
    import psycopg

    with contextlib.ExitStack() as stack:

        def connect(application: str, *statements: str, sent: str | None = None, uri: str | None = None) -> Any:
            connection = psycopg.connect(uri or postgresql.uri(), application_name=application, autocommit=True)
            stack.callback(connection.close)
            for statement in statements:
                with contextlib.suppress(psycopg.errors.DivisionByZero):  # what aborts a transaction here
                    connection.execute(statement.encode())
            if sent is not None:
                connection.pgconn.send_query(sent.encode())
                stack.callback(_cancel, connection)  # pg_sleep does not see that its client has left
            return connection

        yield connect


def _cancel(connection: Any) -> None:
    with contextlib.suppress(Exception):
        connection.cancel()


@pytest.fixture
def watch(postgresql: PostgreSQL) -> Iterator[Watch]:
    """Our own look at the server."""
    with Watch(login_for(postgresql.uri())) as watch:
        until(watch, lambda snapshot: not snapshot.sessions)  # those of the test before may just be leaving
        yield watch


def until(watch: Watch, wanted: Callable[[Snapshot], bool]) -> Snapshot:
    """The first picture that is as wanted; what clients do takes its time."""
    end = time.monotonic() + PATIENCE
    while not wanted(snapshot := watch.ask()):
        assert time.monotonic() < end, snapshot
        time.sleep(
            0.25
        )  # InnoDB renews its list of transactions only after a tenth of a second in which nobody read it
    return snapshot


@dataclass(frozen=True)
class MariaDBServer:
    """A server on 127.0.0.1; root needs no password."""

    port: int

    def uri(self, user: str = "root", database: str = "mysql") -> str:
        return f"mysql://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, **options: Any) -> Any:
        import pymysql

        return pymysql.connect(host="127.0.0.1", port=self.port, **{"user": "root", "connect_timeout": 5, **options})


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDBServer]:
    """A server with system tables and nothing else."""
    program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
    if program is None or importlib.util.find_spec("pymysql") is None:
        pytest.skip("not installed: mariadbd (Debian: mariadb-server-core), PyMySQL")
    folder = Path(tempfile.mkdtemp(prefix="leakfix-"))
    scripts = Path(program).resolve().parents[1] / "share" / "mysql"
    port = _free_port()
    common = [
        *(program, "--no-defaults", f"--datadir={folder / 'data'}", f"--lc-messages-dir={scripts}"),
        *("--innodb-log-file-size=8M", "--innodb-data-file-path=ibdata1:4M:autoextend", "--max-connections=20"),
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]
    network = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder / 'socket'}", "--performance-schema"]
    try:
        (folder / "data").mkdir()
        subprocess.run([*common, "--bootstrap"], input=_tables(scripts), capture_output=True, check=True, timeout=60)
        with open(folder / "log", "wb") as log, subprocess.Popen([*common, *network], stderr=log) as process:
            try:
                server = MariaDBServer(port)
                _until_ready(server)
                yield server
            finally:
                process.terminate()
                process.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tables(scripts: Path) -> bytes:
    begin = b"create database mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n"
    names = "mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql"
    return begin + b"".join((scripts / name).read_bytes() for name in names)


def _until_ready(server: MariaDBServer) -> None:
    import pymysql

    end = time.monotonic() + PATIENCE
    while True:
        try:
            server.connect().close()
            return
        except pymysql.Error:
            assert time.monotonic() < end, "MariaDB does not start"
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
