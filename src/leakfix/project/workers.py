"""All processors at work: forked children that share nothing but what they inherited, results through pipes.

Children are forked, so nothing is imported anew in them and the working directory is never on their import path.
Where there is no fork, or little to do, everything runs in this process.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_FEW = 24
_HEADER = struct.Struct("<Q")


class WorkerFailed(RuntimeError):
    """A child process ended without its result."""


class Workers:
    """A number of processes to spread work over; ``jobs`` None means one for each processor."""

    def __init__(self, jobs: int | None, items: int) -> None:
        wanted = jobs if jobs is not None else _processors()
        self.count = max(1, wanted) if hasattr(os, "fork") and items > _FEW else 1

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def map(self, function: Callable[[Sequence[Item]], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Apply a function to interleaved shares of the items, one share for each process."""
        if self.count == 1 or len(items) <= _FEW:
            return iter([function(items)])
        return self._forked(function, [items[start :: self.count] for start in range(self.count)])

    def map_each(
        self, function: Callable[[Item], Result], items: Iterable[Item], weight: Callable[[Item], int]
    ) -> Iterator[Result]:
        """Apply a function to every item, the shares equal by weight."""
        shares: list[list[Item]] = [[] for _ in range(self.count)]
        loads = [0] * self.count
        weighed = sorted(
            ((weight(item), position, item) for position, item in enumerate(items)),
            reverse=True,
            key=lambda w: w[:2],
        )
        for size, _, item in weighed:
            least = loads.index(min(loads))
            shares[least].append(item)
            loads[least] += size + 1

        def every(share: Sequence[Item]) -> list[Result]:
            return [function(item) for item in share]

        filled = [share for share in shares if share]
        parts = self._forked(every, filled) if self.count > 1 and len(weighed) > 1 else iter([every(s) for s in filled])
        return (result for part in parts for result in part)

    def _forked(self, function: Callable[[Sequence[Item]], Result], shares: list[Any]) -> Iterator[Result]:
        children = [_start(function, share) for share in shares[1:]]
        try:
            yield function(shares[0])
            for position, (pid, descriptor) in enumerate(children):
                with os.fdopen(descriptor, "rb") as stream:
                    data = stream.read()
                os.waitpid(pid, 0)
                children[position] = (0, -1)
                yield _result(data)
        finally:
            for pid, descriptor in children:
                if pid:
                    _stop(pid, descriptor)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(function: Callable[[Any], Any], share: Any) -> tuple[int, int]:
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 1
    try:
        os.close(reading)
        data = pickle.dumps((None, function(share)), pickle.HIGHEST_PROTOCOL)
        code = 0
    except KeyboardInterrupt:
        os._exit(130)
    except BaseException as error:
        data = pickle.dumps((f"{type(error).__name__}: {error}", None))
    try:
        with os.fdopen(writing, "wb") as stream:
            stream.write(_HEADER.pack(len(data)) + data)
    finally:
        os._exit(code)


def _result(data: bytes) -> Any:
    if len(data) < _HEADER.size or len(data) - _HEADER.size != _HEADER.unpack(data[: _HEADER.size])[0]:
        raise WorkerFailed("a worker process ended early; it may have run out of memory")
    error, result = pickle.loads(data[_HEADER.size :])
    if error is not None:
        raise WorkerFailed(error)
    return result


def _stop(pid: int, descriptor: int) -> None:
    import contextlib
    import signal

    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.close(descriptor)
    with contextlib.suppress(OSError):
        os.waitpid(pid, 0)
