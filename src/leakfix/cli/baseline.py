"""``leakfix baseline``: what is accepted for now."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from leakfix.cli.options import Settings, searching, settings
from leakfix.cli.outcome import exit_code
from leakfix.cli.terminal import complain, progress
from leakfix.config import Config
from leakfix.finding import Finding

if TYPE_CHECKING:
    from leakfix.project.baseline import Baseline
    from leakfix.result import Report


@click.group("baseline", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Accept what is found today, and see only what comes new.

    The accepted findings stand in a file beside the configuration, .leakfix-baseline.json, which is to be committed.
    Each is known again when lines move, and when its function or file gets another name but the leak stays as it is.
    """


@command.command("create")
@searching
@click.option("--force", is_flag=True, help="Replace a baseline that is there.")
def create(force: bool, **options: Any) -> int:
    """Accept all that is found in PATHS."""
    from leakfix.project.baseline import Baseline, by_baseline

    run = settings(**options)
    report = _checked(run, _without_baseline(run.config))
    groups = by_baseline(run.config, report.findings, read=not force)
    there = [baseline.file for baseline, _ in groups if os.path.lexists(baseline.file)]
    if there and not force:
        complain(
            "error", f"{_shown(there[0])} is there already; `leakfix baseline add` adds to it, --force replaces it"
        )
        return 2
    for baseline, findings in groups:
        _write(Baseline(baseline.file, {}).with_findings(findings, report.sources), f"{_counted(findings)} accepted")
    if groups:
        click.echo(f"Commit {'this file' if len(groups) == 1 else 'these files'}, so that CI and others know of it.")
    else:
        click.echo("No leaks found: there is nothing to accept.")
    return exit_code(run.paths, report, False)


@command.command("add")
@searching
def add(**options: Any) -> int:
    """Accept what is found in PATHS and not accepted yet."""
    from leakfix.project.baseline import by_baseline

    run = settings(**options)
    report = _checked(run, run.config)
    for baseline, findings in by_baseline(run.config, report.findings):
        _write(baseline.with_findings(findings, report.sources), f"{_counted(findings)} added")
    if not report.findings:
        click.echo("Nothing to add: all that is found is accepted already.")
    return exit_code(run.paths, report, False)


@command.command("prune")
@searching
def prune(**options: Any) -> int:
    """Forget what is no longer found in PATHS, and learn new names of functions and files.

    What lies outside PATHS, could not be parsed or is of a rule that does not run stays.
    """
    run = settings(**options)
    report = _checked(run, _without_baseline(run.config))
    baselines, files = _baselines(run)
    broken = {error.path for error in report.errors}
    changed = False
    for baseline in baselines:
        pruned = _pruned(run, baseline, report, files - broken)
        if pruned.entries != baseline.entries:
            changed = True
            _write(pruned, f"{len(baseline.entries) - len(pruned.entries)} removed, {len(pruned.entries)} left")
    if not changed:
        click.echo("Nothing to remove.")
    return exit_code(run.paths, report, False)


@command.command("show")
@searching
def show(**options: Any) -> int:
    """List what is accepted, of the files in PATHS and of files that are gone."""
    from leakfix.project.display import visible

    run = settings(**options)
    baselines, files = _baselines(run)
    for baseline in baselines:
        for entry in sorted(
            baseline.entries.values(), key=lambda entry: (entry.get("path", ""), entry.get("rule", ""))
        ):
            path = _place(baseline, entry)
            if path in files or not os.path.lexists(path):
                gone = "" if os.path.lexists(path) else "  (the file is gone)"
                sys.stdout.write(visible(f"{path}: {entry.get('rule')} in {entry.get('function')}{gone}") + "\n")
    return 0


def _checked(run: Settings, config: Config) -> Report:
    from leakfix import engine

    with progress("checking"):
        return engine.check(run.paths, config, run.registry, run.jobs, run.evidence)


def _without_baseline(config: Config) -> Config:
    return config.changed(lambda each: replace(each, baseline=None))


def _baselines(run: Settings) -> tuple[list[Baseline], set[str]]:
    """The baselines of all files in PATHS and of the working directory, and these files."""
    from leakfix.project.baseline import Baseline
    from leakfix.project.discover import discover

    files = discover(run.paths, run.config).files
    found = {os.path.abspath(b.file): b for b in map(Baseline.of, {id(c): c for c in _configs(run, files)}.values())}
    return [found[file] for file in sorted(found)], set(files)


def _configs(run: Settings, files: Iterable[str]) -> Iterable[Config]:
    yield run.config
    for file in files:
        yield run.config.governing_folder(file.rpartition("/")[0])


def _pruned(run: Settings, baseline: Baseline, report: Report, files: set[str]) -> Baseline:
    kept = {name: entry for name, entry in baseline.entries.items() if not _was_looked_at(run, baseline, entry, files)}
    for path, source in report.sources.items():
        mine = [finding for finding in report.findings if finding.path == path]
        pairs = [(finding, name) for finding, name in baseline.matched(mine, source) if name is not None]
        for finding, name in pairs:
            kept.pop(name, None)
            kept[finding.fingerprint] = baseline.entry_of(finding, source)
    return replace(baseline, entries=kept)


def _was_looked_at(run: Settings, baseline: Baseline, entry: Mapping[str, str], files: set[str]) -> bool:
    """Whether an entry would have been found again, were it there."""
    path = _place(baseline, entry)
    codemod = run.registry.codemods.get(entry.get("rule", ""))
    if codemod is not None and not run.config.governing(path).selected(codemod.name, codemod.category):
        return False
    return path in files or not os.path.lexists(path)


def _place(baseline: Baseline, entry: Mapping[str, str]) -> str:
    """The path of an entry's file, from the working directory."""
    from leakfix.project.discover import displayed

    return displayed(os.path.join(os.path.dirname(baseline.file), entry.get("path", "")))


def _write(baseline: Baseline, what: str) -> None:
    baseline.write()
    click.echo(f"{_shown(baseline.file)}: {what}.")


def _shown(file: str) -> str:
    from leakfix.project.discover import displayed

    return displayed(file)


def _counted(findings: list[Finding]) -> str:
    return f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
