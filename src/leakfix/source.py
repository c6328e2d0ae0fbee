"""Files as bytes, spans in them, and the one currency of change: byte-span edits.

Positions are offsets into the file's text encoded as UTF-8 (``SourceFile.data``), because that is what
``ast`` reports whatever the file's own encoding is. Only this module applies edits and maps the result back
to the file's encoding, byte order mark and line ends.
"""

from __future__ import annotations

import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\r|\n")
_STRING_PARTS = {
    tokenize.STRING,
    *(getattr(tokenize, name) for name in ("FSTRING_MIDDLE", "TSTRING_MIDDLE") if hasattr(tokenize, name)),
}
_BOM = b"\xef\xbb\xbf"


class Span(NamedTuple):
    """A half-open range of bytes in ``SourceFile.data``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replace ``data[start:end]`` by ``text``; an insertion where both are equal."""

    start: int
    end: int
    text: bytes
    reason: str = field(default="", compare=False)


class ConflictingEdits(ValueError):
    """Two edits change the same bytes."""


class UndecodableSource(ValueError):
    """The bytes are not text in the encoding the file declares."""


@dataclass(frozen=True)
class SourceFile:
    """One file as read: its path (for messages), its raw bytes, and what encoding they are in."""

    path: str
    raw: bytes
    encoding: str
    bom: bool
    data: bytes

    @classmethod
    def python(cls, path: str, raw: bytes) -> SourceFile:
        """Read Python bytes by their coding cookie (PEP 263).

        Raises UndecodableSource where the cookie is unknown or the bytes do not fit it.
        """
        bom = raw.startswith(_BOM)
        body = raw[len(_BOM) :] if bom else raw
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
            if encoding in ("utf-8", "utf-8-sig"):
                body.decode("utf-8")
                return cls(path, raw, "utf-8", bom, body)
            return cls(path, raw, encoding, bom, body.decode(encoding).encode("utf-8"))
        except (SyntaxError, UnicodeDecodeError, LookupError) as error:
            raise UndecodableSource(str(error)) from error

    @classmethod
    def utf8(cls, path: str, raw: bytes) -> SourceFile:
        """Read bytes that are UTF-8: Go (its specification, "Source code representation"), TOML, requirements.

        Raises UndecodableSource where they are not.
        """
        bom = raw.startswith(_BOM)
        body = raw[len(_BOM) :] if bom else raw
        try:
            body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UndecodableSource(str(error)) from error
        return cls(path, raw, "utf-8", bom, body)

    @classmethod
    def of(cls, path: str, raw: bytes) -> SourceFile:
        """Read the bytes of a file in the language its name tells. Raises UndecodableSource."""
        return cls.utf8(path, raw) if path.endswith(".go") else cls.python(path, raw)

    @property
    def code(self) -> bytes | str:
        """What the parser takes: text where the bytes would be read by a cookie that is not theirs."""
        return self.data if self.encoding == "utf-8" else self.data.decode("utf-8")

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of each line's first byte; lines end at LF, CRLF or CR, as in Python's tokenizer."""
        lines = self.data.splitlines(keepends=True)
        if lines and not lines[-1].endswith((b"\n", b"\r")):
            lines.pop()
        return [0, *accumulate(map(len, lines))]

    @cached_property
    def string_lines(self) -> frozenset[int]:
        """Lines of a Python file that begin inside a string: their white space is part of its value."""
        found: set[int] = set()
        try:
            for token in tokenize.tokenize(io.BytesIO(self.data).readline):
                if token.type in _STRING_PARTS and token.end[0] > token.start[0]:
                    found.update(range(token.start[0] + 1, token.end[0] + 1))
        except (tokenize.TokenError, SyntaxError):
            pass
        return frozenset(found)

    @cached_property
    def newline(self) -> bytes:
        """The file's own line end: that of its first line."""
        match = _LINE_END.search(self.data)
        return match.group() if match else b"\n"

    def offset(self, line: int, column: int) -> int:
        """Offset of a 1-based line and a column in UTF-8 bytes, as ``ast`` gives them."""
        return self.line_starts[line - 1] + column

    def line_of(self, offset: int) -> int:
        """The 1-based line an offset stands on."""
        return bisect_right(self.line_starts, offset)

    def column_of(self, offset: int) -> int:
        """The 1-based column, in characters, of an offset."""
        start = self.line_starts[self.line_of(offset) - 1]
        return len(self.data[start:offset].decode("utf-8", "replace")) + 1

    def line_text(self, line: int) -> str:
        """One line without its end; empty past the last line."""
        if not 1 <= line <= len(self.line_starts):
            return ""
        start = self.line_starts[line - 1]
        end = self.line_starts[line] if line < len(self.line_starts) else len(self.data)
        return self.data[start:end].rstrip(b"\r\n").decode("utf-8", "replace")

    def text(self, span: Span) -> str:
        """The text of a span."""
        return self.data[span.start : span.end].decode("utf-8")

    def edited(self, edits: Iterable[Edit]) -> SourceFile:
        """The file after the edits. Raises ConflictingEdits; UndecodableSource if the encoding lacks a character."""
        data = apply_edits(self.data, edits)
        try:
            body = data if self.encoding == "utf-8" else data.decode("utf-8").encode(self.encoding)
        except UnicodeEncodeError as error:
            raise UndecodableSource(str(error)) from error
        return SourceFile(self.path, (_BOM if self.bom else b"") + body, self.encoding, self.bom, data)


def apply_edits(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Apply edits, given in any order, to bytes. Insertions at one place keep the order they were given in."""
    pieces, at = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < at:
            raise ConflictingEdits(f"two edits meet at byte {edit.start}")
        pieces += [data[at : edit.start], edit.text]
        at = edit.end
    return b"".join([*pieces, data[at:]])


def unified_diff(path: str, before: bytes, after: bytes, context: int = 3) -> bytes:
    """A unified diff with plain ``a/`` and ``b/`` headings that ``git apply`` takes; empty when equal."""
    if before == after:
        return b""
    import difflib

    lines = difflib.diff_bytes(
        difflib.unified_diff,
        _split_lines(before),
        _split_lines(after),
        f"a/{path}".encode("utf-8", "surrogateescape"),
        f"b/{path}".encode("utf-8", "surrogateescape"),
        n=context,
    )
    return b"".join(line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n" for line in lines)


def _split_lines(data: bytes) -> list[bytes]:
    """Lines as git counts them: only LF ends one."""
    return [line for line in re.split(rb"(?<=\n)", data) if line]
