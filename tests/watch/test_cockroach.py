"""CockroachDB, with a stand-in: its two tables, as its documentation describes them, in a PostgreSQL database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="CockroachDB is watched through psycopg")

from leakfix.watch import Unreachable
from leakfix.watch.cockroach import NOW, SESSIONS, TRANSACTIONS, Cockroach
from leakfix.watch.snapshot import Session, Snapshot, State

from ..postgresql import PostgreSQL

Invoke = Callable[..., Any]
VERSION = "CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu, built 2024/05/15 21:28:29, go1.22.2)"
BEGUN = datetime(2026, 1, 2, 3, 4, 5)

TABLES = """
    create schema standin;
    create function standin.version() returns text language sql as $$ select '{version}' $$;
    create schema crdb_internal;
    create table crdb_internal.cluster_sessions (
        node_id int8, session_id text, user_name text, client_address text, application_name text, active_queries text,
        last_active_query text, num_txns_executed int8, session_start timestamp, active_query_start timestamp,
        kv_txn text, alloc_bytes int8, max_alloc_bytes int8, status text, session_end timestamp
    );
    create table crdb_internal.cluster_transactions (id uuid, node_id int8, session_id text, start timestamp);
    insert into crdb_internal.cluster_sessions
        (node_id, session_id, user_name, application_name, active_queries, last_active_query, active_query_start,
         kv_txn, status) values
        (1, 'a1', 'app', 'web', '', 'SELECT 1', null, null, 'IDLE'),
        (1, 'a2', 'app', 'orders', '', 'SELECT * FROM orders WHERE id = 7', null, 'f1', 'ACTIVE'),
        (2, 'b1', 'app', 'orders', 'UPDATE orders SET a = 2', 'SELECT 1', now() at time zone 'utc', 'f2', 'ACTIVE'),
        (1, 'a3', 'app', 'gone', '', 'SELECT 3', null, null, 'CLOSED'),
        (1, 'a4', 'node', '$ internal-jobs', 'SELECT 4', '', null, null, 'ACTIVE'),
        (1, 'a5', 'root', 'leakfix watch', 'SELECT 5', '', null, 'f3', 'ACTIVE');
    insert into crdb_internal.cluster_transactions (session_id, start) values
        ('a2', (now() - interval '90 seconds') at time zone 'utc'), ('b1', now() at time zone 'utc');
"""


@pytest.fixture(scope="module")
def standin(postgresql: PostgreSQL) -> Iterator[str]:
    """The address of a database that takes itself for CockroachDB."""
    postgresql.execute("create database cockroach")
    postgresql.execute(TABLES.format(version=VERSION), "cockroach")
    postgresql.execute("alter database cockroach set search_path = standin, pg_catalog")
    postgresql.execute("alter database cockroach set timezone = 'UTC'")
    yield postgresql.uri("cockroach")
    postgresql.execute("drop database cockroach with (force)")


def test_the_sessions_of_a_cluster(standin: str, invoke: Invoke) -> None:
    result = invoke("watch", standin, "--once", "--output-format", "json")
    assert result.code == 0, result.err
    picture = json.loads(result.out)
    assert picture["server"]["kind"] == "cockroachdb"
    assert picture["server"]["version"] == "CockroachDB CCL v24.1.0"
    assert list(picture["states"].values()) == [1, 1, 1, 0, 0]
    oldest = picture["idle_in_transaction"]["oldest"]
    assert (oldest["id"], oldest["application"]) == ("a2", "orders")
    assert oldest["query"] == "SELECT * FROM orders WHERE id = ?"
    assert 89 < oldest["transaction_seconds"] < 150
    assert picture["waiting_on_locks"] == {"sessions": None, "longest": None}
    assert picture["connections"] == {
        "used": 2,
        "limit": None,
    }  # two on the first node; PostgreSQL knows no SHOW CLUSTER
    assert [note.partition(",")[0] for note in picture["notes"]] == ["the limit is not known"]


def test_a_picture_of_a_cluster_for_people(standin: str, invoke: Invoke) -> None:
    result = invoke("watch", standin, "--once")
    assert result.code == 0
    assert "CockroachDB CCL v24.1.0" in result.out
    assert "without a limit that is known" in result.out
    assert "waiting on locks" not in result.out


def _row(**columns: Any) -> dict[str, Any]:
    row = {"node_id": 1, "session_id": "s", "user_name": "app", "application_name": "web", "active_queries": ""}
    return {**row, "last_active_query": "SELECT 1", "active_query_start": None, "kv_txn": None, **columns}


class Answers:
    """What a node answers, without one."""

    def __init__(self, sessions: list[dict[str, Any]], limit: int | None, begun: dict[str, datetime]) -> None:
        self.sessions, self.limit, self.begun = sessions, limit, begun

    def __call__(self, query: str) -> list[tuple[Any, ...]]:
        if query == NOW:
            return [(BEGUN.replace(tzinfo=UTC) + timedelta(seconds=60),)]
        assert query.startswith("show cluster setting ")
        if self.limit is None:
            raise Unreachable("only users with VIEWCLUSTERSETTING may do that")
        return [(str(self.limit),)]

    def named(self, query: str) -> list[dict[str, Any]]:
        if query == SESSIONS:
            return self.sessions
        assert query == TRANSACTIONS
        return [{"session_id": name, "start": start} for name, start in self.begun.items()]


def _asked(
    *sessions: dict[str, Any], limit: int | None = -1, user: str = "looker", begun: dict[str, datetime] | None = None
) -> Snapshot:
    return Cockroach(Answers(list(sessions), limit, begun or {}), lambda: None, VERSION, user).snapshot()


def _only(snapshot: Snapshot) -> Session:
    (session,) = snapshot.sessions
    return session


@pytest.mark.parametrize("zone", [None, UTC])
def test_times_have_a_zone_or_are_utc(zone: Any) -> None:
    start = BEGUN.replace(tzinfo=zone)
    running = _only(_asked(_row(active_queries="SELECT 1", active_query_start=start, kv_txn="t"), begun={"s": start}))
    assert (running.state, running.state_seconds, running.transaction_seconds) == (State.ACTIVE, 60.0, 60.0)
    idle = _only(_asked(_row(kv_txn="t"), begun={"s": start}))
    assert (idle.state, idle.state_seconds, idle.transaction_seconds) == (State.IDLE_IN_TRANSACTION, 60.0, 60.0)


def test_older_versions_have_other_columns() -> None:
    row = _row(active_queries="SELECT 1", oldest_query_start=BEGUN)
    del row["active_query_start"]
    assert _only(_asked(row)).state_seconds == 60.0


def test_a_transaction_without_a_start() -> None:
    session = _only(_asked(_row(kv_txn="t")))
    assert (session.state, session.transaction_seconds) == (State.IDLE_IN_TRANSACTION, None)


def test_the_limit_is_that_of_one_node() -> None:
    rows = [_row(session_id=str(number), node_id=node) for number, node in enumerate([1, 1, 1, 2])]
    snapshot = _asked(*rows, limit=4)
    assert (snapshot.used, snapshot.limit, snapshot.share) == (3, 4, 0.75)
    assert snapshot.notes == (
        "the limit is that of one node, and so is what is counted against it: the node with the most",
    )
    assert _asked(*rows, limit=-1).limit is None
    assert _asked(*rows, limit=-1).notes == ()
    assert _asked(*rows, limit=0).share is None


def test_a_limit_that_may_not_be_read() -> None:
    snapshot = _asked(_row(), limit=None)
    assert snapshot.limit is None
    assert "VIEWCLUSTERSETTING" in snapshot.notes[0]


def test_rights_that_are_missing() -> None:
    assert any("VIEWACTIVITY" in note for note in _asked(_row(user_name="looker")).notes)
    assert not _asked(_row(user_name="other")).notes
