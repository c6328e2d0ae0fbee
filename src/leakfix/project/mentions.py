"""Which files of a project mention a word: asked where a verdict about one file depends on what others do with it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from leakfix.config import Config
from leakfix.project.discover import ROOT_MARKS, discover, displayed
from leakfix.project.files import read_file


class Mentions:
    """Looks words up in all files of the project a file belongs to; each project is listed, each word sought, once."""

    def __init__(self, config: Config, read: Callable[[str], bytes] = read_file) -> None:
        self._config = config
        self._read = read
        self._files: dict[str, Sequence[str]] = {}
        self._found: dict[tuple[str, str], list[str]] = {}

    def texts(self, word: str, path: str) -> Iterator[bytes]:
        """The bytes of the files that ``of`` names."""
        for found in self.of(word, path):
            with suppress(OSError):
                yield self._read(found)

    def of(self, word: str, path: str) -> list[str]:
        """The files beside ``path``, of its project, in whose text a word stands, sorted."""
        root = project_root(path)
        if (root, word) not in self._found:
            self._found[root, word] = self._seek(root, word)
        return [found for found in self._found[root, word] if found != path]

    def _seek(self, root: str, word: str) -> list[str]:
        if root not in self._files:
            self._files[root] = discover([displayed(root)], self._config).files
        plain, pattern = word.encode(), re.compile(rb"\b" + re.escape(word.encode()) + rb"\b")
        found = []
        for path in self._files[root]:
            try:
                data = self._read(path)
            except OSError:
                continue
            if plain in data and pattern.search(data):
                found.append(path)
        return found


def project_root(path: str) -> str:
    """The folder of the project a file belongs to: the outermost with a mark below its repository, else its own."""
    folder = os.path.dirname(os.path.abspath(path))
    best = folder
    while True:
        if any(os.path.exists(os.path.join(folder, mark)) for mark in ROOT_MARKS):
            best = folder
        above = os.path.dirname(folder)
        if above == folder or os.path.exists(os.path.join(folder, ".git")):
            return best
        folder = above
