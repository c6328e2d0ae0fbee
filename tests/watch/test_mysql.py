"""MySQL and MariaDB: states of sessions, made on a real MariaDB and seen."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leakfix.watch import Unreachable
from leakfix.watch.logins import login_for
from leakfix.watch.snapshot import Snapshot, State
from leakfix.watch.watching import Watch

from .conftest import MariaDBServer, until

pytestmark = pytest.mark.mysql
Connect = Callable[..., Any]
Invoke = Callable[..., Any]
LIMIT = 20


@pytest.fixture
def connect(mariadb: MariaDBServer) -> Iterator[Connect]:
    """Connect as a program and run statements."""
    with contextlib.ExitStack() as stack:

        def connected(program: str, *statements: str, **options: Any) -> Any:
            connection = mariadb.connect(program_name=program, autocommit=True, **options)
            stack.callback(_close, connection)
            for statement in statements:
                connection.cursor().execute(statement)
            return connection

        yield connected


@pytest.fixture
def look(mariadb: MariaDBServer) -> Iterator[Watch]:
    """Our own look at the server."""
    with Watch(login_for(mariadb.uri())) as watch:
        until(watch, lambda snapshot: not snapshot.sessions)
        yield watch


@pytest.fixture
def table(mariadb: MariaDBServer) -> Iterator[str]:
    """A table of InnoDB with one row; whoever connects asks for it first, so that it is left before it is dropped."""
    with contextlib.closing(mariadb.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute("create database shop")
        cursor.execute("create table shop.orders (id int primary key, total int) engine=innodb")
        cursor.execute("insert into shop.orders values (1, 0)")
        yield "shop.orders"
        cursor.execute("set lock_wait_timeout = 10")
        cursor.execute("drop database shop")


def _by_program(snapshot: Snapshot) -> dict[str, State]:
    return {session.application: session.state for session in snapshot.sessions}


def test_nobody_is_there(look: Watch) -> None:
    snapshot = look.ask()
    assert (snapshot.kind, snapshot.used, snapshot.limit, snapshot.notes) == ("mariadb", 0, LIMIT, ())
    assert snapshot.version.startswith("MariaDB 1")
    assert snapshot.figures["Threads_connected"] == 1
    assert set(snapshot.figures) == {"max_connections", "Threads_connected", "Threads_running", "Max_used_connections"}


def test_every_state_is_seen(look: Watch, table: str, connect: Connect) -> None:
    connect("web", "select 1")
    connect("orders", "start transaction", f"select * from {table} where id = 1")
    sleeper = connect("batch")
    thread = threading.Thread(target=_run, args=(sleeper, "select sleep(60) /* 'private' */"))
    thread.start()
    wanted = {"web": State.IDLE, "orders": State.IDLE_IN_TRANSACTION, "batch": State.ACTIVE}
    snapshot = until(look, lambda seen: _by_program(seen).items() >= wanted.items())
    (idle,) = snapshot.idle_in_transaction
    assert (idle.application, idle.user) == ("orders", "root")
    assert idle.transaction_seconds is not None
    assert [session.query for session in snapshot.sessions if session.application == "batch"] == ["select sleep(?)"]
    assert snapshot.used == len(snapshot.sessions)
    with contextlib.closing(connect("killer")) as killer:
        killer.kill(sleeper.thread_id())
    thread.join(timeout=20)


def test_who_waits_for_a_lock(look: Watch, table: str, connect: Connect) -> None:
    holder = connect("holder", "start transaction", f"update {table} set total = 1 where id = 1")
    waiter = connect("waiter")
    thread = threading.Thread(target=_run, args=(waiter, f"update {table} set total = 2 where id = 1"))
    thread.start()
    snapshot = until(look, lambda seen: bool(seen.waiting))
    assert [session.application for session in snapshot.waiting] == ["waiter"]
    assert snapshot.waiting[0].query == f"update {table} set total = ? where id = ?"
    holder.rollback()
    thread.join(timeout=20)


def test_rights_that_are_missing(look: Watch, connect: Connect, mariadb: MariaDBServer) -> None:
    connect("setup", "create user looker@'127.0.0.1' identified by 'hunter2'").close()
    try:
        connect("web")
        with Watch(login_for(mariadb.uri(user="looker:hunter2", database=""))) as looking:
            snapshot = until(looking, lambda seen: seen.used == 2)  # web, and the look that is taken by the fixture
            assert (snapshot.sessions, snapshot.unseen, snapshot.states[State.UNKNOWN]) == ((), 2, 2)
            assert any("grant process on *.* to looker@" in note for note in snapshot.notes)
    finally:
        connect("setup", "drop user looker@'127.0.0.1'")


def test_a_wrong_password_is_not_shown(look: Watch, connect: Connect, mariadb: MariaDBServer, invoke: Invoke) -> None:
    connect("setup", "create user looker@'127.0.0.1' identified by 'hunter2'").close()
    try:
        result = invoke("watch", "--once", mariadb.uri(user="looker:wrong-hunter"))
        assert (result.code, result.out) == (2, "")
        assert "Access denied for user 'looker'" in result.err
        assert "wrong-hunter" not in result.err
    finally:
        connect("setup", "drop user looker@'127.0.0.1'")


def test_our_own_connection_is_modest(mariadb: MariaDBServer) -> None:
    login: Any = login_for(mariadb.uri())
    server: Any = login.opened()
    try:
        (row,) = server._asked(
            "select @@tx_read_only as readonly, @@max_statement_time as seconds, @@autocommit as auto"
        )
        assert (row["readonly"], float(row["seconds"]), row["auto"]) == (1, 5.0, 1)
        with pytest.raises(Unreachable, match="READ ONLY"):
            server._asked("create database anything")
    finally:
        server.close()


def test_no_connection_is_left_behind(look: Watch, mariadb: MariaDBServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with Watch(login_for(mariadb.uri())) as other:
        other.ask()
        assert [session.application for session in look.ask().sessions] == ["leakfix watch"]
    until(look, lambda seen: not seen.sessions)
    monkeypatch.setattr("leakfix.watch.mysql.READ_ONLY", "no statement")
    with pytest.raises(Unreachable):
        login_for(mariadb.uri()).opened()
    until(look, lambda seen: not seen.sessions)


def test_a_connection_that_was_killed_is_opened_anew(look: Watch, connect: Connect) -> None:
    look.ask()
    ours: Any = look._server
    connect("killer").kill(ours._connection.thread_id())
    with pytest.raises(Unreachable):
        until(look, lambda seen: False)
    assert look.ask().limit == LIMIT


def test_pictures(look: Watch, table: str, connect: Connect, mariadb: MariaDBServer, invoke: Invoke) -> None:
    connect("orders", "start transaction", f"select * from {table}")
    until(look, lambda seen: bool(seen.idle_in_transaction))
    text = invoke("watch", "--once", mariadb.uri())
    assert text.code == 0, text.err
    assert f" of {LIMIT} connections (" in text.out
    assert "1 idle in transaction" in text.out
    picture = json.loads(invoke("watch", "--once", "--output-format", "json", mariadb.uri()).out)
    assert picture["server"]["kind"] == "mariadb"
    assert picture["idle_in_transaction"]["oldest"]["application"] == "orders"


def _close(connection: Any) -> None:
    with contextlib.suppress(Exception):  # closed or killed by its test
        connection.close()


def _run(connection: Any, statement: str) -> None:
    with contextlib.suppress(Exception):
        connection.cursor().execute(statement)
