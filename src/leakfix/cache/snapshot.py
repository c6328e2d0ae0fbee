"""How all stood that an answer depends on, and whether it stands so still; no file is read to know that.

Imported before everything else of a check, so it imports little itself.
"""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from leakfix.cache.framed import framed, unframed
from leakfix.cache.program import Program
from leakfix.project.stamps import LARGEST, Stamp, stamp

if TYPE_CHECKING:
    from leakfix.project.trace import Trace


_INITIAL = "__init__"


class Snapshot:
    """The stamps of files and folders, what git listed, and the program.

    paths, stamps: the files, and four numbers for each. walked, listed: the stamps of folders that were searched for
    files, and of those in which names were looked for. outside: the names in those of the latter that do not lie below
    the working directory. asked: patterns of the names that were looked for. words: those of all imports. git: a digest
    of what was listed, by folder.
    """

    def __init__(
        self,
        program: Program,
        paths: list[str],
        stamps: array[int],
        walked: dict[str, Stamp],
        listed: dict[str, Stamp],
        outside: dict[str, list[str]],
        asked: list[str],
        words: list[str],
        git: dict[str, str],
    ) -> None:
        self.program, self.paths, self.stamps = program, paths, stamps
        self.walked, self.listed, self.git = walked, listed, git
        self._outside, self._asked, self._words = outside, asked, words
        self._raw: bytes | None = None

    @classmethod
    def of(cls, program: Program, trace: Trace) -> Snapshot:
        """How all stood when a run took it down."""
        paths = sorted(trace.files)
        return cls(
            program,
            paths,
            array("q", [number for path in paths for number in trace.files[path][0]]),
            dict(trace.walked),
            {folder: stamp for folder, (stamp, _) in trace.listings.items()},
            {folder: list(names or ()) for folder, (_, names) in trace.listings.items() if _is_outside(folder)},
            sorted(trace.asked),
            sorted(words_in(written for imports in trace.imports.values() for written in imports)),
            {folder: content.hex() for folder, content in trace.git.items()},
        )

    @property
    def asked(self) -> set[str]:
        """Patterns of the names that were looked for."""
        return set(self._asked)

    def holds(self, matters_not: Callable[[], bool] = lambda: False) -> bool:
        """Whether all stands as it did.

        matters_not: tells whether the names that came or went in folders of the project make no difference.
        """
        if not self.program.is_unchanged():
            return False
        listings = self._listings()
        try:
            if not self._files_hold() or not all(stamp(folder) == was for folder, was in self.walked.items()):
                return False
            other = {folder for folder, was in self.listed.items() if stamp(folder) != was}
            if not all(map(self._matters_not, other)) and not matters_not():
                return False
            return all(started.digest().hex() == self.git[folder] for folder, started in listings.items())
        finally:
            for started in listings.values():
                started.close()

    def _listings(self) -> dict[str, Any]:
        """What git lists now, while the rest is compared."""
        if not self.git:
            return {}
        from leakfix.project.git import Started

        return {folder: Started(folder) for folder in self.git}

    def _files_hold(self) -> bool:
        stat, four = os.stat, [iter(self.stamps)] * 4
        try:
            for path, size, modified, changed, inode in zip(self.paths, *four, strict=True):
                if size < 0:
                    if stamp(path) != (size, modified, changed, inode):
                        return False
                    continue
                now = stat(path)
                if (
                    now.st_mtime_ns != modified
                    or now.st_ctime_ns != changed
                    or now.st_size != size
                    or now.st_ino & LARGEST != inode
                ):
                    return False
        except (OSError, ValueError):
            return False
        return True

    def _matters_not(self, folder: str) -> bool:
        """Whether what came or went in a folder outside is nothing that was looked for there."""
        if folder not in self._outside:
            return False
        try:
            now = set(os.listdir(folder))
        except (OSError, ValueError):
            now = set()
        names = now.symmetric_difference(self._outside[folder])
        return not is_asked_for(names, self._asked) and modules_in(names).isdisjoint(self._words)

    def dumped(self) -> bytes:
        """All of it as bytes."""
        if self._raw is not None:
            return self._raw
        told = {
            "program": self.program.values(),
            "walked": self.walked,
            "listed": self.listed,
            "outside": self._outside,
            "asked": self._asked,
            "words": self._words,
            "git": self.git,
        }
        paths = "\0".join(self.paths).encode("utf-8", "surrogatepass")
        self._raw = framed([json.dumps(told, separators=(",", ":")).encode("ascii"), paths, self.stamps.tobytes()])
        return self._raw

    @classmethod
    def loaded(cls, raw: bytes) -> Snapshot:
        """What ``dumped`` gave. Raises ValueError, KeyError, TypeError, AttributeError where it did not."""
        first, paths, numbers = unframed(raw, 3)
        told = json.loads(first)
        stamps = array("q")
        stamps.frombytes(numbers)
        snapshot = cls(
            Program(*told["program"]),
            paths.decode("utf-8", "surrogatepass").split("\0") if paths else [],
            stamps,
            _tuples(told["walked"]),
            _tuples(told["listed"]),
            told["outside"],
            told["asked"],
            told["words"],
            told["git"],
        )
        snapshot._raw = raw
        return snapshot


def _tuples(stamps: dict[str, list[int]]) -> dict[str, Stamp]:
    return {path: (size, modified, changed, inode) for path, (size, modified, changed, inode) in stamps.items()}


def _is_outside(folder: str) -> bool:
    return os.path.isabs(folder) or folder.split("/", 1)[0] == os.pardir


def words_in(imports: Iterable[str]) -> set[str]:
    """The names that files and folders may have to which these imports lead."""
    return {word or _INITIAL for written in imports for word in written.split(".")}


def modules_in(names: Iterable[str]) -> set[str]:
    """The modules and packages that these names in a folder may be."""
    return {name.partition(".")[0] for name in names if name.endswith(".py") or "." not in name}


def is_asked_for(names: Iterable[str], patterns: Iterable[str]) -> bool:
    """Whether one of these names in a folder is one that was looked for."""
    alternatives = "|".join(f"(?:{pattern})" for pattern in patterns)
    return bool(alternatives) and any(map(re.compile(alternatives).fullmatch, names))
