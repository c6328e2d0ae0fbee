"""The leaking path drawn through the code: a line beside the source, with a numbered stop at each step.

The line runs in lanes. A path goes on in its lane as long as it runs down the page, and turns into the next one where
it jumps back, as loops do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from leakfix.finding import Finding
from leakfix.project.display import visible
from leakfix.report.html.code import Listing

_CONTEXT = 2  # lines around each step
_MOST_LANES = 4


@dataclass
class _Row:
    """A line of code, a step below it, or a gap. lanes: what of the path is drawn beside it, by lane."""

    kind: str
    number: int = 0
    step: int = 0
    text: str = ""
    lanes: dict[int, str] = field(default_factory=dict)


def drawn(finding: Finding, listing: Listing) -> Iterator[str]:
    """The code of a finding with its path, as markup."""
    rows = list(_rows(finding, listing))
    lanes = _draw([number for _, number in sorted((row.step, at) for at, row in enumerate(rows) if row.step)], rows)
    yield f'<div class="code" data-lanes="{lanes}">'
    for row in rows:
        yield _row(row, finding, listing, lanes)
    yield "</div>"


def _rows(finding: Finding, listing: Listing) -> Iterator[_Row]:
    """The lines around the steps, those steps below them, and what is left out between."""
    steps: dict[int, list[_Row]] = {finding.line: []}
    for number, step in enumerate(finding.witness, 1):
        steps.setdefault(step.line, []).append(_Row("step", step.line, number, step.what))
    shown = sorted({near for line in steps for near in listing.around(line, _CONTEXT)} | set(steps))
    for previous, line in pairwise([shown[0] - 1, *shown]):
        if line == previous + 2:
            yield _Row("near", previous + 1)
        elif line > previous + 2:
            yield _Row("gap", text=f"{line - previous - 1} lines")
        yield _Row("on" if line in steps else "near", line)
        yield from steps.get(line, ())


def _draw(stops: Sequence[int], rows: Sequence[_Row]) -> int:
    """Draw the line from stop to stop, which are numbers of rows; the number of lanes it takes."""
    lane, direction = 0, 1
    for at in stops[:1]:
        _add(rows[at], lane, "stop")
    for at, following in pairwise(stops):
        if (following - at) * direction < 0:
            direction = -direction
            if lane + 1 < _MOST_LANES:
                _add(rows[at], lane, "out")
                lane += 1
                _add(rows[at], lane, "in")
        top, bottom = sorted((at, following))
        _add(rows[top], lane, "below")
        for between in range(top + 1, bottom):
            _add(rows[between], lane, "through")
        _add(rows[bottom], lane, "above")
        _add(rows[following], lane, "stop")
    for at in stops[-1:]:
        _add(rows[at], lane, "end")
    return lane + 1


def _add(row: _Row, lane: int, part: str) -> None:
    parts = row.lanes.get(lane, "").split()
    row.lanes[lane] = " ".join(parts if part in parts else [*parts, part])


def _row(row: _Row, finding: Finding, listing: Listing, lanes: int) -> str:
    rail = _rail(row.lanes, lanes, row.step)
    match row.kind:
        case "gap":
            return f'<div class="row gap"><span class="no">⋯</span>{rail}<span class="what">{row.text}</span></div>'
        case "step":
            what = escape(visible(row.text))
            said = f'<span class="what"><span class="vh">Step {row.step}: </span>{what}</span>'
            return f'<div class="row step"><span class="no"></span>{rail}{said}</div>'
        case kind:
            start, end = _mark(finding, row.number)
            code = listing.line(row.number, start, end)
            return f'<div class="row {kind}"><span class="no">{row.number}</span>{rail}<code>{code}</code></div>'


def _mark(finding: Finding, line: int) -> tuple[int, int]:
    if line != finding.line:
        return 0, 0
    return finding.column - 1, finding.end_column - 1 if finding.end_line == line else 1 << 30


def _rail(parts: Mapping[int, str], lanes: int, step: int) -> str:
    drawn = (_lane(parts.get(lane, ""), step) for lane in range(lanes))
    return f'<span class="rail" aria-hidden="true">{"".join(drawn)}</span>'


def _lane(parts: str, step: int) -> str:
    if "stop" not in parts.split():
        return f'<i class="{parts}"></i>' if parts else "<i></i>"
    return f'<i class="{parts}"><b>{step}</b></i>'
