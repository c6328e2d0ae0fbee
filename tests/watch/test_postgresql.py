"""States of sessions, made on a real server and seen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="PostgreSQL is watched through psycopg")

from leakfix.watch import Unreachable
from leakfix.watch.logins import login_for
from leakfix.watch.snapshot import Snapshot, State
from leakfix.watch.watching import Silence, Watch, answers

from ..postgresql import PostgreSQL
from .conftest import LIMIT, SETTINGS, until

Client = Callable[..., Any]


def _count(snapshot: Snapshot, state: State) -> int:
    return snapshot.states[state]


def test_nobody_is_there(watch: Watch) -> None:
    snapshot = watch.ask()
    assert (snapshot.sessions, snapshot.used, snapshot.limit) == ((), 0, LIMIT)
    assert snapshot.figures == SETTINGS
    assert snapshot.version.startswith("PostgreSQL ")
    assert (snapshot.kind, snapshot.notes, snapshot.share) == ("postgresql", (), 0.0)


def test_every_state_is_seen(watch: Watch, client: Client) -> None:
    client("web", "select 1")
    client("orders", "begin", "select 'leaked', 42")
    client("report", "begin", "select 1/0")
    client("batch", sent="select pg_sleep(60)")
    snapshot = until(watch, lambda seen: len(seen.sessions) == 4 and _count(seen, State.ACTIVE) == 1)
    assert {(session.application, session.state, session.query) for session in snapshot.sessions} == {
        ("web", State.IDLE, "select ?"),
        ("orders", State.IDLE_IN_TRANSACTION, "select ?, ?"),
        ("report", State.ABORTED, "select ?/?"),
        ("batch", State.ACTIVE, "select pg_sleep(?)"),
    }
    assert list(snapshot.states.values()) == [1, 1, 1, 1, 0]
    assert {(session.user, session.database) for session in snapshot.sessions} == {("postgres", "postgres")}
    assert snapshot.used == 4


def test_the_oldest_idle_in_transaction_is_named(watch: Watch, client: Client) -> None:
    first = client("first", "begin", "select 1")
    time.sleep(0.3)
    client("second", "begin", "select 2")
    snapshot = until(watch, lambda seen: len(seen.idle_in_transaction) == 2)
    oldest, newer = snapshot.idle_in_transaction
    assert (oldest.id, oldest.application) == (str(first.info.backend_pid), "first")
    assert oldest.state_seconds is not None
    assert newer.state_seconds is not None
    assert 0.3 <= oldest.state_seconds - newer.state_seconds < 5
    assert snapshot.transactions[0].id == oldest.id
    assert snapshot.queries[0].key == ("select ?",)
    assert len(snapshot.queries[0].sessions) == 2


def test_who_waits_for_a_lock_and_for_whom(watch: Watch, client: Client, postgresql: PostgreSQL) -> None:
    postgresql.execute("create table if not exists held (id int)")
    holder = client("holder", "begin", "lock table held")
    waiter = client("waiter", sent="select * from held")
    snapshot = until(watch, lambda seen: bool(seen.waiting))
    (waiting,) = snapshot.waiting
    assert waiting.id == str(waiter.info.backend_pid)
    assert waiting.blocked_by == (str(holder.info.backend_pid),)


def test_applications_and_users_are_counted(watch: Watch, client: Client) -> None:
    for _ in range(3):
        client("web", "begin")
    client("worker")
    snapshot = until(watch, lambda seen: len(seen.idle_in_transaction) == 3)
    web, worker = snapshot.applications
    assert (web.key, len(web.sessions)) == (("web", "postgres"), 3)
    assert web.count(State.IDLE_IN_TRANSACTION) == 3
    assert (worker.key, len(worker.sessions)) == (("worker", "postgres"), 1)


def test_rights_that_are_missing(watch: Watch, client: Client, postgresql: PostgreSQL) -> None:
    postgresql.execute("drop role if exists looker")
    postgresql.execute("create role looker login")
    try:
        client("orders", "begin", "select 'private'")
        until(watch, lambda seen: bool(seen.idle_in_transaction))
        with Watch(login_for(postgresql.uri(user="looker"))) as looking:
            snapshot = looking.ask()
            (hidden,) = [session for session in snapshot.sessions if session.application == "orders"]
            assert (hidden.state, hidden.query, hidden.state_seconds) == (State.UNKNOWN, "", None)
            assert any("grant pg_monitor to looker" in note for note in snapshot.notes)
        postgresql.execute("grant pg_monitor to looker")
        with Watch(login_for(postgresql.uri(user="looker"))) as looking:
            snapshot = until(looking, lambda seen: not seen.notes)
            assert [one.application for one in snapshot.idle_in_transaction] == ["orders"]
    finally:
        postgresql.execute("drop role looker")


def test_a_statement_in_another_encoding(watch: Watch, client: Client, postgresql: PostgreSQL) -> None:
    postgresql.execute("drop database if exists latin")
    postgresql.execute("create database latin encoding 'latin1' template template0 lc_collate 'C' lc_ctype 'C'")
    client("old", "begin", 'select 1 as "é"', uri=postgresql.uri("latin"))
    snapshot = until(watch, lambda seen: bool(seen.idle_in_transaction))
    assert snapshot.idle_in_transaction[0].query.startswith("select ? as ")
    with Watch(login_for(postgresql.uri("latin"))) as there:
        assert [one.application for one in there.ask().idle_in_transaction] == ["old"]


def test_our_own_connection_is_modest(postgresql: PostgreSQL) -> None:
    login: Any = login_for(postgresql.uri())
    server: Any = login.opened()
    try:
        asked = server._asked
        ((name, read_only, limit),) = asked(
            "select current_setting('application_name'), current_setting('transaction_read_only'), "
            "current_setting('statement_timeout')"
        )
        assert (name, read_only, limit) == ("leakfix watch", "on", "5s")
        with pytest.raises(Unreachable, match="read-only"):
            asked("create table anything (id int)")
        assert asked("select state from pg_stat_activity where pid = pg_backend_pid()") == [("active",)]
    finally:
        server.close()


def test_no_connection_is_left_behind(watch: Watch, postgresql: PostgreSQL) -> None:
    for _ in range(3):
        with Watch(login_for(postgresql.uri())) as other:
            other.ask()
            assert [one.application for one in watch.ask().sessions] == ["leakfix watch"]
    until(watch, lambda seen: not seen.sessions)


def test_a_connection_that_is_refused_in_its_first_question_is_closed(
    watch: Watch, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("leakfix.watch.postgresql.PostgreSQL", fail)
    with pytest.raises(KeyboardInterrupt):
        login_for(postgresql.uri()).opened()
    until(watch, lambda seen: not seen.sessions)


def test_the_limit_is_reached(watch: Watch, client: Client, postgresql: PostgreSQL) -> None:
    postgresql.execute("drop role if exists ordinary")
    postgresql.execute("create role ordinary login")
    try:
        for _ in range(LIMIT - 1):
            client("web", uri=postgresql.uri(user="ordinary"))
        snapshot = until(watch, lambda seen: len(seen.sessions) == LIMIT - 1)
        assert snapshot.share is not None
        assert snapshot.share > 0.9
        with pytest.raises(Unreachable, match=r"limit is reached.*superuser"):
            login_for(postgresql.uri(user="ordinary")).opened()
    finally:
        postgresql.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ordinary'")
        postgresql.execute("drop role ordinary")


def test_a_server_that_goes_away_and_comes_back(watch: Watch, postgresql: PostgreSQL) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            postgresql.stop()
        if len(pauses) == 6:
            postgresql.start()

    following = answers(watch, 2.0, sleep)
    try:
        got = [next(following) for _ in range(7)]
    finally:
        postgresql.start()
    assert [isinstance(answer, Silence) for answer in got] == [False, False, True, True, True, True, False]
    assert pauses == [2.0, 2.0, 2.0, 4.0, 8.0, 16.0]
    silences = [answer for answer in got if isinstance(answer, Silence)]
    assert len({silence.since for silence in silences}) == 1
    assert all(silence.reason for silence in silences)
    next(following)
    assert pauses[-1] == 2.0


def test_a_server_that_never_was_there_is_not_waited_for() -> None:
    with Watch(login_for("postgresql://127.0.0.1:1/nothing")) as watch, pytest.raises(Unreachable):
        next(answers(watch, 1.0))


def test_a_server_that_says_nothing_is_given_up(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakfix.watch.postgresql.SILENT_SECONDS", 0.5)
    server: Any = login_for(postgresql.uri()).opened()
    ((backend,),) = server._asked("select pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with pytest.raises(Unreachable):
            server.snapshot()
        assert time.monotonic() - begun < 5
    finally:
        os.kill(backend, signal.SIGCONT)
        server.close()
