"""Which files are worth parsing, from their bytes alone."""

from __future__ import annotations

import re
from collections.abc import Collection

from leakfix.resources import ResourceTable

_IMPORTED = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([^\n#]+)", re.MULTILINE)
_WORD = re.compile(rb"\w+")


class Prefilter:
    """Keeps the files that import a library of the tables and use one of the words that lead to its resources."""

    def __init__(self, table: ResourceTable) -> None:
        self._quick = sorted(word.encode() for word in table.import_roots | table.telling_words)
        self._imports = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*(?:from|import)[ \t]+([^\n]*\b(?:" + _either(table.import_roots) + rb")\b[^\n]*)", re.M)
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
    """Whether a file imports one of the modules (by last name) and mentions something it exports."""
    seen: set[bytes] = set()
    for match in _IMPORTED.finditer(data):
        for word in _WORD.findall(match.group(1)):
            names = exports.get(word)
            if names and word not in seen:
                seen.add(word)
                if any(name in data for name in names):
                    return True
    return False


def _either(words: Collection[str]) -> bytes:
    return b"|".join(re.escape(word.encode()) for word in sorted(words)) or b"(?!)"


def _alternatives(words: Collection[str]) -> re.Pattern[bytes]:
    return re.compile(_either(words))
