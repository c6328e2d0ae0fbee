"""What PostgreSQL and the operating system say about a service, asked again and again while it is under load."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prove.postgresql import Database
from prove.process import Process

INTERVAL = 0.25  # seconds


@dataclass(frozen=True)
class Sample:
    """One look: connections by what they do, and the memory of the server process."""

    second: float
    open: int
    active: int  # running a statement just now
    in_transaction: int  # doing nothing, with a transaction left open
    memory: float  # MB


def sample(database: Database, process: Process, second: float) -> Sample:
    """Look once."""
    states = database.activity()
    return Sample(
        second=round(second, 3),
        open=sum(states.values()),
        active=states.get("active", 0),
        in_transaction=sum(number for state, number in states.items() if state.startswith("idle in transaction")),
        memory=round(process.memory(), 3),
    )


@contextmanager
def sampled(database: Database, process: Process) -> Iterator[list[Sample]]:
    """Look at regular intervals until the end of the block, first and last at its very beginning and end."""
    begin, ended = time.monotonic(), threading.Event()
    samples = [sample(database, process, 0.0)]

    def look() -> None:
        while not ended.wait(INTERVAL):
            samples.append(sample(database, process, time.monotonic() - begin))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()
    samples.append(sample(database, process, time.monotonic() - begin))
