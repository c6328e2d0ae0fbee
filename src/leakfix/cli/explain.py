"""``leakfix explain``: one rule, in full."""

from __future__ import annotations

import os
import sys

import click

from leakfix.cli.options import complete_rule, registry_for
from leakfix.config import ConfigError, load, nearest_rule
from leakfix.registry import Codemod
from leakfix.report.style import has_colour


@click.command("explain")
@click.argument("rule", shell_complete=complete_rule)
@click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Read this configuration.")
def command(rule: str, config_file: str | None) -> int:
    """Tell what RULE is about: what leaks, why it hurts, how it is repaired, when it is left alone."""
    codemods = registry_for(load(config_file)).codemods
    if rule not in codemods:
        raise ConfigError(f"there is no rule {rule!r}{nearest_rule(rule, codemods)}")
    sys.stdout.write(_explained(codemods[rule], has_colour(sys.stdout)))
    return 0


def _explained(codemod: Codemod, colour: bool) -> str:
    name = click.style(codemod.name, bold=True) if colour else codemod.name
    pieces = [f"{name} ({codemod.category})", codemod.docstring, f"Repair: {codemod.repairs}"]
    example = _example(codemod)
    if example:
        pieces.append(f"Example\n-------\n{example}")
    if codemod.options:
        pieces.append(f"Options: {', '.join(codemod.options)}; `leakfix config KEY` tells what one means")
    pieces.append(f"Allow it on a line with `# leakfix: allow[{codemod.name}] reason`.")
    return "\n\n".join(piece.rstrip("\n") for piece in pieces) + "\n"


def _example(codemod: Codemod) -> str:
    """The difference between the codemod's example before and after, where its fixtures are at hand."""
    from leakfix.project.discover import SUFFIXES

    for suffix in SUFFIXES if codemod.examples is not None else ():
        before, after = (_content(codemod.examples, f"example.{state}{suffix}") for state in ("before", "after"))
        if before and after:
            return _difference(f"example{suffix}", before, after)
    return ""


def _difference(name: str, before: bytes, after: bytes) -> str:
    """What changes, with all that stays; the example itself where there is no repair."""
    from leakfix.source import unified_diff

    if before == after:
        return before.decode("utf-8", "replace")
    lines = unified_diff(name, before, after, context=1000).decode("utf-8", "replace").split("\n")
    return "\n".join(lines[3:])


def _content(folder: str | None, name: str) -> bytes:
    try:
        with open(os.path.join(folder or "", name), "rb") as stream:
            return stream.read()
    except OSError:
        return b""
