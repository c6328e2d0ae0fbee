"""Source lines as markup: highlighted, escaped, one expression marked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from html import escape
from typing import NamedTuple

from leakfix.project.display import visible_line
from leakfix.source import SourceFile

_LARGEST = 400_000  # characters; what is longer stays without colour
_WIDEST = 240  # characters of a line that are shown
_CLASSES = {"Keyword": "k", "String": "s", "Comment": "c", "Number": "n", "Function": "f", "Class": "f"}


class Token(NamedTuple):
    """A piece of a line, and the style class it has; "" for none."""

    style: str
    text: str


class Listing:
    """The lines of a file, highlighted as a whole, so that strings over several lines keep their colour."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source

    @cached_property
    def _lines(self) -> list[list[Token]]:
        return highlighted(self._source.data.decode("utf-8", "replace"), self._source.path)

    def around(self, line: int, most: int) -> range:
        """The lines up to ``most`` away from one, without blank ones at the ends."""
        first, last = max(1, line - most), min(len(self._lines), line + most)
        while first < line and self._is_blank(first):
            first += 1
        while last > line and self._is_blank(last):
            last -= 1
        return range(first, last + 1)

    def _is_blank(self, line: int) -> bool:
        return not any(token.text.strip() for token in self._lines[line - 1])

    def line(self, number: int, start: int = 0, end: int = 0) -> str:
        """A line as markup; its characters from ``start`` up to ``end`` (0-based) are marked."""
        tokens = self._lines[number - 1] if 1 <= number <= len(self._lines) else []
        return marked_up(tokens, start, end)


def highlighted(text: str, path: str) -> list[list[Token]]:
    """The lines of a text in the language the path tells, as pieces."""
    from pygments.lexers.go import GoLexer
    from pygments.lexers.python import PythonLexer

    plain = [[Token("", line)] for line in re.split(r"\r\n|\r|\n", text)]
    if len(text) > _LARGEST:
        return plain
    lexer = (GoLexer if path.endswith(".go") else PythonLexer)(stripnl=False, ensurenl=False)
    lines: list[list[Token]] = [[]]
    for kind, value in lexer.get_tokens(text):
        style = next((_CLASSES[name] for name in reversed(tuple(kind)) if name in _CLASSES), "")
        first, *rest = value.split("\n")
        lines[-1].append(Token(style, first))
        lines += ([Token(style, part)] for part in rest)
    return lines if len(lines) == len(plain) else plain


def marked_up(tokens: Sequence[Token], start: int = 0, end: int = 0) -> str:
    """The pieces of a line as markup, cut where it is too long to show."""
    length = sum(len(token.text) for token in tokens)
    left = max(0, min(start - _WIDEST // 4, length - _WIDEST))
    right = min(length, left + _WIDEST)
    marked = (_text(_cut(tokens, *span)) for span in ((left, start), (max(start, left), min(end, right))))
    before, inside = marked if end > start else ("", "")
    after = _text(_cut(tokens, max(end, left) if end > start else left, right))
    mark = f"<mark>{inside}</mark>" if inside else ""
    return f"{'…' if left else ''}{before}{mark}{after}{'…' if right < length else ''}"


def _cut(tokens: Sequence[Token], start: int, end: int) -> Iterator[Token]:
    at = 0
    for token in tokens:
        text = token.text[max(0, start - at) : max(0, end - at)]
        if text:
            yield Token(token.style, text)
        at += len(token.text)


def _text(tokens: Iterator[Token]) -> str:
    shown = ((token.style, escape(visible_line(token.text))) for token in tokens)
    return "".join(f'<span class="{style}">{text}</span>' if style else text for style, text in shown)
