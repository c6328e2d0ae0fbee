"""Findings as plain values and back, without loss: what a cached answer is made of."""

from __future__ import annotations

from typing import Any

from leakfix.finding import Acceptance, Category, Finding, Fix, Requirement, Safety, Severity, Step
from leakfix.source import Edit, Span

_ENCODING = "latin-1"  # any bytes, and back again
_PLAIN = ("rule", "path", "line", "column", "end_line", "end_column", "function", "message", "resource", "held")
_LAST = ("fingerprint", "refusal")


def from_finding(finding: Finding) -> dict[str, Any]:
    """A finding as values that JSON knows; what a run observed of it is left out."""
    return {name: getattr(finding, name) for name in (*_PLAIN, *_LAST)} | {
        "category": str(finding.category),
        "severity": str(finding.severity),
        "span": list(finding.span),
        "witness": [[step.line, step.what] for step in finding.witness],
        "suppression_lines": list(finding.suppression_lines),
        "fix": _from_fix(finding.fix) if finding.fix is not None else None,
        "accepted": str(finding.accepted) if finding.accepted is not None else None,
    }


def to_finding(values: dict[str, Any]) -> Finding:
    """The finding again. Raises KeyError, TypeError, ValueError where the values are none of one."""
    fix, accepted = values["fix"], values["accepted"]
    return Finding(
        **{name: values[name] for name in (*_PLAIN, *_LAST)},
        category=Category(values["category"]),
        severity=Severity(values["severity"]),
        span=Span(*values["span"]),
        witness=tuple(Step(line, what) for line, what in values["witness"]),
        suppression_lines=tuple(values["suppression_lines"]),
        fix=_to_fix(fix) if fix is not None else None,
        accepted=Acceptance(accepted) if accepted is not None else None,
    )


def _from_fix(fix: Fix) -> dict[str, Any]:
    return {
        "title": fix.title,
        "safety": str(fix.safety),
        "check": fix.check,
        "edits": [[edit.start, edit.end, edit.text.decode(_ENCODING), edit.reason] for edit in fix.edits],
        "requires": [[each.name, each.version, each.imported] for each in fix.requires],
    }


def _to_fix(values: dict[str, Any]) -> Fix:
    edits = (Edit(start, end, text.encode(_ENCODING), reason) for start, end, text, reason in values["edits"])
    requires = (Requirement(*each) for each in values["requires"])
    return Fix(values["title"], Safety(values["safety"]), tuple(edits), values["check"], tuple(requires))
