"""What Prometheus scrapes, over HTTP, from a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="metrics are served by prometheus_client")
pytest.importorskip("psycopg", reason="PostgreSQL is watched through psycopg")

from prometheus_client.parser import text_string_to_metric_families

from leakfix.watch.metrics import MOST_APPLICATIONS, OTHERS, metrics
from leakfix.watch.snapshot import Session, Snapshot, State
from leakfix.watch.watching import Watch

from ..postgresql import PostgreSQL
from .conftest import LIMIT, until

Client = Callable[..., Any]
Values = dict[tuple[str, tuple[str, ...]], float]


class Exporter:
    """leakfix watch --prometheus, running."""

    def __init__(self, dsn: str) -> None:
        command = [sys.executable, "-m", "leakfix", "watch", "--prometheus", "0"]
        environment = {**os.environ, "LEAKFIX_DSN": dsn}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.said = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/metrics", self.said)
        assert found is not None, self.said
        self.url = found[0]

    def scrape(self) -> Values:
        with urllib.request.urlopen(self.url, timeout=20) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        assert all(family.documentation for family in families)
        return {
            (sample.name, tuple(sample.labels.values())): sample.value for one in families for sample in one.samples
        }

    def end(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


@pytest.fixture
def export() -> Iterator[Callable[[str], Exporter]]:
    started: list[Exporter] = []

    def start(dsn: str) -> Exporter:
        started.append(Exporter(dsn))
        return started[-1]

    yield start
    for exporter in started:
        if exporter.process.poll() is None:
            exporter.process.kill()
        exporter.process.communicate()


def test_a_scrape_asks_at_that_moment(
    watch: Watch, client: Client, postgresql: PostgreSQL, export: Callable[[str], Exporter]
) -> None:
    exporter = export(postgresql.uri().replace("postgres:@", "postgres:hunter2@"))
    assert "hunter2" not in exporter.said
    before = exporter.scrape()
    assert before["leakfix_db_up", ()] == 1
    assert before["leakfix_db_idle_in_transaction_seconds_max", ()] == 0
    client("web")
    client("orders", "begin", "select 1")
    until(watch, lambda seen: len(seen.idle_in_transaction) == 1)
    after = exporter.scrape()
    assert after["db_connections_active", ("idle in transaction",)] == 1
    samples = {key: value for key, value in after.items() if key[0] == "leakfix_db_connections"}
    assert samples["leakfix_db_connections", ("orders", "idle in transaction")] == 1
    assert samples["leakfix_db_connections", ("web", "idle")] == 1
    assert after["leakfix_db_connections_limit", ()] == LIMIT
    assert after["leakfix_db_connections_used", ()] == sum(samples.values())
    assert 0 < after["leakfix_db_idle_in_transaction_seconds_max", ()] < 20
    assert 0 < after["leakfix_db_transaction_seconds_max", ()] < 20
    assert after["leakfix_db_waiting_on_locks", ()] == 0
    assert exporter.end() == (130, "")
    until(watch, lambda seen: {one.application for one in seen.sessions} == {"web", "orders"})


def test_a_database_that_is_away_is_a_figure(postgresql: PostgreSQL, export: Callable[[str], Exporter]) -> None:
    exporter = export(postgresql.uri())
    assert exporter.scrape()["leakfix_db_up", ()] == 1
    postgresql.stop()
    try:
        assert exporter.scrape() == {("leakfix_db_up", ()): 0}
    finally:
        postgresql.start()
    assert exporter.scrape()["leakfix_db_up", ()] == 1


def test_a_database_that_never_was_there_is_one_too(export: Callable[[str], Exporter]) -> None:
    assert export("postgresql://127.0.0.1:1/nothing").scrape() == {("leakfix_db_up", ()): 0}


def test_a_port_that_is_taken(export: Callable[[str], Exporter]) -> None:
    first = export("postgresql://127.0.0.1:1/nothing")
    port = first.url.split(":")[2].partition("/")[0]
    command = [sys.executable, "-m", "leakfix", "watch", "--prometheus", port, "postgresql://127.0.0.1:1/nothing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def _session(application: str) -> Session:
    return Session("1", State.IDLE, "app", application, "shop", "", 1.0, None)


def test_applications_are_bounded() -> None:
    names = [f"worker-{number}" for number in range(MOST_APPLICATIONS + 5)] + ["web"] * 3
    sessions = tuple(_session(name) for name in names)
    snapshot = Snapshot("postgresql", "", datetime.now(UTC), sessions, len(sessions), None, tells_waiting=False)
    families = {family.name: family for family in metrics(snapshot)}
    samples = {sample.labels["application"]: sample.value for sample in families["leakfix_db_connections"].samples}
    assert len(samples) == MOST_APPLICATIONS + 1
    assert (samples["web"], samples[OTHERS]) == (3, 6)
    assert "leakfix_db_connections_limit" not in families
    assert "leakfix_db_waiting_on_locks" not in families
