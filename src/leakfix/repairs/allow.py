"""Comments that allow findings, put where they acquire."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from leakfix.finding import Finding
from leakfix.languages.go.syntax import parsed
from leakfix.project.suppressions import allowing
from leakfix.source import SourceFile


@dataclass(frozen=True)
class Allowed:
    """A file with its new comments. refused: findings that no comment can be put at, with the reason."""

    after: SourceFile
    allowed: tuple[Finding, ...]
    refused: tuple[tuple[Finding, str], ...]


def with_comments(source: SourceFile, findings: Iterable[Finding], reason: str) -> Allowed:
    """The file with a comment on the line of each acquisition; one comment for all rules of a line.

    Raises UndecodableSource where the file's encoding lacks a character of the reason.
    """
    lines: dict[int, list[Finding]] = {}
    refused = []
    for finding in findings:
        line = next((at for at in range(finding.end_line, finding.line - 1, -1) if _takes_comment(source, at)), None)
        if line is None:
            refused.append((finding, _why(source, finding.end_line)))
        else:
            lines.setdefault(line, []).append(finding)
    after = source
    for line, here in lines.items():  # comments are put at the ends of lines, so that no line moves
        after = allowing(after, ", ".join(dict.fromkeys(finding.rule for finding in here)), line, reason)
    return Allowed(after, tuple(finding for here in lines.values() for finding in here), tuple(refused))


def _takes_comment(source: SourceFile, line: int) -> bool:
    """Whether what is put at the end of a line is a comment and changes nothing: it may be in a string, or go on."""
    after = allowing(source, "x", line, "")
    if source.path.endswith(".go"):
        at = after.data.index(b"// leakfix:", source.line_starts[line - 1])
        found = parsed(after.data).descendant_for_byte_range(at, at + 1)
        return found is not None and found.type == "comment"
    try:
        return ast.dump(ast.parse(after.code)) == ast.dump(ast.parse(source.code))
    except (SyntaxError, ValueError, RecursionError):
        return False


def _why(source: SourceFile, line: int) -> str:
    if source.line_text(line).rstrip().endswith("\\"):
        return "the line goes on behind a backslash, where no comment can stand; allow it on the `def` around it"
    return "the line ends inside a string, where no comment can stand; allow it on the function around it"
