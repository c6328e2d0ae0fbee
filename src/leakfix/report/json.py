"""The report as one JSON object; its shape is a promise (``schema`` counts up when it changes)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from leakfix import __version__
from leakfix.finding import Finding, Observed
from leakfix.project.display import encodable

if TYPE_CHECKING:
    from leakfix.result import Report
    from leakfix.runtime.evidence import Seen

SCHEMA = 1


def rendered(report: Report) -> Iterator[str]:
    """The report as text."""
    text = json.dumps(document(replace(report, seconds=0)), indent=2)
    before, name, after = text.rpartition('"seconds": ')  # as text, because it may be left open; see Report
    yield f"{before}{name}{report.seconds:.3f}{after.removeprefix('0')}\n"


def document(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "leakfix": __version__,
        "schema": SCHEMA,
        "findings": [_finding(finding) for finding in report.findings],
        **({} if report.missed is None else {"missed": [_missed(seen) for seen in report.missed]}),
        "errors": [{"path": encodable(error.path), "message": encodable(error.message)} for error in report.errors],
        "summary": {
            "files": report.files,
            "parsed": report.parsed,
            "findings": len(report.findings),
            "fixable": sum(finding.fix is not None for finding in report.findings),
            "seconds": round(report.seconds, 3),
        },
    }


def _finding(finding: Finding) -> dict[str, Any]:
    fix = finding.fix
    return {
        "rule": finding.rule,
        "category": str(finding.category),
        "severity": str(finding.severity),
        "path": encodable(finding.path),
        "line": finding.line,
        "column": finding.column,
        "end_line": finding.end_line,
        "end_column": finding.end_column,
        "function": encodable(finding.function),
        "message": encodable(finding.message),
        "resource": finding.resource,
        "held": finding.held,
        "witness": [{"line": step.line, "what": encodable(step.what)} for step in finding.witness],
        "fingerprint": finding.fingerprint,
        "fix": {
            "title": encodable(f"{fix.title}; check: {fix.check}" if fix.check else fix.title),
            "safety": str(fix.safety),
        }
        if fix
        else None,
        "refusal": encodable(finding.refusal) if finding.refusal else None,
        **({"evidence": _observed(finding.observed)} if finding.observed else {}),
    }


def _observed(seen: Observed) -> dict[str, Any]:
    return {
        "acquired": seen.acquired,
        "unreleased": seen.unreleased,
        "fate": encodable(seen.fate),
        "stack": [encodable(line) for line in seen.stack],
        "tests": [encodable(test) for test in seen.tests],
    }


def _missed(seen: Seen) -> dict[str, Any]:
    place = {"path": encodable(seen.path), "line": seen.line, "function": encodable(seen.function)}
    return {**place, "resource": seen.noun, "acquired": seen.acquired, "unreleased": seen.unreleased, "held": seen.held}
