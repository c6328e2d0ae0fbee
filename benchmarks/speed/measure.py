"""Commands taking turns, so that whatever else the machine does meets them all."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """What is run, where. codes: exit codes that are no failure."""

    words: tuple[str, ...]
    folder: Path
    codes: tuple[int, ...] = (0, 1)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Taken:
    """What the runs of one command took: seconds on the clock and of processors, bytes of the largest process."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: int = 0

    @property
    def median(self) -> float:
        """Seconds on the clock."""
        return statistics.median(self.wall)


class Failed(RuntimeError):
    """A command did not do what it is measured for."""


class TooLong(Failed):
    """A command was stopped after the time it was given."""


def measured(commands: Mapping[str, Command], rounds: int) -> dict[str, Taken]:
    """Run all commands in turns; the first round warms the caches of the system and does not count. Raises Failed."""
    taken = {name: Taken() for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            wall, cpu, peak = _run(command)
            if number:
                taken[name].wall.append(wall)
                taken[name].cpu.append(cpu)
                taken[name].peak = max(taken[name].peak, peak)
    return taken


def once(command: Command, seconds: float | None = None) -> Taken:
    """Run a command that takes long, once, and not longer than so many seconds. Raises Failed, TooLong."""
    wall, cpu, peak = _run(command, seconds)
    return Taken([wall], [cpu], peak)


def answer(command: Command) -> bytes:
    """What a command prints. Raises Failed."""
    done = subprocess.run(
        command.words,
        cwd=command.folder,
        env=os.environ | dict(command.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode not in command.codes:
        raise Failed(f"{' '.join(command.words)} ended with {done.returncode}")
    return done.stdout


def _run(command: Command, seconds: float | None = None) -> tuple[float, float, int]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(
        command.words,
        cwd=command.folder,
        env=environment | dict(command.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    timer = threading.Timer(seconds or threading.TIMEOUT_MAX, process.kill)
    timer.daemon = True
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    timer.cancel()
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if seconds is not None and wall >= seconds:
        raise TooLong(f"{' '.join(command.words)} took more than {seconds:.0f} s")
    if process.returncode not in command.codes:
        raise Failed(f"{' '.join(command.words)} ended with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def ratios(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """The median of the ratios of runs that followed each other, and the smallest and the largest."""
    each = sorted(one / other for one, other in zip(first, second, strict=True))
    return statistics.median(each), each[0], each[-1]
