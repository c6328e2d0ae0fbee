"""``leakfix check``: report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from leakfix.cli.options import Settings, from_stdin, searching, settings
from leakfix.cli.output import Output, deliver, reporting, settled
from leakfix.cli.terminal import complain, progress
from leakfix.report.formats import REPAIRING

if TYPE_CHECKING:
    from leakfix.result import Report


@click.command("check")
@searching
@from_stdin
@reporting
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even where something was found.")
def command(output_format: tuple[Output, ...], output_file: str | None, exit_zero: bool, **options: Any) -> int:
    """Report leaks in PATHS, by default in the working directory."""
    outputs = settled(output_format, output_file)
    run = settings(**options)
    report = checked(run, outputs)
    is_delivered = deliver(outputs, report)
    code = exit_code(run.named, report, bool(report.findings or report.missed) and not exit_zero)
    return code if is_delivered else 2


def checked(run: Settings, outputs: Sequence[Output]) -> Report:
    """What an earlier run found, where that still holds and is enough to report; else what this one finds."""
    started = time.monotonic()
    kept = None if any(output.format in REPAIRING for output in outputs) else run.kept()
    report = kept.answer() if kept is not None else None
    if report is not None:
        return replace(report, seconds=time.monotonic() - started, rules=lambda: run.registry.codemods)
    registry = run.registry
    from leakfix import engine

    with progress("checking"):
        return engine.check(run.paths, run.config, registry, run.jobs, run.evidence, kept, run.texts)


def exit_code(paths: Sequence[str], report: Report, remaining: bool) -> int:
    """Tell what could not be looked at; 2 where that was named on the command line, else 1 or 0."""
    from leakfix.project.discover import unusable

    for error in report.errors:
        complain("warning", f"{error.path}: {error.message}")
    if unusable(paths):
        return 2
    return 1 if remaining else 0
