"""Where a function is put among the statements of a module: two blank lines round it (PEP 8, "Blank Lines")."""

from __future__ import annotations

from leakfix.source import SourceFile

_APART = 2


def blank_below(source: SourceFile, line: int) -> list[str]:
    """The blank lines that a function put below a line needs behind it, beside those that are there."""
    at = line + 1
    while at <= len(source.line_starts) and not source.line_text(at).strip():
        at += 1
    follows = at <= len(source.line_starts)
    return [""] * max(0, _APART - (at - line - 1)) if follows else []


def blank_above(source: SourceFile, line: int) -> tuple[int, list[str]]:
    """Where blank lines are needed above a function put at a line, and these; comments right above it are its own."""
    while line > 1 and source.line_text(line - 1).lstrip().startswith("#"):
        line -= 1
    at = line - 1
    while at > 0 and not source.line_text(at).strip():
        at -= 1
    return line, [""] * max(0, _APART - (line - 1 - at)) if at > 0 else []
