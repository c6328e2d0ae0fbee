"""The report as one JSON object; its shape is a promise (``schema`` counts up when it changes)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from leakfix import __version__
from leakfix.finding import Finding, Fix, Observed

if TYPE_CHECKING:
    from leakfix.result import Report
    from leakfix.runtime.evidence import Seen

SCHEMA = 1


def dumped(report: Report) -> str:
    """The report as text."""
    return json.dumps(document(report), indent=2)


def document(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "leakfix": __version__,
        "schema": SCHEMA,
        "findings": [_finding(finding) for finding in report.findings],
        **({} if report.missed is None else {"missed": [_missed(seen) for seen in report.missed]}),
        "errors": [{"path": _text(error.path), "message": _text(error.message)} for error in report.errors],
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
        "path": _text(finding.path),
        "line": finding.line,
        "column": finding.column,
        "end_line": finding.end_line,
        "end_column": finding.end_column,
        "function": _text(finding.function),
        "message": _text(finding.message),
        "resource": finding.resource,
        "held": finding.held,
        "witness": [{"line": step.line, "what": _text(step.what)} for step in finding.witness],
        "fingerprint": finding.fingerprint,
        "fix": {
            "title": _text(f"{fix.title}; check: {fix.check}" if fix.check else fix.title),
            "safety": str(fix.safety),
        }
        if fix
        else None,
        "refusal": _text(finding.refusal) if finding.refusal else None,
        **({"evidence": _observed(finding.observed)} if finding.observed else {}),
    }


def _observed(seen: Observed) -> dict[str, Any]:
    return {
        "acquired": seen.acquired,
        "unreleased": seen.unreleased,
        "fate": _text(seen.fate),
        "stack": [_text(line) for line in seen.stack],
        "tests": [_text(test) for test in seen.tests],
    }


def _missed(seen: Seen) -> dict[str, Any]:
    place = {"path": _text(seen.path), "line": seen.line, "function": _text(seen.function)}
    return {**place, "resource": seen.noun, "acquired": seen.acquired, "unreleased": seen.unreleased, "held": seen.held}


def _titled(fix: Fix) -> str:
    return f"{fix.title}; check: {fix.check}" if fix.check else fix.title


def _text(text: str) -> str:
    """Text every JSON reader takes: a byte that was not UTF-8 becomes an escape, not half a surrogate."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
