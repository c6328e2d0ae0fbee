"""Markdown for the summary of a CI job and for comments: what was found, each finding folded away with its path.

Code, paths and messages are shown as they are, whatever they hold: nothing in them is read as markup or mentions
anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from leakfix.finding import Finding, Safety
from leakfix.project.display import visible
from leakfix.report.text import notes, summary

if TYPE_CHECKING:
    from leakfix.result import Report
    from leakfix.source import SourceFile

LARGEST = 60_000
"""Characters: GitHub takes comments of 65,536, and summaries of a megabyte."""


def rendered(report: Report) -> Iterator[str]:
    """A heading, a table of the rules, and the findings rule by rule, as many as a comment holds."""
    yield f"## leakfix\n\n{plain(summary(report).strip())}\n"
    if report.findings:
        yield from _table(report)
    if report.errors:
        yield "\nNot looked at:\n\n"
        yield from (f"- {code(visible(error.path))}: {plain(error.message)}\n" for error in report.errors)
    room, left = LARGEST, len(report.findings)
    for rule, found in groupby(_by_rule(report), attrgetter("rule")):
        for number, finding in enumerate(found):
            told = "" if number else _headed(report, rule)
            told += "".join(_folded(finding, report.sources[finding.path]))
            if len(told) > room:
                yield f"\nAnd {left} more, which `leakfix check` tells.\n"
                return
            room, left = room - len(told), left - 1
            yield told


def _by_rule(report: Report) -> list[Finding]:
    return sorted(report.findings, key=attrgetter("rule"))


def _table(report: Report) -> Iterator[str]:
    yield "\n| rule | findings | with a safe fix |\n|---|--:|--:|\n"
    for rule, group in groupby(_by_rule(report), attrgetter("rule")):
        found = list(group)
        safe = sum(finding.fix is not None and finding.fix.safety is Safety.SAFE for finding in found)
        yield f"| {code(rule)} | {len(found)} | {safe} |\n"


def _headed(report: Report, rule: str) -> str:
    codemod = report.rules().get(rule)
    why = codemod.section("Why it hurts").replace("``", "`") if codemod else ""
    return f"\n### {code(rule)}\n" + (f"\n{why}\n" if why else "")


def _folded(finding: Finding, source: SourceFile) -> Iterator[str]:
    place = escape(visible(f"{finding.path}:{finding.line}"))
    message = escape(visible(finding.message)).replace("@", "&#64;")
    yield f"\n<details><summary><code>{place}</code> {finding.severity}: {message}</summary>\n\n"
    for step in finding.witness:
        yield f"1. line {step.line}: {plain(step.what)}\n"
    yield "\n"
    yield from (f"- {label}: {plain(text)}\n" for label, text in notes(finding))
    if finding.fix is not None:
        from leakfix.report.difference import rows

        changed = rows(source, source.edited(finding.fix.edits))
        lines = [f"@@ line {row.old} @@" if row.sign == "@" else f"{row.sign}{visible(row.text)}" for row in changed]
        yield "\n" + fenced("diff", lines) + "\n"
    yield "\n</details>\n"


def plain(text: str) -> str:
    """Text that means nothing to Markdown and mentions nobody."""
    shown = re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", escape(visible(text), quote=False))
    return shown.replace("@", "&#64;")


def code(text: str) -> str:
    """Text as code within a line, whatever backticks it holds."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def fenced(language: str, lines: list[str]) -> str:
    """Lines as a block of code, whatever backticks they hold."""
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])
