"""Which files of a project mention a word: asked where a verdict about one file depends on what others do with it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar, cast

from leakfix.config import Config, ConfigError
from leakfix.project.discover import ROOT_MARKS, discover, displayed
from leakfix.project.files import read_file
from leakfix.project.trace import has_one_of, remembered, trace

Fact = TypeVar("Fact")
_Pattern = tuple[bytes, re.Pattern[bytes]]  # the plain word, whose search is what makes the other's quick
DEFINITION = "class "
"""What stands before a class's name; all that follow it are sought in one pass."""
_PACKAGE = ("__init__.py",)
_DEFINED = re.compile(rb"class (?<=\bclass )([\w\x80-\xff]+)")


class Mentions:
    """Looks words up in all files of the project a file belongs to; each project is listed, each word sought, once.

    together: words that are sought in one pass as soon as one of them is asked for.
    """

    def __init__(
        self, config: Config, together: Collection[str] = (), read: Callable[[str], bytes] = read_file
    ) -> None:
        self._config = config
        self._together = {word: _pattern(word) for word in together}
        self._read = read
        self._files: dict[str, Sequence[str]] = {}
        self._facts: dict[tuple[str, str], object] = {}
        self._fact: str | None = None
        self._found: dict[tuple[str, str], list[str]] = {}
        self._classes: dict[str, dict[str, bytes]] = {}
        """The classes that each file of a project defines, a space on both sides of each."""

    @property
    def words(self) -> list[bytes]:
        """The words that are sought together."""
        return [plain for plain, _ in self._together.values()]

    def words_in(self, data: bytes, words: frozenset[bytes]) -> list[str]:
        """Which of the words that are sought together stand in a file's bytes by themselves, given those that do."""
        return [word for word, (plain, pattern) in self._together.items() if plain in words and pattern.search(data)]

    def listed(self, root: str, found: Mapping[str, Collection[str]]) -> None:
        """Take over a list of all files of a project with what ``words_in`` said of each."""
        self._files[root] = list(found)
        for word in self._together:
            self._found[root, word] = [path for path, words in found.items() if word in words]

    def renew(self, path: str) -> None:
        """Look again at a file that is not as it was, or is new, or gone."""
        root = project_root(path)
        files = self._files.get(root)
        if files is None:
            return
        try:
            data = self._read(path)
        except OSError:
            data = b""
        if path not in files:
            self._files[root] = sorted({*files, path})
        if root in self._classes:
            self._classes[root][path] = _classes(data)
        for (where, word), found in self._found.items():
            if where == root and _stands(word, data) != (path in found):
                self._found[where, word] = sorted({*found} ^ {path})
                self._facts.clear()
            elif path in found and where == root:
                self._facts.clear()

    def once(self, key: str, path: str, compute: Callable[[], Fact]) -> Fact:
        """A fact about the files of a project, computed when it is first asked for."""
        place = (project_root(path), key)
        fact = f"fact {key} of {place[0]}"
        if trace.on:
            trace.imports.setdefault(path, {})[fact] = fact
        if place not in self._facts:
            outer, self._fact = self._fact, fact
            try:
                self._facts[place] = compute()
            finally:
                self._fact = outer
        return cast(Fact, self._facts[place])

    def texts(self, word: str, path: str) -> Iterator[bytes]:
        """The bytes of the files that ``of`` names."""
        for _, data in self.files(word, path):
            yield data

    def files(self, word: str, path: str) -> Iterator[tuple[str, bytes]]:
        """The same, each with its path."""
        for found in self.of(word, path):
            with suppress(OSError):
                yield found, self._read(found)

    def of(self, word: str, path: str) -> list[str]:
        """The files beside ``path``, of its project, in whose text a word stands, sorted."""
        root = project_root(path)
        if (root, word) not in self._found:
            together = self._together if word in self._together else {word: _pattern(word)}
            for sought, files in self._seek(root, together).items():
                self._found[root, sought] = files
        if trace.on:
            trace.sought(self._fact or path, root, word, self._found[root, word])
        if self._fact is not None:  # a fact about the project is the same whichever file asks first
            return self._found[root, word]
        return [found for found in self._found[root, word] if found != path]

    def _seek(self, root: str, words: Mapping[str, _Pattern]) -> dict[str, list[str]]:
        if all(word.startswith(DEFINITION) for word in words):
            if root not in self._classes:
                self._classes[root] = {path: _classes(data) for path, data in self._contents(root)}
            classes = sorted(self._classes[root].items())
            named = {word: f" {word.removeprefix(DEFINITION)} ".encode() for word in words}
            return {word: [path for path, defined in classes if name in defined] for word, name in named.items()}
        found: dict[str, list[str]] = {word: [] for word in words}
        for path, data in self._contents(root):
            for word, (plain, pattern) in words.items():
                if plain in data and pattern.search(data):
                    found[word].append(path)
        return found

    def _contents(self, root: str) -> Iterator[tuple[str, bytes]]:
        if root not in self._files:
            self._files[root] = self._listed_in(root)
        for path in self._files[root]:
            with suppress(OSError):
                yield path, self._read(path)

    def _listed_in(self, root: str) -> Sequence[str]:
        try:
            return discover([displayed(root)], self._config).files
        except ConfigError:  # settings of some folder that was not asked for; they govern nothing that was
            return discover([displayed(root)], replace(self._config, nearest=None)).files


def _stands(word: str, data: bytes) -> bool:
    return word.encode() in data and _pattern(word)[1].search(data) is not None


def _classes(data: bytes) -> bytes:
    return b" ".join([b"", *_DEFINED.findall(data), b""])


def _pattern(word: str) -> _Pattern:
    return word.encode(), re.compile(rb"\b" + re.escape(word.encode()) + rb"\b")


def project_root(path: str) -> str:
    """The folder of the project a file belongs to: the outermost with a mark below its repository.

    Where nothing marks one it is the outermost package the file is in, and the file's own folder where that is none.
    """
    return _root_of(os.path.dirname(os.path.abspath(path)))


def is_whole(path: str) -> bool:
    """Whether a file belongs to a project whose folder says where it begins, so that all of it can be asked."""
    return has_one_of(project_root(path), (*ROOT_MARKS, ".git"))


def _package_of(folder: str) -> str:
    """The outermost package round a folder, of which one folder or another may lack its ``__init__.py``."""
    best, above = folder, os.path.dirname(folder)
    while above != folder and (has_one_of(folder, _PACKAGE) or has_one_of(above, _PACKAGE)):
        best = folder if has_one_of(folder, _PACKAGE) else best
        folder, above = above, os.path.dirname(above)
    return best


@remembered(65536)
def _root_of(folder: str) -> str:
    best = _package_of(folder)
    while True:
        if has_one_of(folder, ROOT_MARKS):
            best = folder
        above = os.path.dirname(folder)
        if above == folder or has_one_of(folder, (".git",)):
            return best
        folder = above
