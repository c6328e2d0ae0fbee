"""Statements made comparable: nothing of their literals is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakfix.watch.query import LONGEST, normalised


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select *\n  from orders -- all\n where id = 7", "select * from orders where id = ?"),
        ("select 'it''s', E'a\\'b', $$body$$, $x$ $$ $x$ from t1", "select ?, ?, ?, ? from t1"),
        ("select 'a\\' from t where b = 'secret'", "select ? from t where b = ?"),
        ('select "column 1" from "it""s 2"', 'select "column 1" from "it""s 2"'),
        ("/* app:7 */ select 1.5e3, .5, 0xff, -1", "select ?, ?, ?, -?"),
        ("select * from t where id in (1, 2,3)", "select * from t where id in (?, ...)"),
        ("select * from t where id in ($1, $2) and a = $3", "select * from t where id in (?, ...) and a = $3"),
        ("insert into t values ('x', 'cut off he", "insert into t values (?, ?"),
        ("select /* never closed", "select"),
        ("alter role app password 'hunter2'", "alter role app password ?"),
        ("", ""),
    ],
)
def test_postgresql(statement: str, expected: str) -> None:
    assert normalised(statement) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select 'it\\'s', \"double\" from `t 1` # all", "select ?, ? from `t 1`"),
        ("select * from t where a = 'cut off \\", "select * from t where a = ?"),
        ("select * from t where id in (1,2) -- one", "select * from t where id in (?, ...)"),
    ],
)
def test_mysql(statement: str, expected: str) -> None:
    assert normalised(statement, mysql=True) == expected


def test_a_long_statement_is_cut() -> None:
    text = normalised("select " + ", ".join(f"column_{name}" for name in "abcdefghijklmnopqrstuvwxyz"))
    assert len(text) <= LONGEST
    assert text.endswith("...")


@given(st.text(), st.sampled_from([False, True]), st.integers(0, 40))
def test_no_part_of_a_literal_is_left(data: str, mysql: bool, length: int) -> None:
    literal = data.replace("\\", "\\\\").replace("'", "''") if mysql else data.replace("'", "''")
    whole = f"select * from t where a = '{literal}'"
    cut = whole[: len("select * from t where a = '") + length]
    assert normalised(whole, mysql=mysql) == "select * from t where a = ?"
    assert normalised(cut, mysql=mysql) == "select * from t where a = ?"
