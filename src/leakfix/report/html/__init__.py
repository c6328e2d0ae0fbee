"""The report as one page: nothing is loaded from anywhere, and everything is there without its script.

Text of the checked project is escaped, and the page's own policy allows no other script or style than the two that
stand in it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib import resources
from itertools import groupby
from operator import attrgetter
from string import Template
from typing import TYPE_CHECKING

from leakfix import __version__
from leakfix.finding import Acceptance, Finding, Severity
from leakfix.project.display import encodable, visible
from leakfix.report.html.code import Listing
from leakfix.report.html.finding import article, fix_of, folder_of
from leakfix.report.text import count, none_found, noun_for, summary
from leakfix.runtime.evidence import fate

if TYPE_CHECKING:
    from leakfix.result import Report

_FINDINGS = "<!-- findings -->"
_CATEGORIES = ("leak", "growth", "advice")
_FIXES = {"safe": "with a safe fix", "review": "with a fix to review", "none": "without a fix"}


def rendered(report: Report) -> Iterator[str]:
    """The page, piece by piece."""
    style, script = _asset("style.css"), _asset("script.js")
    policy = f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    page = Template(_asset("page.html")).substitute(
        policy=f"{policy}; base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        title=f"leakfix: {count(len(report.findings), noun_for(report.findings))}",
        told=_text(summary(report).strip()),
        figures="".join(_figures(report)),
        controls="".join(_controls(report.findings)),
        rules="".join(_contents(report.findings)),
        rest="".join(_rest(report)),
        version=__version__,
    )
    head, _, foot = page.partition(_FINDINGS)
    yield head
    yield from _groups(report)
    yield foot


def _asset(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _figures(report: Report) -> Iterator[str]:
    found = report.findings
    fixes = {name: sum(fix_of(finding) == name for finding in found) for name in _FIXES}
    accepted = {how: sum(finding.accepted is how for finding in report.accepted) for how in Acceptance}
    figures = [
        ("", len(found), noun_for(found) if len(found) == 1 else noun_for(found) + "s"),
        *((severity, sum(one.severity is severity for one in found), f"{severity}s") for severity in Severity),
        *((f"fix-{name}", number, _FIXES[name]) for name, number in fixes.items()),
        ("", accepted[Acceptance.COMMENT], "allowed by a comment"),
        ("", accepted[Acceptance.BASELINE], "in the baseline"),
        ("", accepted[Acceptance.BEFORE], "there before the changes"),
        ("", report.files, "files looked at"),
    ]
    for place, (style, number, label) in enumerate(figures):
        if number or place == 0:
            yield f'<div class="{style}"><dt>{label}</dt><dd>{number:,}</dd></div>'


def _controls(findings: Sequence[Finding]) -> Iterator[str]:
    """A choice for each way to narrow the findings down, where there is more than one."""
    folders = sorted({encodable(folder_of(finding)) for finding in findings})
    fixes = {fix_of(finding) for finding in findings}
    categories = {str(finding.category) for finding in findings}
    yield from _choice("rule", "Rule", [(rule, rule) for rule in sorted({finding.rule for finding in findings})])
    yield from _choice("category", "Category", [(name, name) for name in _CATEGORIES if name in categories])
    yield from _choice("fix", "Fix", [(name, text) for name, text in _FIXES.items() if name in fixes])
    yield from _choice("folder", "Folder", [(folder, visible(folder)) for folder in folders])


def _choice(name: str, label: str, options: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f'<label>{label}<select name="{name}"><option value="">all</option>'
    yield from (f'<option value="{escape(value)}">{escape(text)}</option>' for value, text in options)
    yield "</select></label>"


def _contents(findings: Sequence[Finding]) -> Iterator[str]:
    """The rules with their share of the findings."""
    most = max((len(found) for _, found in _by_rule(findings)), default=1)
    for rule, found in _by_rule(findings):
        link = f'<a href="#{_anchor(rule)}"><span>{_text(rule)}</span> <b>{len(found):,}</b></a>'
        yield f"<li>{link}{_bar(max(1, 100 * len(found) // most))}</li>"


def _bar(percent: int) -> str:
    box = 'viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"'
    return f'<svg {box}><rect width="{percent}" height="4"/></svg>'


def _by_rule(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    """The findings of each rule, the commonest first, in the order of files and lines."""
    ordered = sorted(findings, key=attrgetter("rule", "path", "line", "column"))
    groups = [(rule, list(found)) for rule, found in groupby(ordered, attrgetter("rule"))]
    return sorted(groups, key=lambda group: -len(group[1]))


def _anchor(rule: str) -> str:
    return "r-" + re.sub(r"[^a-z0-9-]", "-", rule.lower())


def _groups(report: Report) -> Iterator[str]:
    """The findings by rule and folder."""
    listings = {path: Listing(source) for path, source in report.sources.items()}
    for rule, found in _by_rule(report.findings):
        yield f'<section class="rule" aria-labelledby="{_anchor(rule)}">'
        yield from _headed(report, rule, len(found))
        for folder, inside in groupby(found, folder_of):
            yield f'<section class="folder"><h3>{_text(folder)}/</h3>'
            for finding in inside:
                yield from article(finding, report.sources[finding.path], listings[finding.path])
            yield "</section>"
        yield "</section>"


def _headed(report: Report, rule: str, number: int) -> Iterator[str]:
    """The rule in its codemod's words."""
    yield f'<header><h2 id="{_anchor(rule)}" tabindex="-1">{_text(rule)} <span class="badge">{number:,}</span></h2>'
    codemod = report.rules().get(rule)
    if codemod is not None:
        yield f"<p>{_prose(codemod.docstring.strip().split(chr(10))[0])}</p>"
        sections = [(name, codemod.section(name)) for name in ("Why it hurts", "How it is repaired")]
        for name, text in sections:
            if text:
                yield f"<details open><summary>{name}</summary>{_paragraphs(text)}</details>"
    yield "</header>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_prose(part)}</p>" for part in re.split(r"\n\s*\n", text))


def _prose(text: str) -> str:
    """Prose of a docstring, its ``code`` as such."""
    return re.sub(r"``(.+?)``", r"<code>\1</code>", " ".join(_text(line) for line in text.split("\n")))


def _rest(report: Report) -> Iterator[str]:
    """What a run showed and the analysis did not find, and what could not be looked at."""
    if report.missed:
        yield '<section class="rest"><h2>Seen at run time, not found by analysis</h2><ul>'
        for seen in report.missed:
            yield f"<li><code>{_text(f'{seen.path}:{seen.line}')}</code> {_text(fate(seen))}</li>"
        yield "</ul></section>"
    if report.errors:
        yield '<section class="rest"><h2>Not looked at</h2><ul>'
        yield from (f"<li><code>{_text(one.path)}</code> {_text(one.message)}</li>" for one in report.errors)
        yield "</ul></section>"
    if not report.findings and not report.missed:
        yield f'<p class="clean">{_text(none_found(report))}.</p>'


def _text(text: str) -> str:
    return escape(visible(text))
