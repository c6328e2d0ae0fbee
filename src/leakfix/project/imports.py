"""What a file imports, read off its bytes: far quicker than a parser, sometimes more than there is, never less."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_KEYWORD = b"import"
_AFTER = (b" ", b"(", b"\t", b"\\", b"*")
_WORD = re.compile(rb"[\w\x80-\xff]+")
_WORD_OR_STAR = re.compile(rb"[\w\x80-\xff]+|\*")
_HEAD = re.compile(
    rb"(?:\A|[;:\n])[ \t\x0c]*(?:\xef\xbb\xbf)?(?:from\b[ \t\\\r\n]*([.\w\x80-\xff \t]*?)[ \t\\\r\n]*)?\Z"
)


@dataclass(frozen=True, slots=True)
class Imports:
    """The import statements of one file.

    statements: for each the module after ``from`` (empty in a plain ``import``) and the text of the names.
    names: all words of the names, ``*`` where all are imported.
    """

    statements: list[tuple[bytes, bytes]]
    names: frozenset[bytes]

    @classmethod
    def of(cls, data: bytes) -> Imports:
        """Read them off a file's bytes."""
        statements = list(_statements(data))
        return cls(statements, frozenset(_WORD_OR_STAR.findall(b"\n".join([names for _, names in statements]))))

    @property
    def roots(self) -> frozenset[bytes]:
        """Whatever may name a top-level package."""
        return self.names.union([module.partition(b".")[0] for module, _ in self.statements])

    @property
    def bound(self) -> Iterator[tuple[bytes, bytes]]:
        """The top-level package of each import, "" for the own one, and the name it binds."""
        for module, names in self.statements:
            for item in names.strip(b" (").split(b","):
                words = _WORD.findall(item)
                if words:
                    yield (module or words[0]).partition(b".")[0], words[-1] if module or b"as" in words else words[0]

    @property
    def plain_words(self) -> frozenset[bytes]:
        """The words in plain imports, which bind a module."""
        return frozenset(_WORD.findall(b"\n".join([names for module, names in self.statements if not module])))

    @property
    def last_words(self) -> set[bytes]:
        """The last words of the modules imported from, a dot for the own package."""
        return {module.rpartition(b".")[2] or b"." for module, _ in self.statements if module}


def words_of(names: bytes) -> list[bytes]:
    """The words in the text of an import's names."""
    return _WORD.findall(names)


def _statements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = data.find(_KEYWORD)
    while at >= 0:
        after = at + len(_KEYWORD)
        if data[after : after + 1] in _AFTER:
            start = data.rfind(b"\n", 0, at) + 1
            if start > 1 and data[start - 2] in b"\\\r":
                start = _continued_from(data, start)
            head = data[start:at]
            if not head:
                yield b"", _names(data, after)
            elif (match := _HEAD.search(head)) is not None:
                yield b"".join((match[1] or b"").split()), _names(data, after)
        at = data.find(_KEYWORD, after)


def _continued_from(data: bytes, start: int) -> int:
    """Where a line begins that may be the continuation of others."""
    while start and data[max(0, start - 3) : start].rstrip(b"\r\n").endswith(b"\\"):
        start = data.rfind(b"\n", 0, start - 1) + 1
    return start


def _names(data: bytes, at: int) -> bytes:
    end = data.find(b"\n", at)
    names = data[at:end] if end >= 0 else data[at:]
    if b"(" in names and b")" not in names:
        end = data.find(b")", at)
        return data[at:] if end < 0 else data[at:end]
    while end >= 0 and names.endswith((b"\\", b"\\\r")):
        end = data.find(b"\n", end + 1)
        names = data[at:end] if end >= 0 else data[at:]
    return names
