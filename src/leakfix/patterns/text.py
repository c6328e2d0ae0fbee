"""A file's text and the project's, as a pattern codemod is asked about them before anything is parsed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from leakfix.project.mentions import Fact, Mentions


@dataclass(frozen=True, slots=True)
class Text:
    """The path and the bytes of a file, and what stands in the project's other files."""

    path: str
    data: bytes
    mentions: Mentions

    def texts(self, word: str) -> Iterator[bytes]:
        """The bytes of the project's other files in which a word stands."""
        return self.mentions.texts(word, self.path)

    def files(self, word: str) -> Iterator[tuple[str, bytes]]:
        """The same, each with its path."""
        return self.mentions.files(word, self.path)

    def once(self, key: str, compute: Callable[[], Fact]) -> Fact:
        """A fact about the project that does not depend on this file, computed once for all."""
        return self.mentions.once(key, self.path, compute)
