"""``leakfix prove``: the leak before, the leak after."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from leakfix.cli.options import choosing, settings
from leakfix.cli.run import CANNOT_RUN
from leakfix.cli.terminal import complain

_HOUR = 3600.0


@click.command("prove", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@choosing
@click.argument("command_line", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option("--unsafe-fixes", is_flag=True, help="Apply the fixes that want a review, too.")
@click.option("--timeout", type=click.FloatRange(1), default=_HOUR, metavar="SECONDS", help="End a longer run.")
@click.option(
    "--output-format",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="How to tell.",
)
def command(command_line: Sequence[str], unsafe_fixes: bool, timeout: float, output_format: str, **options: Any) -> int:
    """Run COMMAND, tests or a load, on two copies of the project: as it is and repaired. Compare.

    Both runs are watched. A last line of output that is a JSON object of numbers becomes rows of the table; the rest
    of the output, or what pytest says of each test, must be equal. Exits with 1 where it is not, or nothing got better.
    """
    run = settings((), **options)
    from leakfix.proof.launcher import CannotRun
    from leakfix.proof.prove import prove
    from leakfix.report import proof as report

    def tell(text: str) -> None:
        complain("note", text)

    try:
        found = prove(command_line, run.config, run.registry, unsafe_fixes=unsafe_fixes, timeout=timeout, tell=tell)
    except CannotRun as error:
        complain("error", str(error))
        return CANNOT_RUN
    if output_format == "json":
        sys.stdout.write(report.dumped(found) + "\n")
    else:
        sys.stdout.writelines((report.markdown if output_format == "markdown" else report.rendered)(found))
    return 0 if found.holds else 1
