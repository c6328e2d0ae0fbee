"""``leakfix rules``: what there is."""

from __future__ import annotations

import sys

import click

from leakfix.cli.options import registry_for
from leakfix.config import load
from leakfix.report.style import has_colour


@click.command("rules")
@click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Read this configuration.")
def command(config_file: str | None) -> int:
    """List every rule: its name, its category, what its repair does."""
    from leakfix.project.display import visible

    codemods = registry_for(load(config_file)).codemods.values()
    width = max((len(codemod.name) for codemod in codemods), default=0)
    widest = max((len(codemod.category) for codemod in codemods), default=0)
    bold = has_colour(sys.stdout)
    for codemod in codemods:
        name = click.style(f"{codemod.name:<{width}}", bold=True) if bold else f"{codemod.name:<{width}}"
        sys.stdout.write(f"{name}  {codemod.category:<{widest}}  {visible(codemod.repairs)}\n")
    return 0
