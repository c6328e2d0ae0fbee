"""What became of the findings of a run, and how it is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leakfix.cli.options import Settings
from leakfix.cli.terminal import complain
from leakfix.finding import Finding
from leakfix.report.style import has_colour

if TYPE_CHECKING:
    from leakfix.result import Report


@dataclass
class Outcome:
    """fixed, remaining: findings. refused: whether a file could not be written."""

    fixed: list[Finding] = field(default_factory=list)
    remaining: list[Finding] = field(default_factory=list)
    allowed: list[Finding] = field(default_factory=list)
    refused: bool = False

    def refuse(self, path: str, reason: str) -> None:
        """Tell that a file was left as it is."""
        complain("error", f"{path}: {reason}")
        self.refused = True


def summarise(outcome: Outcome) -> None:
    """Print what was done and what is left."""
    from leakfix.report.text import allowed_line, fixed_line, remaining_lines, repair_summary

    colour = has_colour(sys.stdout)
    for finding in outcome.fixed:
        sys.stdout.write(fixed_line(finding, colour))
    for finding in outcome.allowed:
        sys.stdout.write(allowed_line(finding, colour))
    for finding in outcome.remaining:
        sys.stdout.writelines(remaining_lines(finding, colour))
    sys.stdout.write(repair_summary(outcome.fixed, outcome.remaining))


def tidy(run: Settings, outcome: Outcome) -> None:
    """After a run that went well, remove what an interrupted one left behind."""
    from leakfix.project.discover import discover
    from leakfix.project.files import remove_stale

    if outcome.refused:
        return
    files = discover(run.paths, run.config).files
    folders = {os.path.dirname(file) for file in files} | {path for path in run.paths if os.path.isdir(path)}
    for text in remove_stale(folders):
        complain("warning", text)


def exit_code(paths: Sequence[str], report: Report, remaining: bool) -> int:
    """Tell what could not be looked at; 2 where that was named on the command line, else 1 or 0."""
    from leakfix.project.discover import unusable

    for error in report.errors:
        complain("warning", f"{error.path}: {error.message}")
    if unusable(paths):
        return 2
    return 1 if remaining else 0


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By file and place."""
    return sorted(findings, key=lambda finding: (finding.path, finding.line, finding.column))
