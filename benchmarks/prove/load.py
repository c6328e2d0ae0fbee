"""Clients that ask a service one thing after the other, and what they were answered.

Every client has its own sequence of requests, drawn with a fixed seed: before and after the repair it asks for the same
things in the same order, as far as it comes. Together the clients ask so many times a second, or less often where
answers take longer: both phases are offered the same, and none is a race. Each request has a connection of its own.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prove.process import HOST

SEED = "leakfix"
CLIENTS = 16
TIMEOUT = 3.0  # seconds that a client waits while nothing comes
WARM_UP = 3.0  # seconds


@dataclass(frozen=True)
class Route:
    """Something to ask for: how often beside the others, and a path in which ``{n}`` is drawn from a range."""

    weight: int
    method: str
    path: str
    first: int = 1
    last: int = 1
    body: Mapping[str, object] | None = None
    leaks: bool = False


@dataclass(frozen=True)
class Answer:
    """What came of one request: a status, or else the name of what went wrong."""

    method: str
    path: str
    start: float  # seconds since the load began
    seconds: float
    status: int = 0
    failure: str = ""
    digest: str = ""  # of the body

    @property
    def answered(self) -> bool:
        """Whether the service did what it is there for; a refusal such as 404 is an answer too."""
        return 0 < self.status < 500


def requests(routes: Sequence[Route], client: int) -> Iterator[tuple[Route, str]]:
    """The endless sequence of one client."""
    chance = random.Random(f"{SEED} {client}")
    weights = [route.weight for route in routes]
    while True:
        (route,) = chance.choices(routes, weights)
        yield route, route.path.replace("{n}", str(chance.randint(route.first, route.last)))


@dataclass
class Load:
    """A bounded load on one service."""

    port: int
    routes: Sequence[Route]
    rate: int  # requests per second, of all clients together
    seconds: float
    answers: list[Answer] = field(default_factory=list)

    def run(self) -> None:
        """Ask for so many seconds; no request begins after them, and soon afterwards nobody waits any more."""
        self._begin = time.perf_counter()
        clients = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        until = time.monotonic() + self.seconds + 2 * TIMEOUT
        for client in clients:
            client.join(max(0.0, until - time.monotonic()))

    def _ask(self, number: int) -> None:
        due = number / self.rate  # they do not all ask at once
        for route, path in requests(self.routes, number):
            time.sleep(max(0.0, due - self._now()))
            start = self._now()
            if start >= self.seconds:
                break
            due = start + CLIENTS / self.rate
            self.answers.append(ask(self.port, route, path, start))

    def _now(self) -> float:
        return time.perf_counter() - self._begin


def warm(port: int, routes: Sequence[Route], rate: int) -> None:
    """Ask for what does not leak, so that what the first requests load or start is not taken for growth."""
    Load(port, [route for route in routes if not route.leaks], rate, WARM_UP).run()


def ask(port: int, route: Route, path: str, start: float) -> Answer:
    """Send one request and wait for all of its answer."""
    body = None if route.body is None else json.dumps(route.body)
    headers = {} if body is None else {"Content-Type": "application/json"}
    begin = time.perf_counter()
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    try:
        connection.request(route.method, path, body, headers)
        response = connection.getresponse()
        digest = hashlib.sha256(response.read()).hexdigest()
    except (OSError, http.client.HTTPException) as error:
        return Answer(route.method, path, start, time.perf_counter() - begin, failure=type(error).__name__)
    finally:
        connection.close()
    return Answer(route.method, path, start, time.perf_counter() - begin, status=response.status, digest=digest)
