"""What can be done about findings, as edits of the document: exactly what ``leakfix apply`` would write.

Manifests are read for it: all this runs in the folder, on the analysis thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lsprotocol import types
from pygls.uris import from_fs_path

from leakfix.finding import Finding, Fix, Safety
from leakfix.project import manifest
from leakfix.project.display import visible
from leakfix.project.suppressions import allowing, suppressions
from leakfix.result import FileRepair
from leakfix.server.text import Positions
from leakfix.source import SourceFile
from leakfix.verify import compiled

QUICK_FIX = types.CodeActionKind.QuickFix
FIX_ALL = "source.fixAll.leakfix"


@dataclass(frozen=True)
class Document:
    """A document as a client has it. versioned: whether the client takes edits that name the version they are for."""

    uri: str
    version: int | None
    source: SourceFile
    positions: Positions
    versioned: bool
    others: Mapping[str, str] = field(default_factory=dict)
    """The texts of all open documents, by their addresses."""

    def unsaved(self, changes: Iterable[manifest.Change]) -> str | None:
        """The name of a manifest to be changed that is open with another text than the disk's."""
        for change in changes:
            text = self.others.get(_uri(change))
            if text is not None and text.encode("utf-8", "replace") != change.before.raw:
                return os.path.basename(change.path)
        return None

    def edit(self, edits: Sequence[types.TextEdit], others: Iterable[manifest.Change] = ()) -> types.WorkspaceEdit:
        """Edits of this document, and the changes of manifests that they need."""
        changes = {self.uri: edits}
        for other in others:
            changes[_uri(other)] = self.positions.of(other.before).difference(other.after)
        if not self.versioned:
            return types.WorkspaceEdit(changes=changes)
        return types.WorkspaceEdit(
            document_changes=[
                types.TextDocumentEdit(
                    types.OptionalVersionedTextDocumentIdentifier(uri, self.version if uri == self.uri else None),
                    list(listed),
                )
                for uri, listed in changes.items()
            ]
        )


def is_wanted(kind: str, only: Sequence[str] | None) -> bool:
    """Whether a kind of action is among those that were asked for, by their names or a name above."""
    return only is None or any(kind == wanted or kind.startswith(f"{wanted}.") for wanted in only)


def of_findings(
    findings: Iterable[Finding], document: Document, shown: Iterable[types.Diagnostic]
) -> Iterator[types.CodeAction]:
    """For each finding its repair, where there is one, and the comment that allows it.

    shown: the client's diagnostics, to be named by the actions that are about them.
    """
    known = list(shown)
    for finding in findings:
        own = [diagnostic for diagnostic in known if _is_about(diagnostic, finding)]
        if finding.fix is not None:
            yield _repair(finding, finding.fix, document, own)
        after = allowed(finding, document.source)
        if after is not None:
            edit = document.edit(document.positions.difference(after))
            yield types.CodeAction(f"Allow {finding.rule} here", QUICK_FIX, own, edit=edit)


def of_all(document: Document, repair: FileRepair) -> Iterator[types.CodeAction]:
    """All repairs of a document at once, if there are any."""
    if repair.after.data != document.source.data:
        needed = manifest.additions([(repair.after, repair.applied)])
        action = types.CodeAction("Fix all leaks that have a safe fix", FIX_ALL)
        yield _with_edit(action, document, document.positions.difference(repair.after), needed)


def _repair(finding: Finding, fix: Fix, document: Document, shown: list[types.Diagnostic]) -> types.CodeAction:
    safe = fix.safety is Safety.SAFE
    check = f"; check: {fix.check}" if fix.check and not safe else ""
    needed = manifest.additions([(document.source.edited(fix.edits), [finding])])
    action = types.CodeAction(visible(f"{fix.title}{check}"), QUICK_FIX, shown)
    return _with_edit(action, document, document.positions.edits(fix.edits), needed, safe)


def _is_about(shown: types.Diagnostic, finding: Finding) -> bool:
    data: Any = shown.data
    told = data.get("fingerprint") if isinstance(data, dict) else getattr(data, "fingerprint", None)
    return told == finding.fingerprint


def allowed(finding: Finding, source: SourceFile) -> SourceFile | None:
    """The file with the comment; None where a comment can stand on none of the lines that count."""
    for line in sorted(finding.suppression_lines, key=lambda line: (line < finding.line, line)):
        if not 1 <= line <= len(source.line_starts):
            continue
        after = allowing(source, finding.rule, line, "")
        with suppress(SyntaxError, ValueError, RecursionError):  # a comment ends a line that was to be continued
            compiled(after)
            if suppressions(after, [finding.rule]).allows(finding.rule, [line]):
                return after
    return None


def _with_edit(
    action: types.CodeAction,
    document: Document,
    edits: Sequence[types.TextEdit],
    needed: Sequence[manifest.Change],
    preferred: bool = False,
) -> types.CodeAction:
    unsaved = document.unsaved(needed)
    if unsaved is not None:
        action.disabled = types.CodeActionDisabled(f"{unsaved} has to be changed for it, and has unsaved changes")
    else:
        action.edit = document.edit(edits, needed)
        action.is_preferred = preferred or None
    return action


def _uri(change: manifest.Change) -> str:
    path = os.path.abspath(change.path)
    return from_fs_path(path) or path
