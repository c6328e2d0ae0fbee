"""SARIF 2.1.0, which code scanning and editors read: findings with their paths, fixes and the rules' own words.

``rendered`` holds what is reported. ``rendered_all`` holds what is accepted as well (by comments, by the baseline, as
older than the changes), marked as suppressed; not every reader knows that mark, and GitHub's opens an alert for each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from leakfix import __version__
from leakfix.finding import Acceptance, Finding, Fix, Safety, Severity
from leakfix.project.display import encodable, visible

if TYPE_CHECKING:
    from leakfix.result import FileError, Report, Rule
    from leakfix.source import Edit, SourceFile

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_BASE = "WORKINGDIRECTORY"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_SUPPRESSIONS = {
    Acceptance.COMMENT: {"kind": "inSource", "status": "accepted"},
    Acceptance.BASELINE: {"kind": "external", "status": "accepted", "justification": "It is in the baseline."},
    Acceptance.BEFORE: {"kind": "external", "status": "accepted", "justification": "It was there before the changes."},
}


def rendered(report: Report) -> Iterator[str]:
    """What is reported."""
    return _dumped(report, report.findings)


def rendered_all(report: Report) -> Iterator[str]:
    """What is reported, and what is accepted."""
    return _dumped(report, [*report.findings, *report.accepted])


def _dumped(report: Report, findings: Sequence[Finding]) -> Iterator[str]:
    yield from json.JSONEncoder(indent=2).iterencode(document(report, findings))
    yield "\n"


def document(report: Report, findings: Sequence[Finding]) -> dict[str, Any]:
    """A log of one run, as plain values."""
    known, rules = report.rules(), sorted({finding.rule for finding in findings})
    paths = sorted({finding.path for finding in findings})
    run = {
        "tool": {"driver": _driver([(rule, known.get(rule)) for rule in rules])},
        "columnKind": "unicodeCodePoints",
        "newlineSequences": ["\r\n", "\n", "\r"],
        "originalUriBaseIds": {_BASE: {"description": {"text": "the working directory of the check"}}},
        "invocations": [_invocation(report)],
        "artifacts": [_artifact(path) for path in paths],
        "results": [_Result(report, finding, rules, paths).document() for finding in findings],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _driver(rules: Iterable[tuple[str, Rule | None]]) -> dict[str, Any]:
    return {
        "name": "leakfix",
        "version": __version__,
        "rules": [_rule(name, codemod) for name, codemod in rules],
    }


def _rule(name: str, codemod: Rule | None) -> dict[str, Any]:
    """A rule in the words of its codemod; its name alone where that cannot be had."""
    if codemod is None:
        return {"id": name}
    title = codemod.docstring.strip().split("\n")[0]
    allow = f"Allow it on its line with `# leakfix: allow[{name}] reason`."
    return {
        "id": name,
        "shortDescription": {"text": title},
        "fullDescription": {"text": codemod.section("What leaks") or title},
        "help": {
            "text": f"{codemod.docstring.strip()}\n\n{allow}",
            "markdown": f"{codemod.docstring.strip().replace('``', '`')}\n\n{allow}",
        },
        "properties": {"tags": [codemod.category], "precision": "high"},
    }


def _artifact(path: str) -> dict[str, Any]:
    return {
        "location": {"uri": _uri(path), "uriBaseId": _BASE},
        "roles": ["analysisTarget"],
        "sourceLanguage": "go" if path.endswith(".go") else "python",
    }


def _uri(path: str) -> str:
    return quote(os.fsencode(path))


def _invocation(report: Report) -> dict[str, Any]:
    """How the check went. Files that could not be looked at are no failure of it, and are told as warnings."""
    return {"executionSuccessful": True, "toolExecutionNotifications": list(map(_notification, report.errors))}


def _notification(error: FileError) -> dict[str, Any]:
    where = {"artifactLocation": {"uri": _uri(error.path), "uriBaseId": _BASE}}
    return {
        "level": "warning",
        "message": {"text": visible(error.message)},
        "locations": [{"physicalLocation": where}],
    }


class _Result:
    """One finding, in a run with these rules and artifacts."""

    def __init__(self, report: Report, finding: Finding, rules: Sequence[str], paths: Sequence[str]) -> None:
        self.report, self.finding = report, finding
        self.rule = rules.index(finding.rule)
        self.artifact = {"uri": _uri(finding.path), "uriBaseId": _BASE, "index": paths.index(finding.path)}
        self.source: SourceFile | None = report.sources.get(finding.path)

    def document(self) -> dict[str, Any]:
        finding = self.finding
        return {
            "ruleId": finding.rule,
            "ruleIndex": self.rule,
            "level": _LEVELS[finding.severity],
            "message": {"text": self._message()},
            "locations": [self._location()],
            "codeFlows": [{"threadFlows": [{"locations": list(self._steps())}]}],
            "partialFingerprints": {
                "leakfix/v1": finding.fingerprint,
                "primaryLocationLineHash": f"{finding.fingerprint}:1",
            },
            **self._fixes(),
            **self._acceptance(),
            "properties": self._properties(),
        }

    def _properties(self) -> dict[str, str]:
        """What SARIF has no place for; what does not apply is left out."""
        finding = self.finding
        values = {
            "category": str(finding.category),
            "resource": finding.resource,
            "held": finding.held,
            "safety": str(finding.fix.safety) if finding.fix else None,
            "refusal": finding.refusal,
            "evidence": str(finding.observed) if finding.observed else None,
        }
        return {name: encodable(value) for name, value in values.items() if value}

    def _message(self) -> str:
        """What is wrong, and why it is left to people where it is."""
        why = f"\nNo fix: {self.finding.refusal}" if self.finding.refusal else ""
        return "\n".join(map(visible, (self.finding.message + why).split("\n")))

    def _acceptance(self) -> Mapping[str, Any]:
        accepted = self.finding.accepted
        suppressed = {"suppressions": [_SUPPRESSIONS[accepted]]} if accepted else {}
        if not self.report.has_baseline or accepted is Acceptance.COMMENT:
            return suppressed
        return {"baselineState": "unchanged" if accepted else "new", **suppressed}

    def _location(self) -> dict[str, Any]:
        kind = "module" if self.finding.function == "<module>" else "function"
        return {
            "physicalLocation": {"artifactLocation": self.artifact, "region": self._region()},
            "logicalLocations": [{"fullyQualifiedName": encodable(self.finding.function), "kind": kind}],
        }

    def _region(self) -> dict[str, int]:
        finding = self.finding
        return {
            "startLine": finding.line,
            "startColumn": finding.column,
            "endLine": finding.end_line,
            "endColumn": finding.end_column,
        }

    def _steps(self) -> Iterator[dict[str, Any]]:
        for number, step in enumerate(self.finding.witness, 1):
            region = self._region() if step.line == self.finding.line else {"startLine": step.line}
            where = {"artifactLocation": self.artifact, "region": region}
            yield {
                "location": {"physicalLocation": where, "message": {"text": visible(step.what)}},
                "executionOrder": number,
                "importance": "essential",
            }

    def _fixes(self) -> Mapping[str, Any]:
        fix = self.finding.fix
        if fix is None or self.source is None:
            return {}
        replacements = [_replacement(self.source, edit) for edit in sorted(fix.edits)]
        changes = [{"artifactLocation": self.artifact, "replacements": replacements}]
        return {"fixes": [{"description": {"text": _described(fix)}, "artifactChanges": changes}]}


def _described(fix: Fix) -> str:
    check = "" if fix.safety is Safety.SAFE else f"; check: {fix.check}" if fix.check else "; to be reviewed"
    needs = f"; needs {', '.join(item.name for item in fix.requires)}" if fix.requires else ""
    return visible(f"{fix.title}{check}{needs}")


def _replacement(source: SourceFile, edit: Edit) -> dict[str, Any]:
    """One edit. Columns and the inserted text are those of the file as text, whatever its encoding."""
    region = {
        "startLine": source.line_of(edit.start),
        "startColumn": source.column_of(edit.start),
        "endLine": source.line_of(edit.end),
        "endColumn": source.column_of(edit.end),
    }
    return {"deletedRegion": region, "insertedContent": {"text": edit.text.decode("utf-8", "replace")}}
