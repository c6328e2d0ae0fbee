"""Which files are worth parsing, from their bytes alone."""

from __future__ import annotations

import re
from collections.abc import Collection

from leakfix.resources import ResourceTable

_FROM = re.compile(rb"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]*(\([^)]*\)|[^\n]*)", re.MULTILINE)
_IMPORT = re.compile(rb"^[ \t]*import[ \t]+([^\n#]+)", re.MULTILINE)
_WORD = re.compile(rb"\w+")


class Prefilter:
    """Keeps the files that import a library of the tables and use one of the words that lead to its resources."""

    def __init__(self, table: ResourceTable) -> None:
        self._quick = sorted(word.encode() for word in table.import_roots | table.telling_words)
        self._imports = re.compile(
            rb"^(?:\xef\xbb\xbf)?[ \t]*(?:from|import)[ \t]+([^\n]*\b(?:"
            + _either(table.import_roots)
            + rb")\b[^\n]*)",
            re.M,
        )
        self._words = {
            root.encode(): re.compile(rb"\b(?:" + _either(words) + rb")\b") for root, words in table.file_words.items()
        }
        self._telling = _alternatives(table.telling_words)

    def passes(self, data: bytes) -> bool:
        """Whether a file can acquire something by itself."""
        # `in` is several times quicker than one pattern of alternatives.
        if not any(word in data for word in self._quick):
            return False
        roots = {word for match in self._imports.finditer(data) for word in _WORD.findall(match.group(1))}
        if any(root in self._words and self._words[root].search(data) for root in roots):
            return True
        return self._telling.search(data) is not None


def imports_any(data: bytes, exports: dict[bytes, frozenset[bytes]]) -> bool:
    """Whether a file imports something exported, by name, by star or through its module (known by its last name)."""
    for match in _FROM.finditer(data):
        names = set(_WORD.findall(match.group(2)))
        exported = exports.get(match.group(1).rpartition(b".")[2])
        if exported and (names & exported or match.group(2).lstrip().startswith(b"*")):
            return True
        if any(_uses(data, exports[name]) for name in names & exports.keys()):
            return True
    for match in _IMPORT.finditer(data):
        for word in _WORD.findall(match.group(1)):
            if word in exports and _uses(data, exports[word]):
                return True
    return False


def _uses(data: bytes, exported: frozenset[bytes]) -> bool:
    return any(b"." + name in data for name in exported)


def _either(words: Collection[str]) -> bytes:
    return b"|".join(re.escape(word.encode()) for word in sorted(words)) or b"(?!)"


def _alternatives(words: Collection[str]) -> re.Pattern[bytes]:
    return re.compile(_either(words))
