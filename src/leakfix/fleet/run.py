"""The order of a run: tasks go out to any executor, a bounded number at a time; what comes back is recorded once.

Threads do for one machine: every task spends its time waiting for processes of its own, so there is nothing a pool of
processes would keep apart that is not apart already, and no pool to break when one of them dies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue

from leakfix.fleet import FleetError, children
from leakfix.fleet.result import Result, Status
from leakfix.fleet.results import Results
from leakfix.fleet.task import Task, examine

MOST_ATTEMPTS = 3
_PATIENCE = 5.0
_LONGEST_MESSAGE = 500


@dataclass(frozen=True)
class _Attempt:
    task: Task
    number: int


def run(
    tasks: Iterable[Task],
    executor: Executor,
    results: Results,
    progress: Callable[[Result], None],
    *,
    at_once: int = 64,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Let an executor examine every task, and record each outcome.

    A task whose worker is lost is submitted again, and recorded as crashed after some attempts.
    at_once: how many are submitted and not yet recorded; alive: whether the executor can still answer.
    Raises FleetError where the executor takes or answers nothing any more.
    """
    waiting: dict[Future[Result], _Attempt] = {}
    finished: SimpleQueue[Future[Result]] = SimpleQueue()

    def submit(attempt: _Attempt) -> None:
        future = _submitted(executor, attempt.task)
        waiting[future] = attempt
        future.add_done_callback(finished.put)

    to_come = iter(tasks)
    while True:
        for task in islice(to_come, at_once - len(waiting)):
            submit(_Attempt(task, 1))
        if not waiting:
            return
        future = _next(finished, alive)
        attempt = waiting.pop(future)
        result = _outcome(future, attempt, alive)
        if result is None:
            submit(_Attempt(attempt.task, attempt.number + 1))
        else:
            results.add(result)
            progress(result)


@contextlib.contextmanager
def local_executor(jobs: int) -> Iterator[Executor]:
    """Threads of this process; when they are given up, whatever they wait for is killed."""
    executor = ThreadPoolExecutor(jobs, thread_name_prefix="leakfix-fleet")
    try:
        yield executor
    except BaseException:
        with children.stopped():
            executor.shutdown(wait=True, cancel_futures=True)
        raise
    executor.shutdown()


def _submitted(executor: Executor, task: Task) -> Future[Result]:
    try:
        return executor.submit(examine, task)
    except RuntimeError as error:
        raise _gone(str(error)) from error


def _next(finished: SimpleQueue[Future[Result]], alive: Callable[[], bool]) -> Future[Result]:
    while True:
        try:
            return finished.get(timeout=_PATIENCE)
        except Empty:
            if not alive():
                raise _gone("nobody answers") from None


def _outcome(future: Future[Result], attempt: _Attempt, alive: Callable[[], bool]) -> Result | None:
    """What became of a task; None where it should be tried again: ``examine`` itself raises nothing."""
    try:
        return future.result()
    except Exception as error:
        if not alive():
            raise _gone(f"{type(error).__name__}: {error}") from error
        if attempt.number < MOST_ATTEMPTS:
            return None
        why = f"its worker was lost {attempt.number} times; the last time: {type(error).__name__}: {error}"
        return attempt.task.result(Status.CRASHED, why[:_LONGEST_MESSAGE])


def _gone(why: str) -> FleetError:
    return FleetError(f"no more repositories can be handed out: {why}; the same command goes on from here")
