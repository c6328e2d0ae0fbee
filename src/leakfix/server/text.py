"""Between a client's text and positions and ours: bytes in UTF-8 here, lines and code units there."""

from __future__ import annotations

import difflib
import io
import tokenize
from collections.abc import Iterable

from lsprotocol import types

from leakfix.source import Edit, SourceFile, Span, UndecodableSource

_BOM = "\ufeff"


def raw_of(path: str, text: str) -> bytes:
    """The bytes an editor would write for a text it shows, in the encoding that the file declares (PEP 263).

    Raises UndecodableSource where that encoding is unknown or lacks one of the characters.
    """
    try:
        data = text.encode("utf-8")
        if path.endswith(".go"):
            return data
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data if encoding in ("utf-8", "utf-8-sig") else text.encode(encoding)
    except (SyntaxError, UnicodeEncodeError, LookupError) as error:
        raise UndecodableSource(str(error)) from error


class Positions:
    """Positions in one text as a client counts them: lines end at LF, CRLF or CR; columns are code units."""

    def __init__(self, source: SourceFile, encoding: types.PositionEncodingKind | str) -> None:
        self._source = source
        self._encoding = encoding

    def of(self, source: SourceFile) -> Positions:
        """Positions of the same client in another text."""
        return Positions(source, self._encoding)

    def position(self, offset: int) -> types.Position:
        """Where a byte of ``SourceFile.data`` stands."""
        line = self._source.line_of(offset)
        before = self._source.data[self._source.line_starts[line - 1] : offset].decode("utf-8", "replace")
        marked = _BOM if self._source.bom and line == 1 else ""  # the client shows it as a character
        return types.Position(line - 1, self._units(marked + before))

    def range(self, span: Span) -> types.Range:
        """A range of bytes."""
        return types.Range(self.position(span.start), self.position(span.end))

    def line(self, number: int) -> types.Range:
        """What stands on a 1-based line, without the blanks around it."""
        number = min(max(number, 1), len(self._source.line_starts))
        text = self._source.line_text(number)
        start = self._source.line_starts[number - 1]
        first = start + len(text[: len(text) - len(text.lstrip())].encode())
        return self.range(Span(first, max(first, start + len(text.rstrip().encode()))))

    def edits(self, edits: Iterable[Edit]) -> list[types.TextEdit]:
        """Edits of the text, in the order of their places."""
        ordered = sorted(edits, key=lambda edit: (edit.start, edit.end))
        return [types.TextEdit(self.range(Span(e.start, e.end)), e.text.decode("utf-8")) for e in ordered]

    def difference(self, after: SourceFile) -> list[types.TextEdit]:
        """The edits, line by line, that make another text of this one."""
        starts = [*self._source.line_starts, len(self._source.data)]
        old, new = self._source.data.splitlines(keepends=True), after.data.splitlines(keepends=True)
        changed = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        return self.edits(
            Edit(starts[first], starts[end], b"".join(new[start:stop]))
            for tag, first, end, start, stop in changed
            if tag != "equal"
        )

    def _units(self, text: str) -> int:
        match self._encoding:
            case types.PositionEncodingKind.Utf8:
                return len(text.encode("utf-8"))
            case types.PositionEncodingKind.Utf32:
                return len(text)
        return len(text.encode("utf-16-le")) // 2


def meet(one: types.Range, other: types.Range) -> bool:
    """Whether two ranges have a place in common; an empty one may stand at the other's edge."""

    def key(position: types.Position) -> tuple[int, int]:
        return position.line, position.character

    return key(one.start) <= key(other.end) and key(other.start) <= key(one.end)
