"""Annotations of GitHub Actions: one workflow command a line, which the runner shows at the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from leakfix.finding import Finding, Severity
from leakfix.project.display import encodable, visible
from leakfix.report.text import notes
from leakfix.runtime.evidence import fate

if TYPE_CHECKING:
    from leakfix.result import Report

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def rendered(report: Report) -> Iterator[str]:
    """A command for each finding, for what only a run showed, and for each file that could not be looked at."""
    for finding in report.findings:
        yield _annotation(finding)
    for seen in report.missed or ():
        text = f"seen at run time, not found by analysis: {fate(seen)}"
        yield _command("warning", text, file=seen.path, line=seen.line, title="leakfix")
    for error in report.errors:
        yield _command("warning", error.message, file=error.path, title="leakfix could not look at everything")


def _annotation(finding: Finding) -> str:
    lines = [finding.message, *(f"line {step.line}: {step.what}" for step in finding.witness)]
    lines += [f"{label}: {text}" for label, text in notes(finding)]
    place: dict[str, object] = {"file": finding.path, "line": finding.line, "endLine": finding.end_line}
    if finding.line == finding.end_line:  # the runner drops the columns of others
        place |= {"col": finding.column, "endColumn": max(finding.column, finding.end_column - 1)}
    return _command(_COMMANDS[finding.severity], "\n".join(lines), **place, title=finding.rule)


def _command(name: str, text: str, **properties: object) -> str:
    listed = ",".join(f"{key}={_property(visible(str(value)))}" for key, value in properties.items())
    message = "\n".join(visible(line) for line in text.split("\n"))
    return f"::{name} {listed}::{_data(message)}\n"


def _data(text: str) -> str:
    return encodable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
