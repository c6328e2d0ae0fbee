"""``leakfix check --add-suppressions``: allow what is found, in the files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from leakfix.cli.terminal import complain
from leakfix.finding import Finding
from leakfix.report.style import has_colour

if TYPE_CHECKING:
    from leakfix.result import Report
    from leakfix.source import SourceFile


def add_suppressions(report: Report, reason: str) -> int:
    """Write a comment at each acquisition; 1 where some cannot have one, 2 where a file could not be written."""
    from leakfix.report.text import allowed_line

    allowed: list[Finding] = []
    refused = unwritten = 0
    for path, source in sorted(report.sources.items()):
        mine = [finding for finding in report.findings if finding.path == path]
        try:
            done, left = _written(report, source, mine, reason)
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            complain("error", f"{path}: not written: {why}")
            unwritten += 1
            continue
        allowed += done
        refused += len(left)
        for finding, why in left:
            complain("warning", f"{path}:{finding.line}: {finding.rule} is not allowed: {why}")
    for finding in allowed:
        sys.stdout.write(allowed_line(finding, has_colour(sys.stdout)))
    places = len({finding.path for finding in allowed})
    click.echo(f"Allowed {_count(len(allowed), 'finding')} in {_count(places, 'file')}.")
    return 2 if unwritten else int(bool(refused))


def _written(
    report: Report, source: SourceFile, findings: list[Finding], reason: str
) -> tuple[list[Finding], list[tuple[Finding, str]]]:
    """What was allowed in one file and what could not be. Nothing is written that is not seen to hold."""
    from leakfix.project.files import write_atomically
    from leakfix.repairs.allow import with_comments

    result = with_comments(source, findings, reason)
    if not result.allowed:
        return [], list(result.refused)
    still = {finding.fingerprint for finding in report.run.checked(result.after)}
    held = [finding for finding in result.allowed if finding.fingerprint in still]
    if held:
        raise ValueError(f"line {held[0].line} would be found again after the comment")
    write_atomically(source.path, source.raw, result.after.raw)
    return list(result.allowed), list(result.refused)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
