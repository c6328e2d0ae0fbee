"""Starts a program under the tracker, passes signals on to it, and gathers what its processes told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from leakfix import runtime
from leakfix.resources import ResourceTable, document_of
from leakfix.runtime.evidence import BadEvidence, Evidence, joined, loaded
from leakfix.runtime.launch import ASK, QUIET, ROWS

SITE = os.path.join(os.path.dirname(os.path.abspath(runtime.__file__)), "site")
_PATIENCE = 2.0  # seconds that processes have to tell what they hold before they are asked to end


class CannotRun(OSError):
    """The command cannot be started; the message says which and why."""


@dataclass(frozen=True)
class Ended:
    """A program that was watched. code: its exit code, 128 + N where signal N killed it; seconds: how long it ran;
    silent: processes that ended without telling.
    """

    code: int
    evidence: Evidence
    seconds: float
    silent: int = 0


def watched(
    command: Sequence[str],
    table: ResourceTable,
    *,
    packages: Collection[str] = (),
    hold: bool = False,
    folder: str | None = None,
    output: IO[bytes] | None = None,
    timeout: float | None = None,
    extra: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command to its end. Raises CannotRun.

    folder: where it runs; output: what its standard output goes to, else ours; timeout: seconds after which it is
    killed; extra: further variables of its environment.
    """
    with tempfile.TemporaryDirectory(prefix="leakfix-run-") as place:
        settings = {"rows": document_of(table), "packages": list(packages), "hold": hold}
        Path(place, ROWS).write_text(json.dumps(settings), encoding="utf-8")
        started = time.monotonic()
        try:
            process = subprocess.Popen(command, cwd=folder, env=_environment(place, extra), stdout=output)
        except OSError as error:
            raise CannotRun(f"{command[0]} cannot be run: {error.strerror or error}") from error
        with process, _passing_on(process, place):
            code = _waited(process, place, timeout)
        ask(place, quiet=True)  # those that outlive it
        return Ended(code if code >= 0 else 128 - code, _gathered(place), time.monotonic() - started, _silent(place))


def _environment(place: str, extra: Mapping[str, str] | None) -> dict[str, str]:
    environment = {**os.environ, **(extra or {})}
    path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{SITE}{os.pathsep}{path}" if path else SITE
    environment["LEAKFIX_RUN"] = place
    return environment


def _waited(process: subprocess.Popen[bytes], place: str, timeout: float | None) -> int:
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        ask(place, quiet=True)
        process.kill()
        return process.wait()


@contextmanager
def _passing_on(process: subprocess.Popen[bytes], place: str) -> Iterator[None]:
    """Give the program the signals that we get; Ctrl-C reaches it by itself, from the terminal."""

    def end(number: int, frame: FrameType | None) -> None:
        ask(place, quiet=True)
        process.send_signal(number)

    def tell(number: int, frame: FrameType | None) -> None:
        ask(place, quiet=False)

    def stay(number: int, frame: FrameType | None) -> None:
        """The program decides what an interrupt means; we wait for its end."""

    handlers = {signal.SIGTERM: end, signal.SIGINT: stay}
    if ASK is not None:
        handlers[ASK] = tell
    former = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def ask(place: str, quiet: bool) -> None:
    """Let every watched process tell what it holds now; quiet: into its file only, and wait until it has."""
    if ASK is None:
        return
    if quiet:
        Path(place, QUIET).touch()
    asked = []
    for file in Path(place).glob("*.pid"):
        told = file.with_suffix(".json")
        with suppress(OSError, ValueError):
            if _is_watched(int(file.stem), place):
                told.unlink(missing_ok=True)
                os.kill(int(file.stem), ASK)
                asked.append(told)
    until = time.monotonic() + _PATIENCE
    while quiet and time.monotonic() < until and not all(told.exists() for told in asked):
        time.sleep(0.01)


def _is_watched(process: int, place: str) -> bool:
    """Whether a process is still the one that said so: numbers are given again, and the signal ends others."""
    try:
        return place.encode() in Path(f"/proc/{process}/environ").read_bytes()
    except FileNotFoundError:
        return not Path("/proc/self").exists()


def _gathered(place: str) -> Evidence:
    parts = []
    for file in sorted(Path(place).glob("*.json")):
        if file.name != ROWS:
            try:
                parts.append(loaded(file.read_bytes()))
            except (OSError, BadEvidence):
                file.unlink(missing_ok=True)  # counted among those that did not tell
    return joined(parts)


def _silent(place: str) -> int:
    return sum(not file.with_suffix(".json").exists() for file in Path(place).glob("*.pid"))
