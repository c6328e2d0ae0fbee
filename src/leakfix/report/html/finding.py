"""One finding as markup: where it is, its path through the code, and its repair or why there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape

from leakfix.finding import Finding, Safety
from leakfix.project.display import encodable, visible
from leakfix.report.difference import Row, rows
from leakfix.report.html.code import Listing, highlighted, marked_up
from leakfix.report.html.path import drawn
from leakfix.report.text import notes
from leakfix.source import SourceFile

_FIXES = {"safe": "safe fix", "review": "fix to review", "none": "no fix"}


def folder_of(finding: Finding) -> str:
    """The folder a finding is in, "." for the working directory."""
    return os.path.dirname(finding.path) or "."


def fix_of(finding: Finding) -> str:
    """What fix a finding has: safe, review or none."""
    return str(finding.fix.safety) if finding.fix else "none"


def article(finding: Finding, source: SourceFile, listing: Listing) -> Iterator[str]:
    """The finding, folded open."""
    fix = fix_of(finding)
    data = {
        "rule": finding.rule,
        "category": str(finding.category),
        "fix": fix,
        "folder": encodable(folder_of(finding)),
    }
    listed = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    yield f'<article class="finding" id="f-{escape(finding.fingerprint)}"{listed}><details open><summary>'
    yield f'<span class="badge {finding.severity}">{finding.severity}</span>'
    yield f'<h4>{_name(finding)}<span class="line">:{finding.line}</span></h4>'
    yield f'<span class="badge fix-{fix}">{_FIXES[fix]}</span>'
    yield f'<span class="message">{_text(finding.message)}</span></summary><div class="body">'
    if finding.function != "<module>":
        yield f'<p class="where">in <code>{_text(finding.function)}</code></p>'
    yield from drawn(finding, listing)
    yield from _notes(finding)
    if finding.fix is not None:
        yield from _change(finding, source, listing)
    yield "</div></details></article>"


def _name(finding: Finding) -> str:
    folder, _, name = finding.path.rpartition("/")
    return f'<span class="dim">{_text(folder)}/</span>{_text(name)}' if folder else _text(name)


def _notes(finding: Finding) -> Iterator[str]:
    yield '<dl class="notes">'
    yield from (f"<div><dt>{_text(label)}</dt><dd>{_text(text)}</dd></div>" for label, text in notes(finding))
    yield "</dl>"


def _change(finding: Finding, source: SourceFile, listing: Listing) -> Iterator[str]:
    """The repair, line by line; what stays and what goes keeps the colours it has in the whole file."""
    assert finding.fix is not None
    found = list(rows(source, source.edited(finding.fix.edits)))
    coming = [row for row in found if row.sign in "+ "]
    texts = highlighted("\n".join(row.text for row in coming), source.path)
    new = {row.new: marked_up(text) for row, text in zip(coming, texts, strict=False)}
    title = "What the fix changes" if finding.fix.safety is Safety.SAFE else "What the fix would change"
    yield f'<h5>{title}</h5><div class="diff">'
    for row in found:
        yield _changed(row, new.get(row.new, "") if row.sign == "+" else listing.line(row.old))
    yield "</div>"


def _changed(row: Row, code: str) -> str:
    if row.sign == "@":
        return f'<div class="row at"><span class="no">⋯</span><span class="what">line {row.old}</span></div>'
    kind = {"+": "add", "-": "cut"}.get(row.sign, "same")
    number = row.new if row.sign == "+" else row.old
    sign = f'<span class="sign">{row.sign}</span>'
    return f'<div class="row {kind}"><span class="no">{number}</span>{sign}<code>{code}</code></div>'


def _text(text: str) -> str:
    return escape(visible(text))
