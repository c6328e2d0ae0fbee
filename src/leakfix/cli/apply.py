"""``leakfix apply``: repair."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from leakfix.cli.check import exit_code
from leakfix.cli.options import Settings, searching, settings
from leakfix.cli.terminal import asked, can_ask, complain, has_colour, progress
from leakfix.finding import Finding, Safety
from leakfix.source import SourceFile

if TYPE_CHECKING:
    from leakfix.engine import FileRepair, Report

Decide = Callable[[Finding, SourceFile, SourceFile], bool]


@dataclass
class _Outcome:
    """What became of the findings."""

    fixed: list[Finding] = field(default_factory=list)
    remaining: list[Finding] = field(default_factory=list)
    refused: bool = False


@click.command("apply")
@searching
@click.option("--yes", is_flag=True, help="Write every safe fix without asking.")
@click.option("--unsafe-fixes", is_flag=True, help="Offer the fixes that want a review, too.")
@click.option("--diff", is_flag=True, help="Print one diff for `git apply` and write nothing.")
def command(yes: bool, unsafe_fixes: bool, diff: bool, **options: Any) -> int:
    """Repair leaks in PATHS: asks fix by fix on a terminal, else prints the diff and writes nothing."""
    run = settings(**options)
    from leakfix import engine

    with progress("checking"):
        report = engine.check(run.paths, run.config, run.registry, run.jobs)
    if diff:
        printed = _print_diff(_repairs(run, report, _accepts(unsafe_fixes)))
        return exit_code(run.paths, report, printed)
    if yes:
        outcome = _write(_repairs(run, report, _accepts(unsafe_fixes)), report)
    elif can_ask():
        outcome = _write(_reviewed(run, report, unsafe_fixes), report)
    else:
        return _preview(run, report, unsafe_fixes)
    _summarise(outcome)
    _tidy(run, outcome)
    code = exit_code(run.paths, report, bool(outcome.remaining))
    return 2 if outcome.refused else code


def _accepts(unsafe_fixes: bool) -> Decide:
    return lambda finding, before, after: _is_offered(finding, unsafe_fixes)


def _is_offered(finding: Finding, unsafe_fixes: bool) -> bool:
    return finding.fix is not None and (unsafe_fixes or finding.fix.safety is Safety.SAFE)


def _repairs(run: Settings, report: Report, decide: Decide) -> list[FileRepair]:
    from leakfix import engine

    with progress("repairing"):
        repairs = engine.repair(report, decide)
        return [repair for repair in repairs if repair.applied]


def _reviewed(run: Settings, report: Report, unsafe_fixes: bool) -> list[FileRepair]:
    """Ask for every fix. Nothing is written before the last answer, so that Ctrl-C leaves all as it was."""
    from leakfix import engine
    from leakfix.report.text import rendered_finding
    from leakfix.review.prompt import Review

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    colour = has_colour(sys.stdout)
    review = Review(
        read=asked,
        describe=lambda finding, source: "".join(rendered_finding(finding, source, colour)),
        total=sum(_is_offered(finding, unsafe_fixes) for finding in report.findings),
        colour=colour,
    )

    def decide(finding: Finding, before: SourceFile, after: SourceFile) -> bool:
        return _is_offered(finding, unsafe_fixes) and review.accepts(finding, before, after)

    accepted = []
    for repair in engine.repair(report, decide):
        if repair.applied:
            accepted.append(repair)
        if review.ended:
            break
    return accepted


def _write(repairs: Iterable[FileRepair], report: Report) -> _Outcome:
    from leakfix.project.files import write_atomically

    outcome = _Outcome()
    written = {}
    for repair in repairs:
        try:
            write_atomically(repair.path, repair.before.raw, repair.after.raw)
        except OSError as error:
            complain("error", f"{repair.path}: not written: {error.strerror or error}")
            outcome.refused = True
        else:
            written[repair.path] = repair
            outcome.fixed += repair.applied
    outcome.remaining = [finding for finding in report.findings if finding.path not in written]
    outcome.remaining += [finding for repair in written.values() for finding in repair.remaining]
    outcome.remaining.sort(key=lambda finding: (finding.path, finding.line, finding.column))
    return outcome


def _print_diff(repairs: Iterable[FileRepair]) -> bool:
    """Write the diff as bytes, whatever the terminal's encoding; whether there was one."""
    from leakfix.project.files import NotWritten
    from leakfix.report.diff import patch

    printed = False
    for repair in repairs:
        try:
            text = patch(repair.path, repair.before, repair.after)
        except NotWritten as error:
            complain("error", f"{repair.path}: {error.strerror}")
            continue
        sys.stdout.flush()
        sys.stdout.buffer.write(text)
        printed = printed or bool(text)
    sys.stdout.buffer.flush()
    return printed


def _preview(run: Settings, report: Report, unsafe_fixes: bool) -> int:
    printed = _print_diff(_repairs(run, report, _accepts(unsafe_fixes)))
    if printed:
        complain("note", "nothing was written; --yes writes these fixes")
    _hint_at_reviews(report.findings, unsafe_fixes)
    return exit_code(run.paths, report, bool(report.findings))


def _hint_at_reviews(findings: Iterable[Finding], unsafe_fixes: bool) -> None:
    waiting = sum(finding.fix is not None and finding.fix.safety is Safety.REVIEW for finding in findings)
    if waiting and not unsafe_fixes:
        complain("note", f"{waiting} more with a fix that wants a review; --unsafe-fixes offers it")


def _summarise(outcome: _Outcome) -> None:
    from leakfix.report.text import fixed_line, remaining_lines, repair_summary

    colour = has_colour(sys.stdout)
    for finding in outcome.fixed:
        sys.stdout.write(fixed_line(finding, colour))
    for finding in outcome.remaining:
        sys.stdout.writelines(remaining_lines(finding, colour))
    sys.stdout.write(repair_summary(outcome.fixed, outcome.remaining))


def _tidy(run: Settings, outcome: _Outcome) -> None:
    """After a run that went well, remove what an interrupted one left behind."""
    from leakfix.project.discover import discover
    from leakfix.project.files import remove_stale

    if outcome.refused:
        return
    files = discover(run.paths, run.config).files
    folders = {os.path.dirname(file) for file in files} | {path for path in run.paths if os.path.isdir(path)}
    for text in remove_stale(folders):
        complain("warning", text)
