"""``leakfix run``: any program, watched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from leakfix.cli.options import registry_for
from leakfix.cli.terminal import complain
from leakfix.config import Config, load
from leakfix.project.display import visible

CANNOT_RUN = 127
"""What shells answer where a command is not found."""

CANNOT_REPORT = 2


@click.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command_line", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option("--report", type=click.Path(dir_okay=False), metavar="FILE", help="Write what was seen as JSON.")
@click.option("--hold", is_flag=True, help="Keep what is acquired alive to the end, as exceptions do that are kept.")
@click.option("--package", "packages", multiple=True, metavar="NAME", help="An installed package of the project's own.")
@click.option("--fail", is_flag=True, help="Exit with 1 where the program succeeds but leaves something open.")
@click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Read this configuration.")
def command(
    command_line: Sequence[str],
    report: str | None,
    hold: bool,
    packages: tuple[str, ...],
    fail: bool,
    config_file: str | None,
) -> int:
    """Run COMMAND and tell what its Python processes acquire and do not release, by acquiring line.

    It is told on stderr when COMMAND ends, and at any time on SIGUSR1. The exit code is COMMAND's own. Interpreters
    that ignore PYTHONPATH (python -I, -E) are not watched.
    """
    from leakfix.proof.launcher import CannotRun, watched
    from leakfix.runtime.evidence import dumped, told

    table = registry_for(_configuration(config_file)).table
    try:
        ended = watched(command_line, table, packages=packages, hold=hold)
    except CannotRun as error:
        complain("error", str(error))
        return CANNOT_RUN
    if ended.silent:
        complain("warning", f"{ended.silent} processes were killed or replaced, and could not tell what they held")
    for text in ended.unwatched:
        complain("warning", text)
    if not ended.evidence.processes and not ended.silent:
        complain("warning", "no Python process could be watched; those that ignore PYTHONPATH cannot")
    lines = "".join(told(ended.evidence, command_line[0])).splitlines()
    click.echo("\n".join(visible(line) for line in lines), err=True)
    if report is not None:
        try:
            Path(report).write_text(dumped(ended.evidence) + "\n", encoding="utf-8")
        except OSError as error:
            complain("error", f"{report}: {error.strerror or error}")
            return ended.code or CANNOT_REPORT
    return 1 if fail and not ended.code and ended.evidence.unreleased else ended.code


def _configuration(named: str | None) -> Config:
    """What is configured; the program runs in a working directory that was removed as well."""
    try:
        return load(named)
    except FileNotFoundError:
        return Config()
