"""Whether leakfix itself, and whatever brings it codemods, is what it was when an answer was kept."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator

_OF_INTEREST = (".py", ".toml", ".so", ".pyd")


class Program:
    """The folders of the packages at work and what is in them; the folders packages are installed in, by their age."""

    def __init__(self, folders: list[str], content: str, installed: list[list[str | int]]) -> None:
        """What ``values`` gave."""
        self._folders, self._content, self._installed = folders, content, installed

    @classmethod
    def now(cls, packages: Iterable[str]) -> Program:
        """The program as it is: these packages, which are imported already."""
        folders = sorted({os.path.abspath(path) for name in packages for path in sys.modules[name].__path__})
        return cls(folders, _content(folders), list(_installed()))

    def is_unchanged(self) -> bool:
        """Whether it still is what it was."""
        return self._installed == list(_installed()) and self._content == _content(self._folders)

    def values(self) -> tuple[list[str], str, list[list[str | int]]]:
        """As plain values."""
        return self._folders, self._content, self._installed


def _installed() -> Iterator[list[str | int]]:
    """Where packages are found, and when something was last installed or removed there."""
    for path in sys.path:
        try:
            yield [path, os.stat(path).st_mtime_ns if path and os.path.basename(path) == "site-packages" else 0]
        except OSError:
            yield [path, -1]


def _content(folders: Iterable[str]) -> str:
    """A digest of the names, sizes and ages of the code in folders."""
    told = hashlib.sha256()
    waiting = list(folders)
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.name.endswith(_OF_INTEREST):
                status = entry.stat()
                told.update(f"{entry.path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
            elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
                waiting.append(entry.path)
    return told.hexdigest()
