"""MySQL and MariaDB, through PyMySQL (extra ``watch``): the list of processes and InnoDB's open transactions."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql
from pymysql.cursors import DictCursor

from leakfix.watch import Unreachable, WatchError
from leakfix.watch.masking import UNREADABLE, masked, secrets
from leakfix.watch.protocol import APPLICATION, CONNECT_SECONDS, SILENT_SECONDS, STATEMENT_SECONDS, Server
from leakfix.watch.query import normalised
from leakfix.watch.snapshot import Session, Snapshot, State

EXAMPLE = "mysql://user:password@host:3306/database"
PASSED_ON = ("unix_socket", "ssl_ca", "ssl_cert", "ssl_key")
FULL = 1040  # the server's code for too many connections

PROCESSES = "show full processlist"
TRANSACTIONS = """
    select trx_mysql_thread_id as id, timestampdiff(second, trx_started, now()) as seconds, trx_state as state
    from information_schema.innodb_trx
"""
PROGRAMS = """
    select processlist_id as id, attr_value as program
    from performance_schema.session_connect_attrs where attr_name = 'program_name'
"""
STATUS = """
    show global status where variable_name in ('Threads_connected', 'Threads_running', 'Max_used_connections')
"""
LIMIT = "select @@global.max_connections as max_connections, connection_id() as ours, current_user() as user"
READ_ONLY = "set session transaction read only"
TIME_LIMIT = {
    True: f"set session max_statement_time = {STATEMENT_SECONDS}",  # MariaDB, in seconds
    False: f"set session max_execution_time = {STATEMENT_SECONDS * 1000}",  # MySQL, in milliseconds
}
NO_CLIENTS = ("Daemon",)
NO_TRANSACTIONS = "transactions are not shown: grant process on *.* to {user} shows them, and the sessions of others"


@dataclass(frozen=True)
class MySQLLogin:
    """A URL, taken apart."""

    parameters: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, dsn: str) -> MySQLLogin:
        """Read a URL. Raises WatchError, which repeats nothing of it."""
        try:
            parts = urlsplit(dsn)
            port = parts.port
            options = dict(parse_qsl(parts.query))
        except ValueError:
            raise WatchError(UNREADABLE.format(example=EXAMPLE)) from None
        if "@" in parts.path or parts.fragment:  # the rest of a password that was not escaped
            raise WatchError(UNREADABLE.format(example=EXAMPLE))
        parameters = {
            "host": parts.hostname or "localhost",
            "port": port or 3306,
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or options.get("password", "")),
            "database": unquote(parts.path.lstrip("/")),
        }
        return cls({**parameters, **{name: options[name] for name in PASSED_ON if name in options}})

    @property
    def label(self) -> str:
        """User, host, port and database."""
        given = self.parameters
        user = f"{given['user']}@" if given["user"] else ""
        return self.masked(f"{user}{given.get('unix_socket') or given['host']}:{given['port']}/{given['database']}")

    def masked(self, text: str) -> str:
        """The text without the password."""
        return masked(text, secrets([self.parameters["password"]]))

    def opened(self) -> Server:
        """Connect: read only, every statement for itself, with time limits. Raises Unreachable."""
        connection = self._connection()
        try:
            return MySQL(connection, self)
        except BaseException:
            connection.close()
            raise

    def _connection(self) -> Any:
        given = {name: value for name, value in self.parameters.items() if value}
        try:
            return pymysql.connect(
                **given,
                connect_timeout=CONNECT_SECONDS,
                read_timeout=SILENT_SECONDS,
                write_timeout=SILENT_SECONDS,
                autocommit=True,
                program_name=APPLICATION,
                cursorclass=DictCursor,
            )
        except (pymysql.Error, OSError, RuntimeError) as error:  # RuntimeError: cryptography is missing
            raise Unreachable(_reason(error, self)) from None


class MySQL:
    """A connection to a MySQL or MariaDB server."""

    def __init__(self, connection: Any, login: MySQLLogin) -> None:
        self._connection = connection
        self._login = login
        version = str(self._asked("select version() as version")[0]["version"])
        self._mariadb = "mariadb" in version.lower()
        self._version = f"{'MariaDB' if self._mariadb else 'MySQL'} {version.partition('-')[0]}"
        self._asked(READ_ONLY)
        self._asked(TIME_LIMIT[self._mariadb])

    def snapshot(self) -> Snapshot:
        """Ask for processes and transactions. Raises Unreachable."""
        figures = {row["Variable_name"]: int(row["Value"]) for row in self._asked(STATUS)}
        settings = self._asked(LIMIT)[0]
        limit = int(settings["max_connections"])
        transactions, notes = self._transactions(settings["user"])
        programs = self._programs()
        rows = [row for row in self._asked(PROCESSES) if row["Id"] != settings["ours"] and _is_client(row)]
        used = figures["Threads_connected"] - 1
        return Snapshot(
            kind="mariadb" if self._mariadb else "mysql",
            version=self._version,
            taken=datetime.now(UTC),
            sessions=tuple(_session(row, transactions, programs) for row in rows),
            used=used,
            limit=limit,
            figures={"max_connections": limit, **figures},
            unseen=max(0, used - len(rows)) if notes else 0,
            notes=tuple(notes),
        )

    def close(self) -> None:
        """Give the connection back."""
        with contextlib.suppress(pymysql.Error, OSError):
            self._connection.close()

    def _transactions(self, user: str) -> tuple[dict[int, dict[str, Any]], list[str]]:
        """InnoDB's open transactions by the id of their session, and what to say where they are not shown."""
        try:
            return {row["id"]: row for row in self._answers(TRANSACTIONS)}, []
        except pymysql.err.OperationalError as error:
            if not self._connection.open:
                raise Unreachable(_reason(error, self._login)) from None
            return {}, [NO_TRANSACTIONS.format(user=user)]
        except (pymysql.Error, OSError) as error:
            raise Unreachable(_reason(error, self._login)) from None

    def _programs(self) -> dict[int, str]:
        """What programs call themselves; nothing where the performance schema is off or may not be read."""
        try:
            return {row["id"]: str(row["program"] or "") for row in self._answers(PROGRAMS)}
        except (pymysql.Error, OSError) as error:
            if not self._connection.open:
                raise Unreachable(_reason(error, self._login)) from None
            return {}

    def _asked(self, query: str) -> list[dict[str, Any]]:
        try:
            return self._answers(query)
        except (pymysql.Error, OSError) as error:
            raise Unreachable(_reason(error, self._login)) from None

    def _answers(self, query: str) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())


def _is_client(row: Mapping[str, Any]) -> bool:
    return row["Command"] not in NO_CLIENTS and row["User"] != "system user"


def _session(
    row: Mapping[str, Any], transactions: Mapping[int, Mapping[str, Any]], programs: Mapping[int, str]
) -> Session:
    transaction = transactions.get(row["Id"])
    seconds = None if row["Time"] is None else max(0.0, float(row["Time"]))
    if row["Command"] != "Sleep":
        state = State.ACTIVE
    else:
        state = State.IDLE_IN_TRANSACTION if transaction else State.IDLE
    return Session(
        id=str(row["Id"]),
        state=state,
        user=row["User"] or "",
        application=programs.get(row["Id"], ""),
        database=row["db"] or "",
        query=normalised(_text(row["Info"]), mysql=True),
        state_seconds=seconds,
        transaction_seconds=max(0.0, float(transaction["seconds"] or 0)) if transaction else None,
        waiting=_waits(row, transaction),
    )


def _waits(row: Mapping[str, Any], transaction: Mapping[str, Any] | None) -> bool:
    """For a row's lock, which InnoDB tells, or for a table's, which the server does."""
    doing = str(row["State"] or "").lower()
    return bool(transaction and transaction["state"] == "LOCK WAIT") or (
        doing.startswith("waiting") and "lock" in doing
    )


def _text(info: Any) -> str:
    return info.decode("utf-8", "replace") if isinstance(info, bytes) else str(info or "")


def _reason(error: Exception, login: MySQLLogin) -> str:
    """What the driver says, without its code and without the password."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    full = bool(error.args) and error.args[0] == FULL
    told = login.masked(text) or type(error).__name__
    return f"{told} (one more is let in: an account with CONNECTION_ADMIN or SUPER)" if full else told
