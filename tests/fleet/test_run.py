"""A run on any executor: everything recorded once, and what is lost tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from leakfix.fleet import FleetError
from leakfix.fleet import run as running
from leakfix.fleet.result import Result, Status
from leakfix.fleet.results import Results
from leakfix.fleet.run import MOST_ATTEMPTS, local_executor, run
from leakfix.fleet.task import Task

from .conftest import REPORT, TIDY, MakeRepository, checked, names, shell


class Unreliable(Executor):
    """Answers in a thread; loses the first tries of some tasks, and counts how many are out at a time."""

    def __init__(self, losses: dict[str, int]) -> None:
        self.losses = losses
        self.out = self.most = 0
        self._threads = ThreadPoolExecutor(4)
        self._lock = threading.Lock()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        with self._lock:
            self.out += 1
            self.most = max(self.most, self.out)
        return self._threads.submit(self._answer, *arguments)

    def _answer(self, task: Task) -> Result:
        with self._lock:
            self.out -= 1
            self.losses[task.repository] = self.losses.get(task.repository, 0) - 1
            if self.losses[task.repository] >= 0:
                raise ConnectionError("the worker died")
        return checked(task.repository)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait)


def test_what_is_lost_is_tried_again_and_then_recorded(tmp_path: Path) -> None:
    tasks = [Task(f"/{number}") for number in range(60)]
    told: list[str] = []
    losses = {"/7": MOST_ATTEMPTS - 1, "/8": 1, "/9": MOST_ATTEMPTS}
    with Unreliable(losses) as executor, Results(str(tmp_path / "results")) as results:
        run(iter(tasks), executor, results, lambda result: told.append(result.repository), at_once=7)
        assert executor.most <= 7
    found = [Result.from_line(line) for line in (tmp_path / "results").read_bytes().splitlines()]
    assert sorted(told) == sorted(result.repository for result in found) == sorted(task.repository for task in tasks)
    assert [(one.repository, one.status) for one in found if one.status != Status.CHECKED] == [("/9", Status.CRASHED)]
    assert "the worker died" in next(one.message for one in found if one.repository == "/9")


def test_an_executor_that_is_gone_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_PATIENCE", 0.01)

    class Silent(Unreliable):
        def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
            return Future()

    with Results(str(tmp_path / "results")) as results:
        with pytest.raises(FleetError, match="nobody answers"):
            run([Task("/a")], Silent({}), results, lambda result: None, alive=lambda: False)
        ended = ThreadPoolExecutor(1)
        ended.shutdown()
        with pytest.raises(FleetError, match="handed out"):
            run([Task("/a")], ended, results, lambda result: None)


def test_a_hang_and_a_crash_harm_no_other_task(repository: MakeRepository, tmp_path: Path) -> None:
    url = repository("a", {"a.py": TIDY})
    scripts = [f"echo '{REPORT}'", "sleep 600", "kill -9 $$", f"echo '{REPORT}'"]
    # one repository under several names, so that each script has one of its own
    tasks = [
        Task(f"{url}{'/.' * number}", timeout=3 if "sleep" in script else 120, command=shell(script))
        for number, script in enumerate(scripts)
    ]
    with local_executor(4) as executor, Results(str(tmp_path / "results")) as results:
        run(tasks, executor, results, lambda result: None)
        entries = {entry.repository: str(entry.status) for entry in results.entries}
    assert [entries[task.repository] for task in tasks] == ["checked", "timed out", "crashed", "checked"]
    assert len(names((tmp_path / "results").read_bytes().splitlines())) == 4
