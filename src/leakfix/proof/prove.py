"""The same command on the project as it is and on a repaired copy, both watched, side by side.

Both run in copies: what the command writes, and what a repair changes, stays out of the project.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from leakfix import engine
from leakfix.config import VENDORED, Config
from leakfix.finding import Finding, Safety
from leakfix.project.discover import discover
from leakfix.proof.launcher import Ended, watched
from leakfix.registry import Registry
from leakfix.runtime.evidence import Evidence

_LEFT_OUT = frozenset({".git", ".hg", ".svn", *VENDORED})
_SOURCES = ("", "src", "lib")  # folders of a project that import paths begin with
_TIMEOUT = re.compile(r"time[d ]*-?out|exhausted|too many|limit of size|PoolError", re.IGNORECASE)
_SECONDS = 3600.0


@dataclass(frozen=True)
class Run:
    """One run of the command. results: what of it must not change, by name; figures: numbers it printed itself."""

    ended: Ended
    results: Mapping[str, str]
    figures: Mapping[str, float]

    @property
    def evidence(self) -> Evidence:
        """What the tracker saw."""
        return self.ended.evidence

    @property
    def open(self) -> int:
        """What was open at the end, or had gone without having been released."""
        return sum(seen.unreleased for seen in self.evidence.sites)

    @property
    def timeouts(self) -> int:
        """Acquisitions that failed because nothing was free."""
        return sum(count for text, count in self.evidence.refused.items() if _TIMEOUT.search(text))

    @property
    def growth(self) -> int:
        """Bytes by which the processes grew from their first acquisition to their end, in sum."""
        memory = self.evidence.memory
        return memory.get("last", 0) - memory.get("first", 0)


@dataclass(frozen=True)
class Proof:
    """Both runs and what was repaired between them. differing: names of results that are not equal."""

    before: Run
    after: Run
    repaired: tuple[Finding, ...]
    remaining: tuple[Finding, ...]
    differing: tuple[str, ...] = ()
    foreign: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether the results are equal, and less is left open than before, if anything was."""
        return not self.differing and (self.after.open < self.before.open or self.before.open == 0)


def prove(
    command: Sequence[str],
    config: Config,
    registry: Registry,
    *,
    unsafe_fixes: bool = False,
    timeout: float = _SECONDS,
    tell: Callable[[str], None] = lambda text: None,
) -> Proof:
    """Run the command before and after the repairs. Raises CannotRun and OSError."""
    with _copied() as before, _copied() as after:
        tell("repairing the copy")
        repaired, remaining = _repaired(after, config, registry, unsafe_fixes)
        tell("running it as it is")
        first = _run(command, before, registry, timeout, "before")
        tell("running it repaired")
        second = _run(command, after, registry, timeout, "after")
    names = sorted({*first.results, *second.results})
    differing = tuple(name for name in names if first.results.get(name) != second.results.get(name))
    return Proof(first, second, repaired, remaining, differing, _foreign(first.evidence))


@contextmanager
def _copied() -> Iterator[str]:
    """A copy of the working directory, without what belongs to version control and to others."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name in _LEFT_OUT or not _is_plain(os.path.join(folder, name))}

    with tempfile.TemporaryDirectory(prefix="leakfix-prove-") as place:
        target = os.path.join(place, os.path.basename(os.getcwd()) or "project")
        shutil.copytree(".", target, symlinks=True, ignore=left_out)
        yield target


def _is_plain(path: str) -> bool:
    return os.path.islink(path) or os.path.isdir(path) or os.path.isfile(path)


def _repaired(
    folder: str, config: Config, registry: Registry, unsafe_fixes: bool
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    ours = frozenset(discover(["."], config).files)  # git knows them here; the copy is not git's

    def accepts(finding: Finding, *_: object) -> bool:
        offered = finding.fix is not None and (unsafe_fixes or finding.fix.safety is Safety.SAFE)
        return offered and finding.path in ours

    def inside_copy(path: str) -> bool:
        return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ""))

    applied, fixed = list[Finding](), set[str]()
    inside = os.path.relpath(config.root)
    if not inside.startswith(os.pardir):
        config = replace(config, root=os.path.join(folder, inside))
    with chdir(folder):
        report = engine.check(["."], config, registry)
        for change in engine.repair(report, accepts):
            if not inside_copy(change.path):  # a link that leads back into the project, or out of it
                continue
            Path(change.path).write_bytes(change.after.raw)
            applied += change.applied
            fixed |= {finding.fingerprint for finding in change.applied}
    remaining = (finding for finding in report.findings if finding.fingerprint not in fixed and finding.path in ours)
    return tuple(applied), tuple(remaining)


def _run(command: Sequence[str], folder: str, registry: Registry, timeout: float, label: str) -> Run:
    places = [os.path.join(folder, name) for name in _SOURCES]
    path = os.pathsep.join([*filter(os.path.isdir, places), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory(prefix="leakfix-results-") as results:
        junit = os.path.join(results, "junit.xml")
        extra = {"PYTHONPATH": path, "LEAKFIX_PROVE": label}
        line = [*command, f"--junitxml={junit}"] if is_pytest(command) else list(command)
        ended = watched(line, registry.table, folder=folder, output=output, timeout=timeout, extra=extra)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
        if is_pytest(command):
            return Run(ended, {"exit code": str(ended.code), **_outcomes(junit)}, {})
        printed, figures = _figures(text.replace(folder, "."))
        return Run(ended, {"exit code": str(ended.code), "standard output": printed}, figures)


def is_pytest(command: Sequence[str]) -> bool:
    """Whether a command runs pytest, which can write down what became of each test."""
    if "-m" in command[:-1] and command[list(command).index("-m") + 1] == "pytest":
        return True
    return os.path.basename(command[0]) in ("pytest", "py.test")


def _outcomes(junit: str) -> dict[str, str]:
    """What became of each test, by its name; empty where pytest wrote nothing."""
    try:
        root = ElementTree.parse(junit).getroot()
    except (OSError, ElementTree.ParseError):
        return {}
    return {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in root.iter("testcase")}


def _outcome(case: ElementTree.Element) -> str:
    return next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")


def _figures(text: str) -> tuple[str, dict[str, float]]:
    """What a command printed, without a last line that is a JSON object of figures, and these."""
    body, _, last = text.rstrip("\n").rpartition("\n")
    try:
        values = json.loads(last)
    except (ValueError, RecursionError):
        return text, {}
    if not isinstance(values, dict) or not values:
        return text, {}
    figures = {str(k): float(v) for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return (body, figures) if len(figures) == len(values) else (text, {})


def _foreign(evidence: Evidence) -> tuple[str, ...]:
    """Files of the project itself that ran in place of the copy's: an installed package that points there."""
    here = os.path.realpath(os.getcwd()) + os.sep
    paths = {seen.path for seen in evidence.sites if os.path.isabs(seen.path)}
    return tuple(sorted(path for path in paths if os.path.realpath(path).startswith(here)))
