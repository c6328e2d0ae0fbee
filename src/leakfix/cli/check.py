"""``leakfix check``: report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from leakfix.cli.options import Settings, from_stdin, searching, settings
from leakfix.cli.terminal import complain, has_colour, progress

if TYPE_CHECKING:
    from leakfix.result import Report


@click.command("check")
@searching
@from_stdin
@click.option(
    "--output-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to report.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even where something was found.")
def command(output_format: str, exit_zero: bool, **options: Any) -> int:
    """Report leaks in PATHS, by default in the working directory."""
    run = settings(**options)
    report = _checked(run)
    if output_format == "json":
        from leakfix.report.json import dumped

        sys.stdout.write(dumped(report) + "\n")
    else:
        from leakfix.report.text import rendered

        sys.stdout.writelines(rendered(report, has_colour(sys.stdout)))
    return exit_code(run.named, report, bool(report.findings or report.missed) and not exit_zero)


def _checked(run: Settings) -> Report:
    """What an earlier run found, where that still holds; else what this one finds."""
    started, kept = time.monotonic(), run.kept()
    report = kept.answer() if kept is not None else None
    if report is not None:
        return replace(report, seconds=time.monotonic() - started)
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
