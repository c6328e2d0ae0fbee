"""``leakfix report``: a check as a page to read and to share."""

from __future__ import annotations

from typing import Any

import click

from leakfix.cli.check import checked
from leakfix.cli.options import searching, settings
from leakfix.cli.outcome import exit_code
from leakfix.cli.output import STDOUT, Output, deliver, settled
from leakfix.cli.terminal import complain

DEFAULT = "leakfix-report.html"


@click.command("report")
@searching
@click.option("--html", is_flag=True, help="Write a page of HTML; the default.")
@click.option(
    "--output-file",
    type=click.Path(),
    default=DEFAULT,
    show_default=True,
    metavar="FILE",
    help="Where the page goes; - for stdout.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even where something was found.")
def command(html: bool, output_file: str, exit_zero: bool, **options: Any) -> int:
    """Write what a check of PATHS finds as one page: searchable, and readable without a network.

    Exit codes are those of `leakfix check`.
    """
    outputs = settled([Output("html")], output_file)
    run = settings(**options)
    report = checked(run, outputs)
    is_delivered = deliver(outputs, report)
    if is_delivered and output_file != STDOUT:
        number = len(report.findings)
        complain("note", f"{number} {'finding is' if number == 1 else 'findings are'} in {output_file}")
    code = exit_code(run.paths, report, bool(report.findings or report.missed) and not exit_zero)
    return code if is_delivered else 2
