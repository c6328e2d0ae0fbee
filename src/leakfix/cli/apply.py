"""``leakfix apply``: repair."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from leakfix.cli.branch import commit_to
from leakfix.cli.options import Settings, from_stdin, searching, settings
from leakfix.cli.outcome import Outcome, exit_code, in_order, summarise, tidy
from leakfix.cli.reviewing import carried_out, reviewing
from leakfix.cli.terminal import Keyboard, can_ask, complain, progress
from leakfix.finding import Finding, Safety
from leakfix.report.style import has_colour
from leakfix.source import SourceFile

if TYPE_CHECKING:
    from leakfix.result import FileRepair, Report

Decide = Callable[[Finding, SourceFile, SourceFile], bool]


@click.command("apply")
@searching
@from_stdin
@click.option("--yes", is_flag=True, help="Write every safe fix without asking.")
@click.option("--unsafe-fixes", is_flag=True, help="Offer the fixes that want a review, too.")
@click.option("--diff", is_flag=True, help="Print one diff for `git apply` and write nothing.")
@click.option("--again", is_flag=True, help="Forget the answers of an earlier review.")
@click.option(
    "--verify-build",
    is_flag=True,
    help="With --yes or --diff: leave Go packages alone that no longer build or vet.",
)
@click.option("--branch", metavar="NAME", help="Commit the fixes to a new branch; see `leakfix branch --help`.")
def command(
    yes: bool, unsafe_fixes: bool, diff: bool, again: bool, verify_build: bool, branch: str | None, **options: Any
) -> int:
    """Repair leaks in PATHS: asks fix by fix on a terminal, else prints the diff and writes nothing."""
    if branch is not None:
        if yes or diff or again or verify_build:
            raise click.UsageError("--branch goes with --unsafe-fixes alone: it writes no file and asks nothing")
        if options.pop("stdin_filename") is not None:
            raise click.UsageError("--stdin-filename goes with --diff: what comes from stdin is in no branch")
        return commit_to(branch, "HEAD", unsafe_fixes, split=False, force=False, options=options)
    if options["stdin_filename"] is not None and (not diff or verify_build):
        raise click.UsageError("--stdin-filename goes with --diff: what comes from stdin is no file to be written")
    if verify_build:
        _require_build(yes or diff)
    run = settings(**options)
    from leakfix import engine

    with progress("checking"):
        report = engine.check(run.paths, run.config, run.registry, run.jobs, run.evidence, texts=run.texts)
    if diff:
        repairs = _repairs(run, report, _accepts(unsafe_fixes))
        printed = _print_diff(_building(repairs, lambda path, why: complain("error", f"{path}: {why}"), verify_build))
        return exit_code(run.named, report, printed)
    if yes:
        outcome = Outcome()
        repairs = _repairs(run, report, _accepts(unsafe_fixes))
        _write(_building(repairs, outcome.refuse, verify_build), report, outcome)
    elif can_ask():
        outcome = _reviewed(run, report, unsafe_fixes, again)
    else:
        return _preview(run, report, unsafe_fixes)
    summarise(outcome)
    tidy(run, outcome)
    code = exit_code(run.paths, report, bool(outcome.remaining))
    return 2 if outcome.refused else code


def _require_build(is_meant: bool) -> None:
    from leakfix.project import gotoolchain

    if not is_meant:
        raise click.UsageError("--verify-build goes with --yes or --diff")
    if not gotoolchain.can_build():
        raise click.UsageError("--verify-build needs the go command, which is not in PATH")


def _building(repairs: list[FileRepair], refuse: Callable[[str, str], None], verify: bool) -> list[FileRepair]:
    """The repairs without those of Go packages that would not build; ``refuse`` is told each file and why."""
    if not verify:
        return repairs
    from leakfix.project import gotoolchain

    with progress("building"):
        failed = gotoolchain.failures({item.path: item.after.raw for item in repairs if item.path.endswith(".go")})
    for item in repairs:
        if item.path.endswith(".go") and os.path.dirname(item.path) in failed:
            refuse(item.path, f"not repaired: {failed[os.path.dirname(item.path)]}")
    return [item for item in repairs if not item.path.endswith(".go") or os.path.dirname(item.path) not in failed]


def _accepts(unsafe_fixes: bool) -> Decide:
    return lambda finding, before, after: _is_offered(finding, unsafe_fixes)


def _is_offered(finding: Finding, unsafe_fixes: bool) -> bool:
    return finding.fix is not None and (unsafe_fixes or finding.fix.safety is Safety.SAFE)


def _repairs(run: Settings, report: Report, decide: Decide) -> list[FileRepair]:
    from leakfix import engine
    from leakfix.report.diff import changed

    with progress("repairing"):
        return changed(engine.repair(report, decide))


def _reviewed(run: Settings, report: Report, unsafe_fixes: bool, again: bool) -> Outcome:
    """Ask for every fix. Nothing is written before the last answer, so that Ctrl-C leaves all as it was."""
    from rich.console import Console

    from leakfix.report.text import rendered_finding
    from leakfix.review.prompt import Prompt

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    colour = has_colour(sys.stdout)

    def offers(finding: Finding) -> bool:
        return _is_offered(finding, unsafe_fixes)

    with reviewing(report, offers, again) as (review, journal), Keyboard() as keyboard:
        prompt = Prompt(
            review,
            keyboard,
            lambda finding, source: "".join(rendered_finding(finding, source, colour)),
            Console(no_color=not colour, highlight=False),
        )
        return carried_out(run, report, review, journal, prompt.run)


def _write(repairs: Iterable[FileRepair], report: Report, outcome: Outcome) -> None:
    from leakfix.project.files import write_atomically

    written = {}
    for repair in repairs:
        try:
            write_atomically(repair.path, repair.before.raw, repair.after.raw)
        except OSError as error:
            outcome.refuse(repair.path, f"not written: {error.strerror or error}")
        else:
            written[repair.path] = repair
            outcome.fixed += repair.applied
    left = [finding for finding in report.findings if finding.path not in written]
    left += [finding for repair in written.values() for finding in repair.remaining]
    outcome.remaining = in_order(left)


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
