"""One picture for each service: its connections over time, before and after, as SVG.

The ground is transparent and every colour is of middle lightness, so that it can be read on white and on black; a page
cannot tell a picture which of both it is on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 62, 46
FONTS = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
GREY = "#7d8791"
COLOURS = {"before": "#e0652b", "after": "#3f8fd6"}
KINDS = {"open": ("open", ""), "in_transaction": ("idle in a transaction", ' stroke-dasharray="2 4"')}
STEPS = 1, 2, 5, 10, 20, 25, 50, 100


def picture(title: str, samples: Mapping[str, Mapping[str, Sequence[float]]], limit: int) -> str:
    """The picture of one service; the server's limit is drawn where the service came near it."""
    last = max(second for phase in samples.values() for second in phase["second"])
    highest = max(number for phase in samples.values() for number in phase["open"])
    scale = _Scale(last, limit * 1.05 if highest > limit * 0.7 else max(highest * 1.1, 5))
    parts = [
        f'<text x="{LEFT}" y="20" font-size="15" font-weight="600">{escape(title)}</text>',
        *_legend(),
        *_grid(scale),
        *([_limit(scale, limit)] if scale.top > limit else []),
        *(_line(scale, phase, samples[phase], kind) for kind in reversed(KINDS) for phase in COLOURS),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="{FONTS}" font-size="12" fill="{GREY}">\n'
        f"<title>{escape(title)}: connections over time, before and after the repair</title>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


class _Scale:
    """Where a second and a number of connections are in the picture."""

    def __init__(self, right: float, top: float) -> None:
        self.right = right
        self.top = top

    def x(self, second: float) -> float:
        return round(LEFT + second / self.right * (WIDTH - LEFT - RIGHT), 1)

    def y(self, number: float) -> float:
        return round(HEIGHT - BOTTOM - number / self.top * (HEIGHT - TOP - BOTTOM), 1)


def _legend() -> Iterator[str]:
    """A dash of each line and what it is."""
    x = LEFT
    for phase, colour in COLOURS.items():
        for word, dashes in KINDS.values():
            label = f"{phase}: {word}"
            yield f'<path d="M{x} 40h24" stroke="{colour}" stroke-width="2.5"{dashes}/>'
            yield f'<text x="{x + 30}" y="44">{label}</text>'
            x += round(48 + 6.2 * len(label))


def _grid(scale: _Scale) -> Iterator[str]:
    """Both axes: lines, numbers, and what they count."""
    left, right, ground = scale.x(0), scale.x(scale.right), scale.y(0)
    for number in _ticks(scale.top, 6):
        yield f'<path d="M{left} {scale.y(number)}H{right}" stroke="{GREY}" stroke-opacity="0.3"/>'
        yield f'<text x="{left - 8}" y="{scale.y(number) + 4}" text-anchor="end">{number}</text>'
    for second in _ticks(scale.right, 10):
        yield f'<path d="M{scale.x(second)} {ground}v5" stroke="{GREY}"/>'
        yield f'<text x="{scale.x(second)}" y="{ground + 18}" text-anchor="middle">{second}</text>'
    middle = (ground + TOP) / 2
    yield f'<text x="{(left + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">seconds under load</text>'
    yield f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">connections</text>'


def _limit(scale: _Scale, limit: int) -> str:
    y = scale.y(limit)
    return (
        f'<path d="M{scale.x(0)} {y}H{scale.x(scale.right)}" stroke="{GREY}" stroke-dasharray="6 4"/>'
        f'<text x="{scale.x(scale.right)}" y="{y - 5}" text-anchor="end">max_connections</text>'
    )


def _line(scale: _Scale, phase: str, columns: Mapping[str, Sequence[float]], kind: str) -> str:
    """Steps: a number holds until the next look."""
    x, y = map(scale.x, columns["second"]), map(scale.y, columns[kind])
    first, *others = zip(x, y, strict=True)
    path = f"M{first[0]} {first[1]}" + "".join(f"H{x}V{y}" for x, y in others)
    width = 2.5 if kind == "open" else 1.5
    return f'<path d="{path}" fill="none" stroke="{COLOURS[phase]}" stroke-width="{width}"{KINDS[kind][1]}/>'


def _ticks(top: float, most: int) -> Sequence[int]:
    step = next((step for step in STEPS if top / step <= most), STEPS[-1])
    return [number * step for number in range(int(top / step) + 1)]


def of_record(record: Mapping[str, Any], name: str) -> str:
    """The picture of a service of a record."""
    service = record["services"][name]
    return picture(service["title"], service["samples"], record["load"]["max_connections"])
