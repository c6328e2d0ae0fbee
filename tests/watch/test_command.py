"""``leakfix watch`` as it is called: pictures, JSON, lines, errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="PostgreSQL is watched through psycopg")

from leakfix.watch.watching import Watch

from ..postgresql import PostgreSQL
from .conftest import LIMIT, SETTINGS, until

Invoke = Callable[..., Any]
Client = Callable[..., Any]


def test_one_picture(watch: Watch, client: Client, invoke: Invoke, postgresql: PostgreSQL) -> None:
    holder = client("orders", "begin", "select 'private'")
    until(watch, lambda seen: bool(seen.idle_in_transaction))
    result = invoke("watch", "--once", postgresql.uri())
    assert (result.code, result.err) == (0, "")
    assert "this one not counted" in result.out
    assert f" of {LIMIT} connections (" in result.out
    assert "1 idle in transaction" in result.out
    assert f"pid {holder.info.backend_pid}, orders, postgres" in result.out
    assert "select ?" in result.out
    assert "private" not in result.out
    assert "\x1b" not in result.out


def test_names_cannot_steer_the_terminal(watch: Watch, client: Client, invoke: Invoke, postgresql: PostgreSQL) -> None:
    client("[red]web[/red]", 'select 1 as "\x1b[2J\u202e"')
    until(watch, lambda seen: bool(seen.queries))
    for options in (["--once"], ["--once", "--output-format", "json"]):
        result = invoke("watch", postgresql.uri(), *options)
        assert "\x1b" not in result.out
        assert "\u202e" not in result.out
        assert "[red]web[/red]" in result.out


def test_json_has_exactly_the_promised_keys(
    watch: Watch, client: Client, invoke: Invoke, postgresql: PostgreSQL
) -> None:
    client("orders", "begin", "select 1")
    client("report", "begin", "select 1/0")
    until(watch, lambda seen: len(seen.idle_in_transaction) == 2)
    result = invoke("watch", postgresql.uri(), "--once", "--output-format", "json")
    assert result.code == 0
    picture = json.loads(result.out)
    assert list(picture) == [
        *("leakfix", "schema", "taken", "server", "connections", "states", "idle_in_transaction", "transactions"),
        *("waiting_on_locks", "applications", "queries", "figures", "notes"),
    ]
    assert picture["schema"] == 1
    assert list(picture["server"]) == ["kind", "version", "address"]
    assert picture["connections"] == {"used": sum(picture["states"].values()), "limit": LIMIT}
    assert list(picture["states"]) == [
        *("active", "idle", "idle in transaction", "idle in transaction (aborted)", "unknown")
    ]
    assert picture["idle_in_transaction"]["sessions"] == 2
    assert list(picture["idle_in_transaction"]["oldest"]) == [
        *("id", "state", "user", "application", "database", "query"),
        *("state_seconds", "transaction_seconds", "blocked_by"),
    ]
    assert picture["transactions"]["sessions"] == 1  # an aborted one has no beginning any more
    assert picture["waiting_on_locks"] == {"sessions": 0, "longest": None}
    orders = next(entry for entry in picture["applications"] if entry["application"] == "orders")
    assert list(orders.values()) == ["orders", "postgres", 1, {"idle in transaction": 1}]
    assert list(orders) == ["application", "user", "sessions", "states"]
    assert {"query": "select ?/?", "sessions": 1, "states": {"idle in transaction (aborted)": 1}} in picture["queries"]
    assert picture["figures"] == SETTINGS
    assert picture["notes"] == []


def test_the_address_may_come_from_the_environment(
    invoke: Invoke, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAKFIX_DSN", postgresql.uri())
    assert invoke("watch", "--once").code == 0


def test_a_wrong_database_or_user(invoke: Invoke, postgresql: PostgreSQL) -> None:
    result = invoke("watch", "--once", postgresql.uri("nowhere").replace("postgres:@", "postgres:hunter2@"))
    assert result.code == 2
    assert 'database "nowhere" does not exist' in result.err
    assert "hunter2" not in result.err
    result = invoke("watch", "--once", postgresql.uri(user="stranger"))
    assert result.code == 2
    assert 'role "stranger" does not exist' in result.err


@pytest.fixture
def follow(postgresql: PostgreSQL) -> Any:
    """Start the command without a terminal."""

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "leakfix", "watch", postgresql.uri(), "--interval", "0.2", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, text=True, env={**os.environ, "PYTHONUNBUFFERED": ""}, **pipes)

    return start


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_without_a_terminal_there_is_a_line_each_time(follow: Any, watch: Watch, client: Client) -> None:
    process = follow()
    assert f" of {LIMIT} connections (" in _line(process)
    client("orders", "begin", "select 1")
    assert any("oldest idle in transaction" in _line(process) for _ in range(50))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")
    until(watch, lambda seen: [one.application for one in seen.sessions] == ["orders"])


def test_json_without_once_is_an_object_a_line(follow: Any) -> None:
    process = follow("--output-format", "json")
    assert [json.loads(_line(process))["schema"] for _ in range(2)] == [1, 1]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_closed_pipe_ends_it_quietly(follow: Any) -> None:
    process = follow()
    _line(process)
    process.stdout.close()
    assert process.wait(timeout=20) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_server_that_goes_away_is_told_of_and_waited_for(follow: Any, postgresql: PostgreSQL) -> None:
    process = follow()
    _line(process)
    postgresql.stop()
    try:
        said = process.stderr.readline()
        assert said.startswith("warning: no answer since ")
        assert ", trying again in 0.2 s: " in said
    finally:
        postgresql.start()
    while not (said := process.stderr.readline()).startswith("note: "):
        assert said.startswith("warning: no answer since ")
    assert said == "note: the server answers again\n"
    assert " connections (" in _line(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
