"""The picture in a real pseudo-terminal, drawn anew again and again."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leakfix.watch.watching import Watch

from ..postgresql import PostgreSQL
from .conftest import LIMIT, until

pexpect = pytest.importorskip("pexpect", reason="pseudo-terminals need pexpect and a POSIX system")

Client = Callable[..., Any]
Spawn = Callable[..., "pexpect.spawn[str]"]
ENTERED, LEFT = r"\x1b\[\?1049h", r"\x1b\[\?1049l"  # the screen of its own


@pytest.fixture
def spawn(postgresql: PostgreSQL) -> Iterator[Spawn]:
    """Start leakfix watch on a terminal."""
    started = []

    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}

    def start(*arguments: str, **environment: str) -> pexpect.spawn[str]:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "leakfix", "watch", "--interval", "0.2", *arguments],
            env={**plain, "TERM": "xterm-256color", "LEAKFIX_DSN": postgresql.uri(), **environment},
            encoding="utf-8",
            dimensions=(30, 120),
            timeout=30,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def _interrupted(child: Any) -> int:
    child.sendintr()
    child.expect(pexpect.EOF)
    child.wait() if child.isalive() else None
    return int(child.exitstatus)


def test_the_picture_follows_what_happens(spawn: Spawn, watch: Watch, client: Client) -> None:
    child = spawn()
    child.expect(ENTERED)
    child.expect("0 idle in transaction")
    client("orders", "begin", "select 'leaked'")
    child.expect("1 idle in transaction")
    child.expect("orders, postgres")
    assert _interrupted(child) == 130
    assert "\x1b[?1049l" in child.before
    assert "Traceback" not in child.before
    until(watch, lambda seen: [one.application for one in seen.sessions] == ["orders"])


def test_the_colour_changes_as_the_limit_nears(spawn: Spawn, client: Client) -> None:
    child = spawn()
    child.expect(rf"\x1b\[1;32m\d of {LIMIT} connections")
    for _ in range(13):
        client("web")
    child.expect(rf"\x1b\[1;33m1[34] of {LIMIT} connections")
    for _ in range(2):
        client("web")
    child.expect(rf"\x1b\[1;31m15 of {LIMIT} connections")
    assert _interrupted(child) == 130


def test_a_server_that_goes_away_is_waited_for(spawn: Spawn, watch: Watch, postgresql: PostgreSQL) -> None:
    child = spawn()
    child.expect("this one not counted")
    postgresql.stop()
    try:
        child.expect("no answer since .* trying again in")
    finally:
        postgresql.start()
    child.expect(r"PostgreSQL [\d.]+  \d\d:\d\d:\d\d(?:(?!no answer)[\s\S])*running or last statement")
    assert _interrupted(child) == 130


def test_without_colour(spawn: Spawn) -> None:
    child = spawn(NO_COLOR="1")
    child.expect("this one not counted")
    assert _interrupted(child) == 130


def test_a_dumb_terminal_gets_lines(spawn: Spawn) -> None:
    child = spawn(TERM="dumb")
    child.expect(rf"\d of {LIMIT} connections \(")
    assert _interrupted(child) == 130
    assert "\x1b" not in child.before


def test_a_small_terminal_is_enough(spawn: Spawn, watch: Watch, client: Client) -> None:
    for number in range(10):
        client(f"application {number}", f"select {number} as column_{number}")
    child = spawn()
    child.setwinsize(20, 60)
    child.expect("and 9 more ap")
    assert _interrupted(child) == 130
