"""Findings as the protocol's diagnostics, and a rule's explanation as what a client shows beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lsprotocol import types
from pygls.uris import from_fs_path

from leakfix.finding import Finding, Safety, Severity
from leakfix.project.display import visible
from leakfix.registry import Registry
from leakfix.server.text import Positions
from leakfix.session import Look

SOURCE = "leakfix"
_SEVERITY = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.NOTE: types.DiagnosticSeverity.Information,
}
_LINE = re.compile(r"line (\d+): (.*)", re.DOTALL)
_EXPLAINED = ("What leaks", "Why it hurts", "How it is repaired")
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~])")


def diagnostics(look: Look, positions: Positions | None, uri: str, registry: Registry | None) -> list[types.Diagnostic]:
    """What is said of a document: its findings, then what could not be analysed."""
    if positions is None:
        return [_told(error, types.Range(types.Position(0, 0), types.Position(0, 0))) for error in look.errors]
    found = [diagnostic(finding, positions, uri, registry) for finding in look.findings]
    return found + [_unanalysed(error, positions) for error in look.errors]


def diagnostic(finding: Finding, positions: Positions, uri: str, registry: Registry | None) -> types.Diagnostic:
    """One finding; the lines of the path on which it leaks are related to it."""
    codemod = registry.codemods.get(finding.rule) if registry is not None else None
    href = from_fs_path(codemod.file) if codemod is not None and codemod.file else None
    return types.Diagnostic(
        range=positions.range(finding.span),
        message=visible(finding.message),
        severity=_SEVERITY[finding.severity],
        code=finding.rule,
        code_description=types.CodeDescription(href) if href else None,
        source=SOURCE,
        related_information=[
            types.DiagnosticRelatedInformation(types.Location(uri, positions.line(step.line)), visible(step.what))
            for step in finding.witness
        ],
        data={"fingerprint": finding.fingerprint},
    )


def _unanalysed(error: str, positions: Positions) -> types.Diagnostic:
    match = _LINE.match(error)
    return _told(match[2] if match else error, positions.line(int(match[1]) if match else 1))


def _told(text: str, where: types.Range) -> types.Diagnostic:
    return types.Diagnostic(where, visible(text), types.DiagnosticSeverity.Information, source=SOURCE)


def explanation(finding: Finding, registry: Registry | None, markdown: bool) -> types.MarkupContent:
    """What a person wants to know of a finding: itself, what can be done, and the first parts of `leakfix explain`."""
    kind = types.MarkupKind.Markdown if markdown else types.MarkupKind.PlainText
    return types.MarkupContent(kind, "\n\n".join(_explained(finding, registry, markdown)))


def _explained(finding: Finding, registry: Registry | None, markdown: bool) -> Iterator[str]:
    def plain(text: str) -> str:
        return _MARKUP.sub(r"\\\1", visible(text)) if markdown else visible(text)

    def strong(text: str) -> str:
        return f"**{text}**" if markdown else text

    yield f"{strong(finding.rule)}: {plain(finding.message)}"
    if finding.fix is None:
        yield f"No fix: {plain(finding.refusal or 'there is none for this shape yet')}"
    elif finding.fix.safety is Safety.SAFE:
        yield f"Fix: {plain(finding.fix.title)}"
    else:
        yield f"Fix to review: {plain(finding.fix.title)}. Check: {plain(finding.fix.check)}"
    codemod = registry.codemods.get(finding.rule) if registry is not None else None
    for heading in _EXPLAINED if codemod is not None else ():
        if text := codemod.section(heading) if codemod is not None else "":
            yield f"{strong(heading)}\n\n{text}"
