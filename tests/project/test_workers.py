"""Work spread over processes: every item once, in order, and no failure lost."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from leakfix.project.workers import WorkerFailed, Workers

PATHS = [f"{number:03}" for number in range(300)]


class State:
    """Counts what it was told."""

    def __init__(self) -> None:
        self.told = ""

    def tell(self, word: str) -> int:
        self.told += word
        return os.getpid()

    def echo(self, paths: Sequence[str], suffix: str = "") -> list[str]:
        return [path + self.told + suffix for path in paths]

    def fail(self, paths: Sequence[str]) -> list[str]:
        raise ValueError("so it is")

    def die(self, survivor: int) -> None:
        if os.getpid() != survivor:
            os._exit(9)


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_every_path_once_and_in_order(jobs: int) -> None:
    with Workers(State(), jobs, len(PATHS)) as workers:
        assert workers.map(State.echo, PATHS, "!") == [path + "!" for path in PATHS]
        assert len(set(workers.each(State.tell, "?"))) == jobs
        assert sorted(workers.map(State.echo, PATHS[:50])) == [path + "?" for path in PATHS[:50]]
        assert workers.map(State.echo, []) == []


def test_a_failure_in_a_child_is_told() -> None:
    with Workers(State(), 2, len(PATHS)) as workers, pytest.raises((WorkerFailed, ValueError), match="so it is"):
        workers.map(State.fail, PATHS)


def test_a_child_that_dies_is_noticed() -> None:
    with Workers(State(), 2, len(PATHS)) as workers:
        workers.map(State.echo, PATHS)
        with pytest.raises(WorkerFailed, match="ended early"):
            workers.each(State.die, os.getpid())
        with pytest.raises(WorkerFailed, match="ended early"):
            workers.map(State.echo, PATHS)
