"""The code quality report of GitLab: what a merge request shows as new and as resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from leakfix.finding import Finding, Severity
from leakfix.project.display import encodable, visible

if TYPE_CHECKING:
    from leakfix.result import Report

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.NOTE: "minor"}


def rendered(report: Report) -> Iterator[str]:
    """One array. GitLab tells findings apart by their fingerprints, which stay the same when lines move."""
    yield json.dumps([_issue(finding) for finding in report.findings], indent=2)
    yield "\n"


def _issue(finding: Finding) -> dict[str, Any]:
    return {
        "check_name": finding.rule,
        "description": visible(finding.message),
        "fingerprint": finding.fingerprint,
        "severity": _SEVERITIES[finding.severity],
        "location": {"path": encodable(finding.path), "lines": {"begin": finding.line, "end": finding.end_line}},
    }
