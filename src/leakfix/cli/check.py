"""``leakfix check``: report."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from leakfix.cli.options import Settings, searching, settings
from leakfix.cli.terminal import complain, has_colour, progress

if TYPE_CHECKING:
    from leakfix.result import Report


@click.command("check")
@searching
@click.option(
    "--output-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to report.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even where something was found.")
@click.option("--show-settings", is_flag=True, help="Print what is configured for PATHS, and by whom; look at nothing.")
@click.option(
    "--diff-base",
    metavar="REF",
    help="Report only what the changes since the merge base with REF brought, committed or not.",
)
def command(output_format: str, exit_zero: bool, show_settings: bool, diff_base: str | None, **options: Any) -> int:
    """Report leaks in PATHS, by default in the working directory."""
    run = settings(**options)
    if show_settings:
        return _show_settings(run)
    if diff_base is None:
        report = _checked(run)
    else:
        from leakfix.cli.since import introduced, opened
        from leakfix.forge.repository import GitFailed

        try:
            with opened(diff_base) as since:
                report = introduced(run, _checked(run), since)
        except GitFailed as error:
            complain("error", f"--diff-base: {error}")
            return 2
    if output_format == "json":
        from leakfix.report.json import dumped

        sys.stdout.write(dumped(report) + "\n")
    else:
        from leakfix.report.text import rendered

        sys.stdout.writelines(rendered(report, has_colour(sys.stdout)))
    return exit_code(run.paths, report, bool(report.findings or report.missed) and not exit_zero)


def _checked(run: Settings) -> Report:
    """What an earlier run found, where that still holds; else what this one finds."""
    started, kept = time.monotonic(), run.kept()
    report = kept.answer() if kept is not None else None
    if report is not None:
        return replace(report, seconds=time.monotonic() - started)
    registry = run.registry
    from leakfix import engine

    with progress("checking"):
        return engine.check(run.paths, run.config, registry, run.jobs, run.evidence, kept)


def _show_settings(run: Settings) -> int:
    from leakfix.project.discover import displayed, unusable
    from leakfix.report.settings import shown

    unusable_paths = unusable(run.paths)
    for path, reason in unusable_paths:
        complain("error", f"{path}: {reason}")
    for path in dict.fromkeys(map(displayed, run.paths)):
        if path not in dict(unusable_paths):
            config = run.config.governing_folder(path) if os.path.isdir(path) else run.config.governing(path)
            run.registry.require_known(config)
            sys.stdout.writelines(shown(path, config, run.registry))
    return 2 if unusable_paths else 0


def exit_code(paths: Sequence[str], report: Report, remaining: bool) -> int:
    """Tell what could not be looked at; 2 where that was named on the command line, else 1 or 0."""
    from leakfix.project.discover import unusable

    for error in report.errors:
        complain("warning", f"{error.path}: {error.message}")
    if unusable(paths):
        return 2
    return 1 if remaining else 0
