"""CockroachDB, in PostgreSQL's protocol: ``crdb_internal.cluster_sessions``, as pg_stat_activity is empty there.

Written from CockroachDB's documentation and tested with a stand-in for its tables, not with CockroachDB itself. Both
tables are among those it supports in production. Which transactions wait for a lock is not asked: cluster_locks asks
every node in turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from leakfix.watch import Unreachable
from leakfix.watch.protocol import APPLICATION
from leakfix.watch.query import normalised
from leakfix.watch.snapshot import Session, Snapshot, State

# All columns, as they differ by version: status is there from 22.1 on, active_query_start was oldest_query_start.
SESSIONS = "select * from crdb_internal.cluster_sessions"
TRANSACTIONS = "select session_id, start from crdb_internal.cluster_transactions"
NOW = "select clock_timestamp()"
LIMIT = "show cluster setting server.max_connections_per_gateway"
SETTING = "server.max_connections_per_gateway"
INTERNAL = "$ internal"  # how the names of CockroachDB's own sessions begin


class Asked(Protocol):
    """Asks a connection; both raise Unreachable."""

    def __call__(self, query: str) -> list[tuple[Any, ...]]: ...

    def named(self, query: str) -> list[dict[str, Any]]: ...


class Cockroach:
    """A connection to a node of a cluster."""

    def __init__(self, asked: Asked, close: Callable[[], None], version: str, user: str) -> None:
        self._asked = asked
        self._close = close
        self._user = user
        self._version = version.partition(" (")[0]

    def snapshot(self) -> Snapshot:
        """Ask for the sessions of all nodes. Raises Unreachable."""
        ((now,),) = self._asked(NOW)
        rows = [row for row in self._asked.named(SESSIONS) if _counts(row)]
        begun = {str(row["session_id"]): row["start"] for row in self._asked.named(TRANSACTIONS)}
        setting, notes = self._limit()
        by_node = Counter(row.get("node_id") for row in rows)
        if len(by_node) > 1 and setting is not None and setting >= 0:
            notes.append("the limit is that of one node, and so is what is counted against it: the node with the most")
        if {row.get("user_name") for row in rows} <= {self._user}:
            notes.append(f"only sessions of {self._user} are seen; those of others need the privilege VIEWACTIVITY")
        return Snapshot(
            kind="cockroachdb",
            version=self._version,
            taken=datetime.now(UTC),
            sessions=tuple(_session(row, now, begun) for row in rows),
            used=max(by_node.values(), default=0),
            limit=setting if setting is not None and setting >= 0 else None,
            figures={} if setting is None else {SETTING: setting},
            tells_waiting=False,
            notes=tuple(notes),
        )

    def close(self) -> None:
        """Give the connection back."""
        self._close()

    def _limit(self) -> tuple[int | None, list[str]]:
        """Connections that a node allows, -1 for any number, and what to say of it."""
        try:
            ((value,),) = self._asked(LIMIT)
        except Unreachable as error:  # of another kind than a lost connection: that is met by the next question
            return None, [f"the limit is not known, as {SETTING} cannot be read: {error}"]
        return int(value), []


def _counts(row: Mapping[str, Any]) -> bool:
    """Whether a row is a client's open session, and not one of leakfix watch: the table does not say which is ours."""
    name = str(row.get("application_name") or "")
    return row.get("status") != "CLOSED" and name != APPLICATION and not name.startswith(INTERNAL)


def _session(row: Mapping[str, Any], now: datetime, begun: Mapping[str, datetime]) -> Session:
    running = str(row.get("active_queries") or "").strip()
    transaction = _since(begun.get(str(row["session_id"])), now) if row.get("kv_txn") else None
    if running:
        state, seconds = State.ACTIVE, _since(row.get("active_query_start") or row.get("oldest_query_start"), now)
    elif row.get("kv_txn"):
        state, seconds = State.IDLE_IN_TRANSACTION, transaction  # since when it is idle is not told
    else:
        state, seconds = State.IDLE, None
    return Session(
        id=str(row["session_id"]),
        state=state,
        user=str(row.get("user_name") or ""),
        application=str(row.get("application_name") or ""),
        database="",
        query=normalised(running or str(row.get("last_active_query") or "")),
        state_seconds=seconds,
        transaction_seconds=transaction,
    )


def _since(start: datetime | None, now: datetime) -> float | None:
    """Seconds between two times, which are UTC where they have no zone: older versions leave it out."""
    if start is None:
        return None
    first, last = (time if time.tzinfo else time.replace(tzinfo=UTC) for time in (start, now))
    return max(0.0, (last - first).total_seconds())
