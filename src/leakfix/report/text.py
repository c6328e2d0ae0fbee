"""The report for people: where, what, the leaking path in the source, and what can be done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from leakfix.finding import Acceptance, Category, Finding, Safety, Severity
from leakfix.project.display import visible
from leakfix.report.excerpt import excerpt
from leakfix.report.style import Style, painter
from leakfix.source import SourceFile

if TYPE_CHECKING:
    from leakfix.result import Report

_SEVERITY = {Severity.ERROR: Style.ERROR, Severity.WARNING: Style.WARNING, Severity.NOTE: Style.NOTE}
_HELD = {
    "forever": "for ever",
    "until-gc": "until the cyclic garbage collector runs",
    "until-unreferenced": "until the last reference to it goes",
}
_OLDER = {Acceptance.BASELINE: "accepted by the baseline", Acceptance.BEFORE: "there before the changes"}


def rendered(report: Report, colour: bool = False) -> Iterator[str]:
    """The whole report, piece by piece."""
    for finding in report.findings:
        yield from rendered_finding(finding, report.sources.get(finding.path), colour)
        yield "\n"
    yield from _missed(report)
    yield summary(report)


def _missed(report: Report) -> Iterator[str]:
    if not report.missed:
        return
    from leakfix.runtime.evidence import fate

    for seen in report.missed:
        yield f"{visible(seen.path)}:{seen.line} seen at run time, not found by analysis: {fate(seen)}\n"
    yield "\n"


def rendered_finding(finding: Finding, source: SourceFile | None, colour: bool) -> Iterator[str]:
    """One finding with its excerpt."""
    yield header(finding, colour)
    width = 1
    if source is not None:
        drawn, width = excerpt(finding, source, colour)
        yield from drawn
    margin = " " * width
    paint = painter(colour)
    for label, text in notes(finding):
        yield f"{margin} {paint('=', Style.GUTTER)} {paint(label + ':', Style.STRONG)} {visible(text)}\n"


def header(finding: Finding, colour: bool) -> str:
    """``path:line:column severity[rule] message``."""
    paint = painter(colour)
    place = f"{visible(finding.path)}:{finding.line}:{finding.column}"
    severity = paint(f"{finding.severity}[{finding.rule}]", _SEVERITY[finding.severity])
    return f"{paint(place, Style.STRONG)} {severity} {visible(finding.message)}\n"


def summary(report: Report) -> str:
    """The last line of a report."""
    files = f"{count(report.files, 'file')} in {report.seconds:.1f} s"
    older = _older(report)
    if not report.findings and not report.missed:
        return f"{none_found(report)}. Looked at {files}.\n" if older else f"{none_found(report)}: {files}.\n"
    places = len({finding.path for finding in report.findings})
    found = f"Found {count(len(report.findings), noun_for(report.findings))} in {count(places, 'file')}"
    return f"{found} ({fixable(report.findings)}){older}. Looked at {files}.\n"


def none_found(report: Report) -> str:
    """What is said, without a full stop, where nothing is reported."""
    older = _older(report)
    return f"No new leaks found{older}" if older else "No leaks found"


def _older(report: Report) -> str:
    """How many findings are not reported because they are no new ones."""
    numbers = {text: sum(finding.accepted is how for finding in report.accepted) for how, text in _OLDER.items()}
    return "".join(f"; {number} {text}" for text, number in numbers.items() if number)


def fixed_line(finding: Finding, colour: bool) -> str:
    """One line for a repair that was written."""
    title = finding.fix.title if finding.fix else finding.message
    place = f"{visible(finding.path)}:{finding.line}:{finding.column}"
    paint = painter(colour)
    return f"{paint(place, Style.STRONG)} {paint('fixed', Style.FIX)}[{finding.rule}] {visible(title)}\n"


def allowed_line(finding: Finding, colour: bool) -> str:
    """One line for a finding that was put into the baseline, or allowed by a comment."""
    place = f"{visible(finding.path)}:{finding.line}:{finding.column}"
    paint = painter(colour)
    return f"{paint(place, Style.STRONG)} allowed[{finding.rule}] {visible(finding.message)}\n"


def remaining_lines(finding: Finding, colour: bool) -> Iterator[str]:
    """A finding without its excerpt: it was shown before, or the file has changed since."""
    yield header(finding, colour)
    for label, text in notes(finding):
        if label != "held":
            yield f"  = {label}: {visible(text)}\n"


def repair_summary(fixed: Sequence[Finding], remaining: Sequence[Finding]) -> str:
    """The last line of a repair."""
    if not fixed and not remaining:
        return "No leaks found.\n"
    places = len({finding.path for finding in fixed})
    done = f"Fixed {count(len(fixed), noun_for(fixed))} in {count(places, 'file')}" if fixed else "Fixed nothing"
    return (
        f"{done}; {count(len(remaining), noun_for(remaining))} left ({fixable(remaining)}).\n"
        if remaining
        else f"{done}.\n"
    )


def notes(finding: Finding) -> Iterator[tuple[str, str]]:
    """What there is to say of a finding beside its path: a label and a sentence each."""
    if finding.observed is not None:
        yield "run time", str(finding.observed)
    if finding.held is not None:
        yield "held", _HELD.get(finding.held, finding.held)
    match finding.fix:
        case None:
            yield "no fix", finding.refusal or "there is none for this shape yet"
        case fix if fix.safety is Safety.SAFE:
            yield "fix (safe)", fix.title
        case fix:
            yield "fix (review)", fix.title + (f"; check: {fix.check}" if fix.check else "")


def fixable(findings: Iterable[Finding]) -> str:
    """How many have which kind of fix: ``2 with a safe fix, 1 with a fix to review, 3 without``."""
    kinds = {"safe": "with a safe fix", "review": "with a fix to review", "": "without a fix"}
    names = sorted((str(finding.fix.safety) if finding.fix else "") for finding in findings)
    counts = {name: len(list(group)) for name, group in groupby(names)}
    return ", ".join(f"{counts[name]} {text}" for name, text in kinds.items() if name in counts)


def noun_for(findings: Sequence[Finding]) -> str:
    """What to call them all."""
    return "leak" if all(finding.category is Category.LEAK for finding in findings) else "finding"


def count(number: int, noun: str) -> str:
    """``1 leak``, ``2 leaks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
