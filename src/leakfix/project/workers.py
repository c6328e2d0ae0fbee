"""All processors at work: forked children that live as long as the run, so that what one has parsed it need not again.

Children are forked, so nothing is imported anew in them and the working directory is never on their import path.
Where there is no fork, or little to do, everything runs in this process.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Concatenate, Generic, ParamSpec, TypeVar

State = TypeVar("State")
Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")

_FEW = 24
_RUNS, _MOST_RUNS = 64, 2048  # as many tickets as any pipe holds
_HEADER = struct.Struct("<Q")
_TICKET = struct.Struct("<H")


class WorkerFailed(RuntimeError):
    """A child process ended without its result."""


class _Tickets:
    """Numbers of the runs that wait for one process; any other that has time may draw one too.

    A pipe: what one process has read from it no other will read.
    """

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)

    def put(self, numbers: Sequence[int]) -> None:
        os.write(self._in, b"".join(map(_TICKET.pack, numbers)))

    def drawn(self) -> Iterator[int]:
        with contextlib.suppress(BlockingIOError):
            while True:
                yield _TICKET.unpack(os.read(self._out, _TICKET.size))[0]

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)


@dataclass(frozen=True, slots=True)
class _Child:
    """A forked process: commands go in, results come out."""

    pid: int
    commands: BinaryIO
    results: BinaryIO

    def tell(self, *command: Any) -> None:
        try:
            _write(self.commands, command)
        except OSError:
            raise WorkerFailed("a worker process ended early; it may have run out of memory") from None

    def answer(self) -> Any:
        error, result = _read(self.results)
        if error is not None:
            raise WorkerFailed(error)
        return result

    def stop(self) -> None:
        for stream in (self.commands, self.results):
            with contextlib.suppress(OSError):
                stream.close()
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(self.pid, 0)


class Workers(Generic[State]):
    """This process and its children, each with its own copy of a state whose methods they run.

    jobs: the number of processes; None means one for each processor.
    """

    def __init__(self, state: State, jobs: int | None, items: int) -> None:
        self.state = state
        wanted = jobs if jobs is not None else _processors()
        self._count = max(1, wanted) if hasattr(os, "fork") and items > _FEW else 1
        self._children: list[_Child] = []
        self._tickets: list[_Tickets] = []
        self._homes: dict[str, int] = {}

    def __enter__(self) -> Workers[State]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.stop()
        for tickets in self._tickets:
            tickets.close()

    def each(
        self,
        method: Callable[Concatenate[State, Parameters], Result],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> list[Result]:
        """Let every copy of the state run a method, and gather what each returns."""
        for child in self._children:
            child.tell(_call, method, arguments, named)
        own = method(self.state, *arguments, **named)
        return [own, *(child.answer() for child in self._children)]

    def map(
        self,
        method: Callable[Concatenate[State, Sequence[str], Parameters], Sequence[Result]],
        paths: Sequence[str],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> list[Result]:
        """Run a method on all paths, a run of neighbours at a time, whichever process has time for it.

        A run goes preferably where its paths went before. The results come in the order of the paths' homes.
        """
        if self._count == 1 or (not self._children and len(paths) <= _FEW):
            return list(method(self.state, paths, *arguments, **named))
        self._start()
        runs = list(self._runs(paths))
        for home, tickets in enumerate(self._tickets):
            tickets.put([number for number, (wanted, _) in enumerate(runs) if wanted == home])
        for child in self._children:
            child.tell(_draw, method, [run for _, run in runs], arguments, named)
        parts: dict[int, Sequence[Result]] = {}
        own = _draw(self.state, self._tickets, method, [run for _, run in runs], arguments, named)
        for home, answer in enumerate([own, *(child.answer() for child in self._children)]):
            parts |= answer
            self._homes |= {path: home for number in answer for path in runs[number][1]}
        return [result for number in sorted(parts) for result in parts[number]]

    def _runs(self, paths: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
        """Runs of the paths with their preferred process.

        Neighbours need the same other files: what has been nowhere yet goes in as many parts as there are processes.
        """
        length = max(1, -(-len(paths) // min(self._count * _RUNS, _MOST_RUNS)))
        homes = [self._homes.get(path, at * self._count // len(paths)) for at, path in enumerate(paths)]
        for home in range(self._count):
            own = [path for path, wanted in zip(paths, homes, strict=True) if wanted == home]
            yield from ((home, own[start : start + length]) for start in range(0, len(own), length))

    def _start(self) -> None:
        if not self._tickets:
            self._tickets = [_Tickets() for _ in range(self._count)]
        while len(self._children) < self._count - 1:
            number = len(self._children) + 1
            self._children.append(_started(self.state, self._tickets[number:] + self._tickets[:number]))


def _draw(
    state: Any,
    tickets: Sequence[_Tickets],
    method: Callable[..., Any],
    runs: Sequence[Any],
    arguments: Sequence[Any],
    named: dict[str, Any],
) -> dict[int, Any]:
    numbers = (number for one in tickets for number in one.drawn())
    return {number: method(state, runs[number], *arguments, **named) for number in numbers}


def _call(
    state: Any, tickets: Sequence[_Tickets], method: Callable[..., Any], arguments: Sequence[Any], named: dict[str, Any]
) -> Any:
    return method(state, *arguments, **named)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _started(state: object, tickets: Sequence[_Tickets]) -> _Child:
    sys.stdout.flush()
    sys.stderr.flush()
    commands_out, commands_in = os.pipe()
    results_out, results_in = os.pipe()
    pid = os.fork()
    if pid:
        os.close(commands_out)
        os.close(results_in)
        return _Child(pid, os.fdopen(commands_in, "wb"), os.fdopen(results_out, "rb"))
    try:
        os.close(commands_in)
        os.close(results_out)
        with os.fdopen(commands_out, "rb") as commands, os.fdopen(results_in, "wb") as results:
            _serve(state, tickets, commands, results)
    finally:  # the parent has ended, or is about to
        os._exit(1)


def _serve(state: object, tickets: Sequence[_Tickets], commands: BinaryIO, results: BinaryIO) -> None:
    with contextlib.suppress(KeyboardInterrupt, OSError, WorkerFailed):
        while True:
            function, *arguments = _read(commands)
            answer: tuple[str | None, Any]
            try:
                answer = (None, function(state, tickets, *arguments))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                answer = (f"{type(error).__name__}: {error}", None)
            _write(results, answer)


def _write(stream: BinaryIO, value: object) -> None:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    stream.write(_HEADER.pack(len(data)))
    stream.write(data)
    stream.flush()


def _read(stream: BinaryIO) -> Any:
    header = stream.read(_HEADER.size)
    data = stream.read(_HEADER.unpack(header)[0]) if len(header) == _HEADER.size else b""
    if not data:
        raise WorkerFailed("a worker process ended early; it may have run out of memory")
    return pickle.loads(data)
