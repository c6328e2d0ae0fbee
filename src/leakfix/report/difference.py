"""A repair as people read it: changed lines with their code highlighted, the leaking path marked beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rich.style import Style
from rich.syntax import Syntax
from rich.text import Span, Text

from leakfix.finding import Finding
from leakfix.project.display import visible, visible_line
from leakfix.source import SourceFile

_CONTEXT = 3
_THEME = {True: "github-dark", False: "default"}
_SIGNS = {
    "+": Style(color="green", bold=True),
    "-": Style(color="red", bold=True),
    " ": Style(dim=True),
}
_GROUNDS = {
    True: {"+": Style(bgcolor="#12261e"), "-": Style(bgcolor="#2d1618")},
    False: {"+": Style(bgcolor="#e6ffec"), "-": Style(bgcolor="#ffebe9")},
}
_MARK = Style(color="yellow", italic=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a difference: its sign ("+", "-", " " or "@" between two parts), its numbers and its text."""

    sign: str
    old: int
    new: int
    text: str


def rows(before: SourceFile, after: SourceFile, context: int = _CONTEXT) -> Iterator[Row]:
    """The changed lines with some around them; each part is headed by a row with the sign "@"."""
    old, new = _lines(before), _lines(after)
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(context):
        yield Row("@", group[0][1] + 1, group[0][3] + 1, "")
        for kind, start, end, other, other_end in group:
            if kind == "equal":
                pairs = zip(range(start, end), range(other, other_end), strict=True)
                yield from (Row(" ", i + 1, j + 1, old[i]) for i, j in pairs)
                continue
            yield from (Row("-", i + 1, 0, old[i]) for i in range(start, end))
            yield from (Row("+", 0, j + 1, new[j]) for j in range(other, other_end))


def drawn(
    finding: Finding, before: SourceFile, after: SourceFile, dark: bool = True, numbers: bool = True
) -> Iterator[Text]:
    """The difference, line by line, coloured; the lines of the finding's path say what happens on them."""
    marks = _marks(finding)
    found = list(rows(before, after))
    width = len(str(max([row.old for row in found] + [row.new for row in found], default=0)))
    language = "go" if before.path.endswith(".go") else "python"
    coloured = _highlighted(found, language, dark)
    for row, code in zip(found, coloured, strict=True):
        if row.sign == "@":
            yield Text(f"{'':{width}} {'':{width}}  line {row.old}" if numbers else f"line {row.old}", "dim")
            continue
        line = Text()
        if numbers:
            line.append(f"{row.old or '':>{width}} {row.new or '':>{width}} ", "dim")
        line.append(f"{row.sign} ", _SIGNS[row.sign])
        line.append_text(code)
        if row.old in marks:
            line.append(f"  ◂ {visible(marks[row.old])}", _MARK)
        if row.sign in _GROUNDS[dark]:
            line.stylize_before(_GROUNDS[dark][row.sign])
        line.no_wrap = True
        yield line


def _marks(finding: Finding) -> Mapping[int, str]:
    marks: dict[int, str] = {}
    for step in finding.witness:
        marks[step.line] = f"{marks[step.line]}; {step.what}" if step.line in marks else step.what
    return marks


def _highlighted(found: Sequence[Row], language: str, dark: bool) -> list[Text]:
    """The code of the rows, each side highlighted as a whole, so that strings over several lines keep their colour."""
    texts = [visible_line(row.text) for row in found]
    result = [Text(text) for text in texts]
    syntax = Syntax("", language, theme=_THEME[dark], background_color="default")
    for side in ("-", "+"):
        places = [number for number, row in enumerate(found) if row.sign in (side, " ")]
        whole = syntax.highlight("\n".join(texts[number] for number in places))
        lines = whole.split("\n", allow_blank=True)
        for number, line in zip(places, lines, strict=False):
            if line.plain == texts[number]:
                result[number] = _without_ground(line)
    return result


def _without_ground(line: Text) -> Text:
    """The same without the theme's background: ours tells what comes and what goes."""
    spans = [Span(start, end, style.without_color + Style(color=style.color)) for start, end, style in _styled(line)]
    return Text(line.plain, spans=spans)


def _styled(line: Text) -> Iterator[tuple[int, int, Style]]:
    for start, end, style in line.spans:
        if isinstance(style, Style):
            yield start, end, style


def _lines(source: SourceFile) -> list[str]:
    return re.split(r"\r\n|\r|\n", source.data.decode("utf-8", "replace").removesuffix("\n"))
