"""Functions on a connection of the module, run on PostgreSQL before and after their repair."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.apps
FIXTURES = Path(__file__).parents[2] / "fixtures" / "dbapi" / "left_in_transaction"
CALLS = [
    ("latest", 2),
    ("latest", "none"),
    ("rename", 1, ""),
    ("rename", 1, "ink"),
    ("rename", "none", "pen"),
    ("latest", 1),
]


@pytest.fixture
def url(postgresql: Any) -> str:
    """A database with two orders."""
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("not installed: psycopg2")
    postgresql.execute("create database transactions")
    postgresql.execute("create table orders (id int, name text)", "transactions")
    postgresql.execute("insert into orders values (1, 'pen'), (2, 'paper')", "transactions")
    uri: str = postgresql.uri("transactions")
    return uri


def driven(path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[object], list[str]]:
    """What the calls answer or raise, and in which state each leaves the connection."""
    import psycopg2

    monkeypatch.setenv("DATABASE_URL", url)
    module: dict[str, Any] = {}
    exec(compile(path.read_text("utf-8"), path.name, "exec"), module)  # the fixture itself
    answers: list[object] = []
    states: list[str] = []
    watching = psycopg2.connect(url)
    watching.autocommit = True
    try:
        for name, *given in CALLS:
            try:
                answers.append(module[name](*given))
            except psycopg2.Error as error:
                answers.append(type(error).__name__)
            with watching.cursor() as cursor:
                pid = module["db"].get_backend_pid()
                cursor.execute("select state from pg_stat_activity where pid = %s", (pid,))
                states.append(cursor.fetchone()[0])
    finally:
        watching.close()
        module["db"].close()
    return answers, states


def test_a_transaction_ends_with_the_function_that_began_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, left = driven(FIXTURES / "example.before.py", url, monkeypatch)
    assert left[:2] == ["idle in transaction", "idle in transaction (aborted)"]
    assert before[3:] == ["InFailedSqlTransaction"] * 3  # nothing works any more

    after, states = driven(FIXTURES / "example.after.py", url, monkeypatch)
    assert set(states) == {"idle"}
    assert after[:3] == before[:3]
    assert after[3:] == [True, "InvalidTextRepresentation", [(2, "paper")]]
