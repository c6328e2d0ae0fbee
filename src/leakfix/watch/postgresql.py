"""PostgreSQL, through psycopg (extra ``watch``): ``pg_stat_activity``. CockroachDB is entered the same way."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from leakfix.watch import Unreachable, WatchError
from leakfix.watch.cockroach import Cockroach
from leakfix.watch.masking import UNREADABLE, masked, secrets
from leakfix.watch.protocol import APPLICATION, CONNECT_SECONDS, SILENT_SECONDS, STATEMENT_SECONDS, Server
from leakfix.watch.query import normalised
from leakfix.watch.snapshot import Session, Snapshot, State

EXAMPLE = "postgresql://user:password@host:5432/database?sslmode=require"
FULL = (
    "the limit is reached, so that not even this connection is let in; a superuser still is, on the connections that "
    "superuser_reserved_connections keeps"
)

# Sessions of clients in all databases: the limit is the server's. Without pg_monitor most columns of other users'
# sessions are null, backend_type too; what belongs to a database and a user is a client then. The statement comes as
# bytes: it is in the encoding of its own database, which need not be this one's.
SESSIONS = """
    select pid, state, usename, application_name, datname, textsend(query),
           extract(epoch from clock_timestamp() - state_change)::float8,
           extract(epoch from clock_timestamp() - xact_start)::float8,
           coalesce(wait_event_type = 'Lock', false),
           case when wait_event_type = 'Lock' then pg_blocking_pids(pid) end
    from pg_stat_activity
    where pid <> pg_backend_pid()
      and (backend_type = 'client backend'
           or backend_type is null and datid is not null and usesysid is not null)
"""
# They only change when the server starts, and then this connection has ended. reserved_connections exists from 16 on.
SETTINGS = """
    select name, setting::int from pg_settings
    where name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
"""
HIDDEN = b"<insufficient privilege>"
STATES = {
    "active": State.ACTIVE,
    "fastpath function call": State.ACTIVE,
    "starting": State.ACTIVE,
    "idle": State.IDLE,
    "idle in transaction": State.IDLE_IN_TRANSACTION,
    "idle in transaction (aborted)": State.ABORTED,
}


@dataclass(frozen=True)
class PostgreSQLLogin:
    """A connection string of libpq, taken apart."""

    parameters: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, dsn: str) -> PostgreSQLLogin:
        """Read a URL or ``name=value`` pairs. Raises WatchError, which repeats nothing of them."""
        try:
            parameters = conninfo_to_dict(dsn)
        except (psycopg.Error, UnicodeError):
            raise WatchError(UNREADABLE.format(example=EXAMPLE)) from None
        places = (str(parameters.get(name, "")) for name in ("host", "dbname"))
        if "://" in dsn and any("@" in place and not place.startswith("@") for place in places):
            raise WatchError(UNREADABLE.format(example=EXAMPLE))  # the rest of a password that was not escaped
        return cls(parameters)

    @property
    def label(self) -> str:
        """User, host, port and database, as far as they are given."""
        given = {name: str(value) for name, value in self.parameters.items()}
        user = f"{given['user']}@" if given.get("user") else ""
        port = f":{given['port']}" if given.get("port") else ""
        host = given.get("host") or given.get("hostaddr") or given.get("service") or "localhost"
        return self.masked(f"{user}{host}{port}/{given.get('dbname', '')}")

    def masked(self, text: str) -> str:
        """The text without the password."""
        given = (self.parameters.get("password"), self.parameters.get("sslpassword"), os.environ.get("PGPASSWORD"))
        return masked(text, secrets(given))

    def opened(self) -> Server:
        """Connect: read only, every statement for itself, with time limits. Raises Unreachable."""
        connection = self._connection()
        try:
            asked = Questions(connection, self.masked)
            ((version,),) = asked("select version()")
            if str(version).startswith("CockroachDB"):
                return Cockroach(asked, connection.close, version, connection.info.user)
            return PostgreSQL(asked, connection.close, version, connection.info.user)
        except BaseException:
            connection.close()
            raise

    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        settings = f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT_SECONDS * 1000}"
        ours = {
            "application_name": APPLICATION,
            "connect_timeout": CONNECT_SECONDS,
            "client_encoding": "utf8",
            "options": f"{self.parameters.get('options') or ''} {settings}".strip(),
        }
        try:
            return psycopg.connect(
                make_conninfo(**{**self.parameters, **ours}), autocommit=True, prepare_threshold=None
            )
        except (psycopg.Error, OSError, UnicodeError) as error:
            told = self.masked(str(error))
            full = "too many clients" in told or "connection slots" in told
            raise Unreachable(f"{told} ({FULL})" if full else told) from None


class Questions:
    """Asks a connection, and is told in one way what went wrong."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], mask: Callable[[str], str]) -> None:
        self._connection = connection
        self._mask = mask

    def __call__(self, query: str) -> list[tuple[Any, ...]]:
        """All rows. Raises Unreachable."""
        try:
            with _deadline(self._connection):
                rows: list[tuple[Any, ...]] = self._connection.execute(query.encode()).fetchall()
                return rows
        except (psycopg.Error, OSError) as error:
            raise Unreachable(self._mask(str(error)) or type(error).__name__) from None

    def named(self, query: str) -> list[dict[str, Any]]:
        """All rows, by the names of their columns. Raises Unreachable."""
        try:
            with _deadline(self._connection), self._connection.cursor() as cursor:
                cursor.execute(query.encode())
                names = [column.name for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except (psycopg.Error, OSError) as error:
            raise Unreachable(self._mask(str(error)) or type(error).__name__) from None


@contextlib.contextmanager
def _deadline(connection: psycopg.Connection[tuple[Any, ...]]) -> Iterator[None]:
    """Cut the line of a server that says nothing: statement_timeout ends a statement only while the server lives."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        timer = threading.Timer(SILENT_SECONDS, _cut, (line,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


class PostgreSQL:
    """A connection to a PostgreSQL server."""

    def __init__(self, asked: Questions, close: Callable[[], None], version: str, user: str) -> None:
        self._asked = asked
        self._close = close
        self._user = user
        self._version = version.partition(" on ")[0]
        self._settings: dict[str, int] | None = None

    def snapshot(self) -> Snapshot:
        """Ask pg_stat_activity. Raises Unreachable."""
        if self._settings is None:
            self._settings = dict(self._asked(SETTINGS))
        rows = self._asked(SESSIONS)
        reserved = sum(value for name, value in self._settings.items() if name != "max_connections")
        hidden = sum(row[5] == HIDDEN for row in rows)
        return Snapshot(
            kind="postgresql",
            version=self._version,
            taken=datetime.now(UTC),
            sessions=tuple(_session(row) for row in rows),
            used=len(rows),
            limit=self._settings["max_connections"] - reserved,
            figures=self._settings,
            notes=(_rights(hidden, self._user),) if hidden else (),
        )

    def close(self) -> None:
        """Give the connection back."""
        self._close()


def _session(row: Sequence[Any]) -> Session:
    pid, state, user, application, database, query, state_seconds, transaction_seconds, waiting, blockers = row
    return Session(
        id=str(pid),
        state=STATES.get(state, State.UNKNOWN),
        user=user or "",
        application=application or "",
        database=database or "",
        query="" if query in (None, HIDDEN) else normalised(query.decode("utf-8", "replace")),
        state_seconds=_seconds(state_seconds),
        transaction_seconds=_seconds(transaction_seconds),
        waiting=waiting,
        blocked_by=tuple(str(blocker) for blocker in blockers or ()),
    )


def _seconds(value: float | None) -> float | None:
    return None if value is None else max(0.0, value)


def _rights(hidden: int, user: str) -> str:
    sessions = f"{hidden} sessions" if hidden > 1 else "1 session"
    return f"{sessions} of others, whose state and query are hidden: grant pg_monitor to {user} shows them"
