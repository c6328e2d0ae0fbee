"""``leakfix pr``: repairs as pull requests."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from leakfix.cli.forging import forging, publishing
from leakfix.cli.options import choosing


@click.command("pr")
@choosing
@forging
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", help="How to tell what was done.")
def command(dry_run: bool, output_format: str, **options: Any) -> int:
    """Open, update and close pull requests with the repairs of the default branch.

    There is one for each rule and package. The token is taken from LEAKFIX_TOKEN, GITHUB_TOKEN, GH_TOKEN or
    GITLAB_TOKEN. Needs the extra "github" or "gitlab". Exits with 2 where something could not be done.
    """
    from leakfix.forge.tell import as_document, as_text

    outcome = publishing(dry_run=dry_run, **options)
    if outcome is None:
        return 2
    if output_format == "json":
        click.echo(json.dumps(as_document(outcome), indent=2))
    else:
        sys.stdout.writelines(as_text(outcome))
    return 2 if outcome.failed else 0
