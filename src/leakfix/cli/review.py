"""``leakfix review``: decide about findings on the whole screen."""

from __future__ import annotations

import gc
from typing import Any

import click

from leakfix.cli.options import searching, settings
from leakfix.cli.outcome import exit_code, summarise, tidy
from leakfix.cli.reviewing import carried_out, reviewing
from leakfix.cli.terminal import can_ask, complain, edited, progress
from leakfix.finding import Finding


@click.command("review")
@searching
@click.option("--again", is_flag=True, help="Forget the answers of an earlier review.")
@click.option("--fixable", is_flag=True, help="Show only findings with a fix.")
def command(again: bool, fixable: bool, **options: Any) -> int:
    """Look at the leaks in PATHS one by one, with their repairs, and decide which are written.

    q writes what was accepted; Ctrl-C writes nothing and keeps the answers for the next time. Needs the extra "tui":
    pip install 'leakfix[tui]'.
    """
    try:
        from leakfix.review.app import Ending, ReviewApp
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "textual":
            raise
        raise click.ClickException("needs Textual: pip install 'leakfix[tui]'; `leakfix apply` asks without") from error
    if not can_ask():
        raise click.ClickException("needs a terminal; `leakfix apply --yes` repairs without asking")
    run = settings(**options)
    from leakfix import engine
    from leakfix.report.text import rendered_finding

    with progress("checking"):
        report = engine.check(run.paths, run.config, run.registry, run.jobs, run.evidence)
    gc.freeze()
    gc.enable()  # a check goes without; a review is long

    def offers(finding: Finding) -> bool:
        return finding.fix is not None or not fixable

    if not any(map(offers, report.findings)):
        click.echo("Nothing to review: no leaks found.")
        return exit_code(run.paths, report, bool(report.findings))
    with reviewing(report, offers, again) as (review, journal):

        def ask() -> None:
            app = ReviewApp(review, lambda finding, source: "".join(rendered_finding(finding, source, True)), edited)
            if app.run() is not Ending.WRITE:
                complain("note", "nothing was written; the answers are kept")
                raise KeyboardInterrupt

        outcome = carried_out(run, report, review, journal, ask)
    summarise(outcome)
    tidy(run, outcome)
    code = exit_code(run.paths, report, bool(outcome.remaining))
    return 2 if outcome.refused else code
