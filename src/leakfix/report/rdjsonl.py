"""Reviewdog's diagnostic format: a JSON object a line, with the fix as a suggestion that one click applies.

Lines and columns are 1-based, columns in bytes of UTF-8, ends exclusive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from leakfix.finding import Finding, Safety, Severity
from leakfix.project.display import encodable, visible
from leakfix.report.text import notes

if TYPE_CHECKING:
    from leakfix.result import Report
    from leakfix.source import SourceFile

_SEVERITIES = {Severity.ERROR: "ERROR", Severity.WARNING: "WARNING", Severity.NOTE: "INFO"}


def rendered(report: Report) -> Iterator[str]:
    """A line for each finding; safe fixes are suggested, and those to review told of."""
    for finding in report.findings:
        yield json.dumps(_diagnostic(finding, report.sources[finding.path])) + "\n"


def _diagnostic(finding: Finding, source: SourceFile) -> dict[str, Any]:
    steps = [f"line {step.line}: {step.what}" for step in finding.witness]
    told = [finding.message, *steps, *(f"{label}: {text}" for label, text in notes(finding))]
    start, end = (_position(source, offset) for offset in finding.span)
    return {
        "message": "\n".join(map(visible, told)),
        "location": {"path": encodable(finding.path), "range": {"start": start, "end": end}},
        "severity": _SEVERITIES[finding.severity],
        "source": {"name": "leakfix"},
        "code": {"value": finding.rule},
        **_suggested(finding, source),
    }


def _position(source: SourceFile, offset: int) -> dict[str, int]:
    line = source.line_of(offset)
    return {"line": line, "column": offset - source.line_starts[line - 1] + 1}


def _suggested(finding: Finding, source: SourceFile) -> dict[str, Any]:
    """The fix as whole lines, from the first that changes to the last: suggestions are offered as alternatives."""
    if finding.fix is None or finding.fix.safety is not Safety.SAFE or finding.fix.requires:
        return {}
    before, after = (text.data.splitlines(keepends=True) for text in (source, source.edited(finding.fix.edits)))
    start = _same(before, after)
    end = _same(before[start:][::-1], after[start:][::-1])
    if start == len(before) - end:  # nothing but new lines, which need one to stand at
        start, end = (start - 1, end) if start else (start, end - 1)
    text = b"".join(after[start : len(after) - end]).decode("utf-8", "replace")
    span = {"start": {"line": start + 1}, "end": {"line": len(before) - end}}
    return {"suggestions": [{"range": span, "text": text.removesuffix("\n").removesuffix("\r")}]}


def _same(one: list[bytes], other: list[bytes]) -> int:
    """How many lines both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (left, right) in pairs if left != right), min(len(one), len(other)))
