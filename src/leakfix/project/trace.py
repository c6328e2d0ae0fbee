"""What a run read, listed and looked up: everything its findings depend on, so that a later run can tell what changed.

There is one trace for each process, because what is read is read once in each. It takes down nothing until it is told
to, and whoever asks the file system anything that a finding may depend on asks through this module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from leakfix.project.stamps import ABSENT, NEVER, Stamp, digest, settled, stamp_of

Function = TypeVar("Function", bound=Callable[..., object])

_forgetful: list[Callable[[], None]] = []


@dataclass
class Trace:
    """What one run depends on. Paths are as the run writes them, relative to its working directory.

    files: the content that was read, by path. listings: the names in a folder, None where it cannot be listed.
    walked: folders that were searched for files. asked: patterns of names that were looked for in listings.
    imports: the file each import of a file leads to. words: what was sought in all files on behalf of one, each with
    the project it was sought in. mentions: the files each of these stands in. packages: Go's packages by the folder
    that imports them.
    git: what git listed, as a digest, by folder.
    """

    on: bool = False
    files: dict[str, tuple[Stamp, bytes]] = field(default_factory=dict)
    listings: dict[str, tuple[Stamp, tuple[str, ...] | None]] = field(default_factory=dict)
    walked: dict[str, Stamp] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    imports: dict[str, dict[str, str | None]] = field(default_factory=dict)
    words: dict[str, set[str]] = field(default_factory=dict)
    mentions: dict[str, set[str]] = field(default_factory=dict)
    packages: dict[str, set[str]] = field(default_factory=dict)
    git: dict[str, bytes] = field(default_factory=dict)

    def read(self, path: str, status: os.stat_result, data: bytes) -> None:
        """A file was read; what two readings do not agree about is not to be relied on."""
        before = self.files.get(path)
        if before is None:
            self.files[path] = (settled(stamp_of(status)), digest(data))
        elif before[0] != NEVER and before[0] != stamp_of(status):
            self.files[path] = (NEVER, b"")

    def sought(self, path: str, root: str, word: str, found: Iterable[str]) -> None:
        """A word was sought in a project on behalf of a file, and found in these."""
        key = f"{root}\0{word}"
        self.words.setdefault(path, set()).add(key)
        self.mentions.setdefault(key, set()).update(found)

    def add(self, other: Trace) -> None:
        """What another process of the same run took down."""
        for path, (stamp, content) in other.files.items():
            known = self.files.setdefault(path, (stamp, content))
            if known[1] != content:
                self.files[path] = (NEVER, b"")
        self.listings |= other.listings
        self.walked |= other.walked
        self.asked |= other.asked
        self.git |= other.git
        for path, found in other.imports.items():
            self.imports.setdefault(path, {}).update(found)
        for name in ("words", "mentions", "packages"):
            mine, theirs = getattr(self, name), getattr(other, name)
            for key, values in theirs.items():
                mine.setdefault(key, set()).update(values)


trace = Trace()


def begin() -> None:
    """Take everything down from now on, and begin with an empty page."""
    trace.__dict__.update(Trace(on=True).__dict__)
    forget()


def end() -> None:
    """Take nothing down any more, and let go of what was."""
    trace.__dict__.update(Trace().__dict__)


def forget() -> None:
    """Forget what was remembered of the file system: it may have changed since an earlier run."""
    for function in _forgetful:
        function()


def remembered(size: int) -> Callable[[Function], Function]:
    """Like ``functools.lru_cache``, for what depends on the file system: forgotten when the next run begins."""

    def decorate(function: Function) -> Function:
        cached = lru_cache(maxsize=size)(function)
        _forgetful.append(cached.cache_clear)
        return cached  # type: ignore[return-value]

    return decorate


def listing(folder: str) -> frozenset[str]:
    """The names in a folder; empty where it cannot be listed."""
    names: list[str] | None
    try:
        stamp = stamp_of(os.stat(folder or os.curdir)) if trace.on else NEVER
        names = os.listdir(folder or os.curdir)
    except (FileNotFoundError, NotADirectoryError):
        stamp, names = ABSENT, None
    except (OSError, ValueError):
        stamp, names = NEVER, None
    if trace.on:
        trace.listings[folder] = (settled(stamp), tuple(sorted(names)) if names is not None else None)
    return frozenset(names or ())


def names_like(folder: str, pattern: re.Pattern[str]) -> list[str]:
    """The names in a folder that a pattern matches as a whole, sorted."""
    if trace.on:
        trace.asked.add(pattern.pattern)
    return sorted(filter(pattern.fullmatch, listing(folder)))


def has_one_of(folder: str, names: Iterable[str]) -> bool:
    """Whether one of these names stands in a folder."""
    wanted = tuple(names)
    if trace.on:
        trace.asked.update(map(re.escape, wanted))
    return not listing(folder).isdisjoint(wanted)
