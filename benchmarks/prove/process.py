"""The process of a service: its command line, its start and end, its memory, and what it wrote about its failures."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

HOST = "127.0.0.1"
START_LIMIT, STOP_LIMIT = 60.0, 5.0  # seconds

# The last line of a traceback names the exception; what stands above one of these phrases only led to it.
EXCEPTION = re.compile(r"^((?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Timeout|DoesNotExist))(?:: (.*))?$")
LED_TO_ANOTHER = "The above exception was the direct cause", "During handling of the above exception"


class ServerFailed(Exception):
    """A server did not answer in time."""


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """What a process of a service knows: no database but the one it is given, and no settings of our own Python."""
    ours = "PG", "DATABASE_", "DJANGO_", "PYTHON"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**inherited, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", **more}


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


@dataclass(frozen=True)
class Process:
    """A server that answers."""

    port: int
    output: Path
    handle: subprocess.Popen[bytes]

    def memory(self) -> float:
        """Its resident memory in MB, that of its children included."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.handle.pid)
            family = [process, *process.children(recursive=True)]
            return float(sum(member.memory_info().rss for member in family)) / 1e6
        return 0.0

    def failures(self) -> Counter[str]:
        """How often it wrote the traceback of which exception."""
        return failures_in(self.output.read_text(encoding="utf-8", errors="replace"))


def failures_in(text: str) -> Counter[str]:
    """The exceptions at the ends of the tracebacks in a text, and how often each is there."""
    found: Counter[str] = Counter()
    lines = [line for line in text.splitlines() if line.strip()]
    for line, following in pairwise([*lines, ""]):
        if (match := EXCEPTION.match(line)) and not following.startswith(LED_TO_ANOTHER):
            found[_in_short(match[1], match[2] or "")] += 1
    return found


def _in_short(name: str, message: str) -> str:
    """The exception and what its message begins with; ports, numbers and addresses differ from one to the next."""
    if "FATAL:" in message:  # PostgreSQL's own words follow where it was connected to
        message = message.partition("FATAL:")[2].strip()
    beginning = re.split(r"[,:;(]| \d", message)[0].strip()
    return f"{name.rpartition('.')[2]}: {beginning}" if beginning else name.rpartition(".")[2]


@contextmanager
def running(command: Sequence[str], folder: Path, known: Mapping[str, str], port: int, ready: str) -> Iterator[Process]:
    """Start a server in a folder, wait until it answers, and end it and all its children in any case."""
    output = folder.with_name(f"{folder.name}-{port}.log")
    with output.open("wb") as stream:
        # A session of its own: Ctrl-C in the terminal reaches us first, and we end the whole group.
        handle = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(known),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        process = Process(port, output, handle)
        try:
            _wait_until_ready(process, ready)
            yield process
        finally:
            _end(handle)


def _wait_until_ready(process: Process, path: str) -> None:
    until = time.monotonic() + START_LIMIT
    while process.handle.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(HOST, process.port, timeout=5)
            try:
                connection.request("GET", path)
                connection.getresponse().read()
                return
            finally:
                connection.close()
        time.sleep(0.05)
    raise ServerFailed(f"the server did not start:\n{process.output.read_text(errors='replace')[-2000:]}")


def _end(handle: subprocess.Popen[bytes]) -> None:
    """End the server as a deployment does: ask, and after a while insist, with all that it started."""
    handle.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        handle.wait(STOP_LIMIT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(handle.pid, signal.SIGKILL)
    handle.wait()
