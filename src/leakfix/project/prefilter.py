"""Which files are worth parsing, from their bytes alone."""

from __future__ import annotations

import re
from collections.abc import Collection

from leakfix.resources import ResourceTable

_IMPORTED = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([^\n#]+)", re.MULTILINE)
_WORD = re.compile(rb"\w+")


class Prefilter:
    """Keeps the files that import a library of the tables and call one of its words."""

    def __init__(self, table: ResourceTable) -> None:
        self._roots = _alternatives(table.import_roots | table.telling_words)
        self._words = _alternatives(table.call_words)

    def passes(self, data: bytes) -> bool:
        """Whether a file can acquire something by itself."""
        return self._roots.search(data) is not None and self._words.search(data) is not None


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


def _alternatives(words: Collection[str]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(re.escape(word.encode()) for word in sorted(words)) or b"(?!)")
