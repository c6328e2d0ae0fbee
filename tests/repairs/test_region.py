"""How far a scope reaches: everything that may still use the resource stays inside."""

from __future__ import annotations

from typing import Any

import pytest

HEAD = """\
import functools

import toydb
import other


class Orders:
    def __init__(self, connection):
        self.connection = connection

    def all(self):
        return self.connection.execute("select")


def cursor_of(connection):
    return connection.cursor()


"""
LATE = {
    "a cursor": "late = connection.cursor()",
    "a cursor of a cursor": "cursor = connection.cursor()\n    late = cursor.scroll('select')",
    "an alias": "late = connection",
    "a lambda": "late = lambda: connection.execute('select')",
    "a dict": "late = {'c': connection}",
    "a list": "late = [connection]",
    "a generator": "late = (row for row in connection.cursor())",
    "map": "late = map(str, connection.cursor())",
    "a function of the project": "late = cursor_of(connection)",
    "a conditional alias": "late = connection if log else None",
}
OVERLOOKED = {
    "an object of the project": "late = Orders(connection)",
    "what an unknown function made": "late = other.orders(connection)",
    "what an unknown function made of a cursor": "late = other.rows(connection.cursor())",
    "a partial": "late = functools.partial(other.load, connection)",
    "a bound method": "late = connection.execute",
}


@pytest.mark.parametrize(
    "made",
    [
        *[pytest.param(text, id=name) for name, text in {**LATE, **OVERLOOKED}.items()],
    ],
)
@pytest.mark.parametrize("scope", ["closes", "none"])
def test_what_came_from_it_is_used_inside(made: str, scope: str, found: Any) -> None:
    text = f"{HEAD}def job(log):\n    connection = toydb.connect()\n    {made}\n    log('between')\n    log(late)\n"
    lines = found.with_row(with_=scope).repaired(text).split("\n")
    assert "        log(late)" in lines


def test_plain_values_are_used_outside(found: Any) -> None:
    body = "    connection = toydb.connect()\n    rows = connection.execute('select')\n    log(rows)\n"
    text = f"{HEAD}def job(log):\n{body}"
    assert "    log(rows)" in found.repaired(text).split("\n")
