"""``leakfix check``: report."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from leakfix.cli.options import Settings, from_stdin, searching, settings
from leakfix.cli.outcome import exit_code
from leakfix.cli.output import Output, deliver, reporting, settled, spoken, written
from leakfix.cli.repeated import keep
from leakfix.cli.terminal import complain, complaint, progress
from leakfix.config import Config
from leakfix.project.files import read_file
from leakfix.report.formats import REPAIRING

if TYPE_CHECKING:
    from leakfix.result import Report

_COUNTED = ("text", "json")
"""Formats that --statistics knows."""


@click.command("check")
@searching
@from_stdin
@reporting
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even where something was found.")
@click.option(
    "--diff-base",
    metavar="REF",
    help="Report only what the changes since the merge base with REF brought, committed or not.",
)
@click.option("--statistics", is_flag=True, help="Tell how often each rule was found, and nothing else.")
@click.option("--show-settings", is_flag=True, help="Print what is configured for PATHS, and by whom; look at nothing.")
@click.option("--add-suppressions", is_flag=True, help="Allow all that is found, by comments in the files.")
@click.option("--reason", metavar="TEXT", help="With --add-suppressions: what these comments say.")
@click.option("--watch", is_flag=True, help="Check again whenever a file changes, until Ctrl-C.")
def command(
    output_format: tuple[Output, ...],
    output_file: str | None,
    exit_zero: bool,
    diff_base: str | None,
    statistics: bool,
    show_settings: bool,
    add_suppressions: bool,
    reason: str | None,
    watch: bool,
    **options: Any,
) -> int:
    """Report leaks in PATHS, by default in the working directory."""
    outputs = settled(output_format, output_file)
    if reason is not None and not (add_suppressions and reason.strip() and reason.isprintable()):
        raise click.UsageError("--reason goes with --add-suppressions and takes one line of text")
    if statistics and (len(outputs) > 1 or outputs[0].format not in _COUNTED):
        raise click.UsageError(f"--statistics goes with one --output-format, {' or '.join(_COUNTED)}")
    instead = {"--watch": watch, "--add-suppressions": add_suppressions, "--show-settings": show_settings}
    reports = bool(output_format) or output_file is not None or statistics
    _require_one([name for name, is_given in instead.items() if is_given], options["stdin_filename"], reports)
    if watch:
        return _watched(options)
    if add_suppressions:  # what is written is looked at again, for which no earlier run's answer will do
        options["no_cache"] = True
    run = settings(**options)
    if show_settings:
        return _show_settings(run)
    report = checked(run, outputs) if diff_base is None else _introduced(run, outputs, diff_base)
    if report is None:
        return 2
    if add_suppressions:
        from leakfix.cli.allowing import add_suppressions as allowed

        return max(allowed(report, (reason or "").strip()), exit_code(run.paths, report, False))
    fails = bool(report.findings or report.missed) and not exit_zero
    if statistics:
        is_delivered = _deliver_statistics(outputs[0], report)
    elif diff_base is None and [output.file for output in outputs] == [None]:
        return _say(run, outputs[0].format, report, fails)
    else:
        is_delivered = deliver(outputs, report)
    code = exit_code(run.named, report, fails)
    return code if is_delivered else 2


def _say(run: Settings, output_format: str, report: Report, fails: bool) -> int:
    """Report to stdout, and keep what was said for the same command line."""
    from leakfix.project.discover import unusable

    said = spoken(output_format, report)
    said.err = "".join(complaint("warning", f"{error.path}: {error.message}") for error in report.errors)
    said.code = 2 if (missing := unusable(run.named)) else int(fails)
    said.say(report.seconds)
    kept = None if missing or output_format in REPAIRING else run.kept
    if kept is not None and kept.snapshot is not None and not _asks_environment(run.config):
        keep(click.get_current_context().find_root().obj, said, kept.snapshot)
    return said.code


def _asks_environment(config: Config) -> bool:
    """Whether settings may build upon files that the environment's variables name."""
    files = config.nearest.files if config.nearest is not None else config.files
    try:
        return any(b"extend" in data and b"$" in data for data in map(read_file, files))
    except OSError:  # gone since it was read
        return True


def _require_one(given: list[str], stdin_filename: str | None, reports: bool) -> None:
    """Raise UsageError where what is done instead of one check does not go with other options."""
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} do not go together")
    if given and stdin_filename is not None:
        raise click.UsageError(f"{given[0]} looks at files, not at what comes from stdin")
    if given not in ([], ["--watch"]) and reports:
        raise click.UsageError(f"{given[0]} makes no report: it goes without --output-format, -file and --statistics")


def checked(run: Settings, outputs: Sequence[Output]) -> Report:
    """What an earlier run found, where that still holds and is enough to report; else what this one finds."""
    started = time.monotonic()
    kept = None if any(output.format in REPAIRING for output in outputs) else run.kept
    report = kept.answer() if kept is not None else None
    if report is not None:
        return replace(report, seconds=time.monotonic() - started, rules=lambda: run.registry.codemods)
    registry = run.registry
    from leakfix import engine

    with progress("checking"):
        return engine.check(run.paths, run.config, registry, run.jobs, run.evidence, kept, run.texts)


def _introduced(run: Settings, outputs: Sequence[Output], revision: str) -> Report | None:
    """What is new since a revision; None where git cannot tell, which is said."""
    from leakfix.cli.since import introduced, opened
    from leakfix.forge.repository import GitFailed

    try:
        with opened(revision) as since:
            return introduced(run, checked(run, outputs), since)
    except GitFailed as error:
        complain("error", f"--diff-base: {error}")
        return None


def _deliver_statistics(output: Output, report: Report) -> bool:
    from leakfix.report.statistics import dumped, rendered

    pieces = [dumped(report.findings), "\n"] if output.format == "json" else rendered(report.findings)
    if output.file is not None:
        return written(output.file, pieces)
    sys.stdout.writelines(pieces)
    return True


def _watched(options: dict[str, Any]) -> int:
    from leakfix.cli.watching import watch

    arguments = click.get_current_context().find_root().obj
    return watch(arguments[1:], options["paths"] or (".",), options["config_file"], options["isolated"])


def _show_settings(run: Settings) -> int:
    from leakfix.project.discover import displayed, unusable
    from leakfix.report.settings import shown

    missing = dict(unusable(run.paths))
    for path, reason in missing.items():
        complain("error", f"{path}: {reason}")
    for path in dict.fromkeys(map(displayed, run.paths)):
        if path not in missing:
            config = run.config.governing_folder(path) if os.path.isdir(path) else run.config.governing(path)
            run.registry.require_known(config)
            sys.stdout.writelines(shown(path, config, run.registry))
    return 2 if missing else 0
