"""The unit of work: one repository at one commit, fetched and checked.

``examine`` needs nothing but its task, and answers whatever happens: git and leakfix run as processes of their own,
so that one that hangs, crashes or wants all memory harms no other task of this process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from leakfix import __version__
from leakfix.fleet import children
from leakfix.fleet.checkout import GitFailed, Remote
from leakfix.fleet.credentials import without_tokens
from leakfix.fleet.result import Result, Status
from leakfix.fleet.workspace import workspace

_CHECKOUT = "checkout"
_LONGEST_MESSAGE = 500
_OWN_FAULT = "this is a fault of leakfix"
_MISSING_MEMORY = ("MemoryError", "it may have run out of memory", "Cannot allocate memory")


@dataclass(frozen=True)
class Task:
    """One repository to check.

    known: the commits whose results are there already.
    options: options of ``leakfix check`` that select rules.
    timeout: seconds for everything, fetching included; memory: megabytes for leakfix; jobs: its processes.
    command: what is run in the checkout instead of ``leakfix check`` with this interpreter.
    version: the leakfix that is to check; another answers with a failure.
    """

    repository: str
    ref: str | None = None
    known: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()
    timeout: float = 600
    memory: int | None = None
    jobs: int = 1
    command: tuple[str, ...] = ()
    version: str = __version__

    def result(self, status: Status, message: str = "", commit: str | None = None, seconds: float = 0) -> Result:
        """An outcome of this task, without findings."""
        options = self.options
        return Result(self.repository, self.ref, commit, status, message, round(seconds, 3), __version__, options)


class _Unchecked(Exception):
    """Leakfix did not get to its end."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def examine(task: Task) -> Result:
    """Fetch and check one repository; no exception leaves this function."""
    started = time.monotonic()
    # whatever was learnt of the commit belongs to the outcome, a failure included
    commits: list[str] = []
    try:
        result = _examined(task, started + task.timeout, commits)
    except children.TimedOut:
        result = task.result(Status.TIMED_OUT, f"took longer than {task.timeout:g} s")
    except children.Stopped:
        result = task.result(Status.FAILED, "the run was stopped")
    except GitFailed as error:
        result = task.result(Status.FAILED, str(error))
    except _Unchecked as error:
        result = task.result(error.status, str(error))
    except OSError as error:
        result = task.result(Status.FAILED, f"on the machine that checks: {error}")
    except Exception as error:
        result = task.result(Status.CRASHED, f"{_OWN_FAULT}: {type(error).__name__}: {error}"[:_LONGEST_MESSAGE])
    commit = commits[-1] if commits else None
    return replace(result, commit=commit, seconds=round(time.monotonic() - started, 3))


def _examined(task: Task, deadline: float, commits: list[str]) -> Result:
    if task.version != __version__:
        raise _Unchecked(Status.FAILED, f"the worker has leakfix {__version__}, not {task.version}; install the same")
    with workspace() as folder:
        remote = Remote(task.repository, folder, deadline)
        tip = remote.resolve(task.ref)
        commits.append(tip.commit)
        if tip.commit in task.known:
            return task.result(Status.KNOWN)
        checkout = os.path.join(folder, _CHECKOUT)
        commits.append(remote.check_out(tip, checkout))
        if commits[-1] in task.known:
            return task.result(Status.KNOWN)
        _end_search_for_settings(folder)
        return _checked(task, checkout, deadline)


def _end_search_for_settings(folder: str) -> None:
    """A repository without settings has the default ones, not those of a folder above the temporary files."""
    with open(os.path.join(folder, "leakfix.toml"), "x", encoding="ascii"):
        pass


def _checked(task: Task, checkout: str, deadline: float) -> Result:
    ended = children.run(
        task.command or _command(task), checkout, _environment(), deadline - time.monotonic(), task.memory
    )
    if any(sign in ended.told for sign in _MISSING_MEMORY) and ended.code:
        limit = f" ({task.memory} MB)" if task.memory else ""
        raise _Unchecked(Status.CRASHED, f"leakfix ran out of memory{limit}")
    if ended.code < 0:
        raise _Unchecked(Status.CRASHED, f"leakfix was killed by signal {-ended.code}")
    if ended.code not in (0, 2) or _OWN_FAULT in ended.told:
        raise _Unchecked(Status.CRASHED, _last_words(ended.told) or f"leakfix ended with {ended.code}")
    if ended.code:
        raise _Unchecked(Status.FAILED, _last_words(ended.told) or "leakfix refused, and did not say why")
    return _with_report(task.result(Status.CHECKED), ended.output)


def _command(task: Task) -> tuple[str, ...]:
    reported = ("--output-format", "json", "--exit-zero", "--jobs", str(task.jobs))
    return sys.executable, "-P", "-m", "leakfix", "check", ".", *reported, *task.options


def _environment() -> Mapping[str, str]:
    """This process's environment, without tokens and without import paths that would lead into the checkout."""
    kept = {name: value for name, value in without_tokens(os.environ).items() if not name.startswith("GIT_")}
    entries = [os.path.abspath(entry) for entry in kept.pop("PYTHONPATH", "").split(os.pathsep) if entry]
    kept.pop("PYTHONINSPECT", None)
    return kept | ({"PYTHONPATH": os.pathsep.join(entries)} if entries else {})


def _with_report(result: Result, output: bytes | None) -> Result:
    report = _report(output)
    findings, errors, summary = (report.get(name) for name in ("findings", "errors", "summary"))
    if not isinstance(findings, list) or not isinstance(errors, list) or not isinstance(summary, dict):
        raise _Unchecked(Status.CRASHED, "leakfix printed something else than a report")
    return replace(result, findings=tuple(findings), errors=tuple(errors), summary=summary)


def _report(output: bytes | None) -> Mapping[str, Any]:
    if output is None:
        raise _Unchecked(Status.CRASHED, f"leakfix printed more than {children.MOST_OUTPUT >> 20} MB")
    try:
        report = json.loads(output)
    except ValueError:
        report = None
    return report if isinstance(report, dict) else {}


def _last_words(told: str) -> str:
    """The last complaint, which is why there is no report; an exception goes before the sentence behind it."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    kept = [line for line in lines if _OWN_FAULT not in line] or lines
    errors = [line for line in kept if line.startswith("error:")]
    return (errors or kept or [""])[-1].removeprefix("error: ")[:_LONGEST_MESSAGE]
