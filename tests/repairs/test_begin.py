"""A transaction begun by hand, run on SQLite before and after its repair: nothing keeps the lock."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures" / "dbapi" / "unended_begin"


def driven(name: str, path: Path) -> tuple[list[object], list[bool], list[tuple[str, int]]]:
    """What payments answer or raise, whether each leaves a transaction open, and what is in the accounts in the end."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table accounts (name text primary key, cents int check (cents < 150))")
        connection.executemany("insert into accounts values (?, ?)", [("ann", 100), ("bob", 100)])
    module: dict[str, Any] = {}
    exec(compile((FIXTURES / name).read_text("utf-8"), name, "exec"), module)  # the fixture itself
    answers: list[object] = []
    left: list[bool] = []
    for payment in (("ann", "bob", 10), ("ann", "bob", 1000), ("ann", "bob", 80), ("nobody", "bob", 1)):
        with closing(module["Ledger"](path)) as ledger:
            try:
                answers.append(ledger.pay(*payment))
            except (sqlite3.Error, TypeError) as error:
                answers.append(type(error).__name__)
            left.append(ledger.db.in_transaction)
    with closing(sqlite3.connect(path)) as connection:
        return answers, left, connection.execute("select name, cents from accounts order by name").fetchall()


@pytest.mark.parametrize(("name", "left"), [("before", [False, True, True, True]), ("after", [False] * 4)])
def test_a_payment_that_fails_leaves_no_transaction(name: str, left: list[bool], tmp_path: Path) -> None:
    answers, found, accounts = driven(f"example.{name}.py", tmp_path / "ledger.db")
    assert answers == [True, False, "IntegrityError", "TypeError"]
    assert found == left
    assert accounts == [("ann", 90), ("bob", 110)]
