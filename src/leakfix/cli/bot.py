"""``leakfix bot``: what a scheduled job needs, in one call that asks nothing."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from leakfix.cli.forging import forging, publishing
from leakfix.cli.options import choosing


@click.command("bot")
@choosing
@forging
@click.option("--summary", metavar="FILE", help="Append a summary in Markdown.  [default: $GITHUB_STEP_SUMMARY]")
def command(summary: str | None, **options: Any) -> int:
    """Check the default branch, and open, update and close pull requests within the limits.

    Like `leakfix pr`, and made for a scheduled job: in GitHub Actions and GitLab CI it knows the repository from the
    job's variables. Findings are no failure; exits with 2 where something could not be done.
    """
    from leakfix.forge.tell import as_markdown, as_text

    outcome = publishing(dry_run=False, from_job=True, **options)
    if outcome is None:
        return 2
    sys.stdout.writelines(as_text(outcome))
    file = summary or os.environ.get("GITHUB_STEP_SUMMARY")
    if file:
        with open(file, "a", encoding="utf-8") as stream:
            stream.writelines(as_markdown(outcome))
    return 2 if outcome.failed else 0
