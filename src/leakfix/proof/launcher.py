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
from leakfix.runtime.launch import ASK, ASK_QUIETLY, ROWS

SITE = os.path.join(os.path.dirname(os.path.abspath(runtime.__file__)), "site")
_PATIENCE = 2.0  # seconds that processes have to tell what they hold before they are asked to end


class CannotRun(OSError):
    """The command cannot be started; the message says which and why."""


@dataclass(frozen=True)
class Ended:
    """A program that was watched. code: its exit code, 128 + N where signal N killed it; seconds: how long it ran;
    silent: processes that ended without telling; unwatched: why others were not watched.
    """

    code: int
    evidence: Evidence
    seconds: float
    silent: int = 0
    unwatched: tuple[str, ...] = ()


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
    with tempfile.TemporaryDirectory(prefix="leakfix-run-", ignore_cleanup_errors=True) as place:
        base = os.path.abspath(folder) if folder is not None else _here()
        settings = {"rows": document_of(table), "packages": list(packages), "hold": hold, "folder": base}
        Path(place, ROWS).write_text(json.dumps(settings), encoding="utf-8")
        started = time.monotonic()
        try:
            process = subprocess.Popen(command, cwd=folder, env=_environment(place, extra), stdout=output)
        except OSError as error:
            raise CannotRun(f"{command[0]} cannot be run: {error.strerror or error}") from error
        with process, _passing_on(process, place):
            code = _waited(process, place, timeout)
        ask(place, quiet=True)  # those that outlive it
        seconds = time.monotonic() - started
        return Ended(code if code >= 0 else 128 - code, _gathered(place), seconds, _silent(place), _unwatched(place))


def _here() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


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

    def pass_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    handlers = {signal.SIGTERM: end, signal.SIGINT: stay}
    for name in ("SIGHUP", "SIGUSR2"):
        if signal.getsignal(getattr(signal, name, signal.SIGTERM)) is signal.SIG_DFL:
            handlers.setdefault(getattr(signal, name, signal.SIGTERM), pass_on)
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
    number = ASK_QUIETLY if quiet else ASK
    if number is None:
        return
    asked = []
    for file in Path(place).glob("*.pid"):
        told = file.with_suffix(".json")
        with suppress(OSError, ValueError):
            if _listens(int(file.stem), place, number):
                before = _version(told)
                os.kill(int(file.stem), number)
                asked.append((int(file.stem), told, before))
    until = time.monotonic() + _PATIENCE
    while quiet and time.monotonic() < until and any(_lives(pid) and _version(at) == old for pid, at, old in asked):
        time.sleep(0.01)


def _version(file: Path) -> tuple[int, int] | None:
    """What tells a file from the one that replaces it."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def _listens(process: int, place: str, number: int) -> bool:
    """Whether a process is still the one that said so: numbers are given again, programs are replaced by others, and
    the signal ends those that do not expect it.
    """
    try:
        if place.encode() not in Path(f"/proc/{process}/environ").read_bytes():
            return False
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


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


def _unwatched(place: str) -> tuple[str, ...]:
    found = []
    for file in sorted(Path(place).glob("*.unwatched")):
        with suppress(OSError):
            found.append(file.read_text(encoding="utf-8", errors="replace"))
    return tuple(dict.fromkeys(found))
