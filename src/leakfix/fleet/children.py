"""Child processes with a deadline: each leads a session of its own, and its whole group is killed.

What they print goes to files without a name: no pipe can fill up, and none is kept open by a grandchild.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from leakfix.fleet import limited

MOST_OUTPUT = 256 << 20
_MOST_TOLD = 16 << 10
_GRACE = 5
_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()
_stopping = threading.Event()


class TimedOut(Exception):
    """The deadline came first."""


class Stopped(Exception):
    """The run is being given up."""


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    code: its exit code, negative for the signal that killed it.
    output: what it printed, None where that was too much to be true; told: the end of what it wrote to stderr.
    """

    code: int
    output: bytes | None
    told: str


def run(
    command: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    seconds: float,
    megabytes: int | None = None,
) -> Ended:
    """Run a program to its end. Raises TimedOut, Stopped and OSError."""
    if seconds <= 0:
        raise TimedOut
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as told:
        process = _started(_with_limits(command, seconds, megabytes), folder, environment, output, told)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimedOut from None
        finally:
            _ended(process)
        if _stopping.is_set():
            raise Stopped
        return Ended(code, _read(output), _read_end(told))


@contextlib.contextmanager
def stopped() -> Iterator[None]:
    """Kill every child, and let none start until this is left."""
    with _lock:
        _stopping.set()
        for process in _running:
            _kill(process)
    try:
        yield
    finally:
        _stopping.clear()


def _with_limits(command: Sequence[str], seconds: float, megabytes: int | None) -> list[str]:
    limits = (str(megabytes or 0), str(math.ceil(seconds) + _GRACE))
    return [sys.executable, "-I", "-S", limited.__file__, *limits, *command]


def _started(
    command: Sequence[str], folder: str, environment: Mapping[str, str], output: IO[bytes], told: IO[bytes]
) -> subprocess.Popen[bytes]:
    with _lock:
        if _stopping.is_set():
            raise Stopped
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=told,
            start_new_session=True,
        )
        _running.add(process)
        return process


def _ended(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        _kill(process)
        process.wait()
    with _lock:
        _running.discard(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the group; its number is nobody else's as long as its leader has not been waited for."""
    if process.returncode is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)


def _read(stream: IO[bytes]) -> bytes | None:
    if stream.seek(0, os.SEEK_END) > MOST_OUTPUT:
        return None
    stream.seek(0)
    return stream.read()


def _read_end(stream: IO[bytes]) -> str:
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - _MOST_TOLD))
    return stream.read().decode("utf-8", "backslashreplace")
