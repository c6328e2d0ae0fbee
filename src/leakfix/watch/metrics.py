"""Metrics for Prometheus (extra ``watch``); every scrape asks the server at that moment."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from types import TracebackType

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily

from leakfix.watch import Unreachable
from leakfix.watch.snapshot import Snapshot, State
from leakfix.watch.watching import Watch

MOST_APPLICATIONS = 100
OTHERS = "(others)"
"""What applications beyond that number are counted under: names of applications can be anything, series are dear."""


class Sessions:
    """What prometheus_client calls a collector."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: it would be asked when it is registered, and there may be no server yet."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics of this moment; ``leakfix_db_up`` alone, with 0, where the server does not answer."""
        try:
            snapshot = self._watch.ask()
        except Unreachable:
            yield _gauge("leakfix_db_up", "Whether the database answered this scrape.", 0)
            return
        yield _gauge("leakfix_db_up", "Whether the database answered this scrape.", 1)
        yield from metrics(snapshot)


def metrics(snapshot: Snapshot) -> Iterator[GaugeMetricFamily]:
    """A picture as metrics. What the server does not tell is left out."""
    by_state = GaugeMetricFamily("db_connections_active", "Open connections by state.", labels=["state"])
    for state, count in snapshot.states.items():
        by_state.add_metric([state.value], count)
    yield by_state
    yield _by_application(snapshot)
    yield _gauge("leakfix_db_connections_used", "Connections that count against the limit.", snapshot.used)
    if snapshot.limit is not None:
        yield _gauge("leakfix_db_connections_limit", "Connections that ordinary users may have.", snapshot.limit)
    idle = max((one.state_seconds or 0.0 for one in snapshot.idle_in_transaction), default=0.0)
    yield _gauge(
        "leakfix_db_idle_in_transaction_seconds_max", "How long the oldest session is idle in its transaction.", idle
    )
    oldest = max((one.transaction_seconds or 0.0 for one in snapshot.transactions), default=0.0)
    yield _gauge("leakfix_db_transaction_seconds_max", "Age of the oldest open transaction.", oldest)
    if snapshot.tells_waiting:
        yield _gauge("leakfix_db_waiting_on_locks", "Sessions that wait for a lock.", len(snapshot.waiting))


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _by_application(snapshot: Snapshot) -> GaugeMetricFamily:
    totals = Counter(session.application for session in snapshot.sessions)
    kept = {name for name, _ in totals.most_common(MOST_APPLICATIONS)}
    counts: Counter[tuple[State, str]] = Counter(
        (session.state, session.application if session.application in kept else OTHERS) for session in snapshot.sessions
    )
    family = GaugeMetricFamily(
        "leakfix_db_connections", "Open connections by state and application.", labels=["state", "application"]
    )
    for (state, application), count in sorted(counts.items()):
        family.add_metric([state.value, application], count)
    return family


class Endpoint:
    """A context in which the metrics are served. Raises OSError where the port cannot be had."""

    def __init__(self, watch: Watch, address: str, port: int) -> None:
        registry = CollectorRegistry()
        registry.register(Sessions(watch))
        self._server, self._thread = start_http_server(port, address, registry)

    @property
    def url(self) -> str:
        """Where the metrics are."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else host
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/metrics"

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self) -> None:
        """Serve until somebody interrupts."""
        threading.Event().wait()
