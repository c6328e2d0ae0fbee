"""The source lines of a finding: the acquiring expression underlined, the leaking path marked below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.finding import Finding, Step
from leakfix.project.display import cells, visible, visible_line
from leakfix.report.style import Paint, Style, painter
from leakfix.source import SourceFile

_WIDEST = 140
_PAGE = 100
_BEFORE_CUT = 40
_CUT = "…"


@dataclass(frozen=True, slots=True)
class _Mark:
    """One underline: a range of columns (0-based, characters of the line) and what to say about it."""

    start: int
    end: int
    sign: str
    text: str
    style: Style


def excerpt(finding: Finding, source: SourceFile, colour: bool) -> tuple[list[str], int]:
    """The lines to print, and how wide the line numbers are."""
    steps = _steps_by_line(finding)
    width = len(str(max(steps)))
    return list(_drawn(finding, source, steps, width, painter(colour))), width


def _steps_by_line(finding: Finding) -> dict[int, list[Step]]:
    """What happens on each line of the path; numbered where the path does not simply run down the page."""
    lines = [step.line for step in finding.witness]
    numbered = lines != sorted(lines)
    steps: dict[int, list[Step]] = {finding.line: []}
    for number, step in enumerate(finding.witness, 1):
        text = f"{number}. {step.what}" if numbered else step.what
        steps.setdefault(step.line, []).append(Step(step.line, text))
    return dict(sorted(steps.items()))


def _drawn(
    finding: Finding, source: SourceFile, steps: dict[int, list[Step]], width: int, paint: Paint
) -> Iterator[str]:
    bar = paint("|", Style.GUTTER)
    empty = f"{'':{width}} {bar}"
    yield f"{empty}\n"
    previous = 0
    for line, happening in steps.items():
        if previous and line == previous + 2:
            yield _source_line(source, line - 1, width, paint)
        elif previous and line > previous + 2:
            yield paint("...", Style.GUTTER) + "\n"
        previous = line
        mark = _mark(finding, source.line_text(line), line, "; ".join(step.what for step in happening))
        text, mark = _cut(source.line_text(line), mark)
        yield f"{paint(f'{line:>{width}}', Style.GUTTER)} {bar} {visible_line(text)}\n"
        for underline in _underlined(text, mark, paint):
            yield f"{empty} {underline}\n"
    yield f"{empty}\n"


def _source_line(source: SourceFile, line: int, width: int, paint: Paint) -> str:
    text, _ = _cut(source.line_text(line), _Mark(0, 0, "", "", Style.STEP))
    gutter = f"{paint(f'{line:>{width}}', Style.GUTTER)} {paint('|', Style.GUTTER)}"
    return f"{gutter} {visible_line(text)}".rstrip() + "\n"


def _mark(finding: Finding, text: str, line: int, what: str) -> _Mark:
    if line == finding.line:
        end = finding.end_column - 1 if finding.end_line == finding.line else len(text.rstrip())
        return _Mark(finding.column - 1, max(end, finding.column), "^", what or "acquired here", Style.ACQUIRED)
    code = text.rstrip()
    return _Mark(len(code) - len(code.lstrip()), len(code), "-", what, Style.STEP)


def _cut(text: str, mark: _Mark) -> tuple[str, _Mark]:
    """A window of a line too long to show, with the mark moved along."""
    text = text.rstrip()
    if len(text) <= _WIDEST:
        return text, mark
    start = max(0, min(mark.start - _BEFORE_CUT, len(text) - _WIDEST))
    end = min(len(text), start + _WIDEST)
    head, tail = (_CUT if start else ""), (_CUT if end < len(text) else "")
    shift = len(head) - start
    moved = _Mark(mark.start + shift, min(mark.end, end) + shift, mark.sign, mark.text, mark.style)
    return head + text[start:end] + tail, moved


def _underlined(text: str, mark: _Mark, paint: Paint) -> list[str]:
    """The underline with what it means behind it, or below where that would run off the page."""
    indent = " " * cells(visible_line(text[: mark.start]))
    length = max(1, cells(visible_line(text[mark.start : mark.end])))
    line, meaning = mark.sign * length, visible(mark.text)
    together = f"{line} {meaning}"
    fits = len(indent) + cells(together) <= _PAGE
    return [indent + paint(part, mark.style) for part in ([together] if fits else [line, meaning])]
