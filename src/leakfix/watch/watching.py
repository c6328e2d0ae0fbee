"""A server asked again and again over one connection, which is opened anew when it was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType

from leakfix.watch import Unreachable
from leakfix.watch.protocol import Login, Server
from leakfix.watch.snapshot import Snapshot

LONGEST_PAUSE = 30.0  # seconds


class Watch:
    """A context: inside of it there is at most one connection, after it none. Several threads may ask."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self._server: Server | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._turn:
            self._leave()

    def ask(self) -> Snapshot:
        """What the server says now. Raises Unreachable."""
        with self._turn:
            try:
                if self._server is None:
                    self._server = self.login.opened()
                return self._server.snapshot()
            except BaseException:  # also Ctrl-C: an answer that was not read would be taken for the next one's
                self._leave()
                raise

    def _leave(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()


@dataclass(frozen=True)
class Silence:
    """The server did not answer; it is asked again after a pause."""

    reason: str
    since: datetime
    pause: float
    """Seconds."""


def answers(watch: Watch, interval: float, sleep: Callable[[float], None] = time.sleep) -> Iterator[Snapshot | Silence]:
    """Ask for ever, with pauses that grow while the server is away. Raises Unreachable where it never was there."""
    yield watch.ask()
    since: datetime | None = None
    pause = interval
    while True:
        sleep(pause)
        try:
            answer = watch.ask()
        except Unreachable as error:
            pause = interval if since is None else max(interval, min(LONGEST_PAUSE, pause * 2))
            since = since or datetime.now(UTC)
            yield Silence(str(error), since, pause)
            continue
        since, pause = None, interval
        yield answer
