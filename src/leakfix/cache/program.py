"""Whether leakfix itself, and whatever brings it codemods, is what it was when an answer was kept."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_OF_INTEREST = (".py", ".toml", ".so", ".pyd")


@dataclass(frozen=True)
class Program:
    """The folders of the packages at work and what is in them; the folders packages are installed in, by their age."""

    folders: tuple[str, ...]
    content: str
    installed: tuple[tuple[str, int], ...]

    @classmethod
    def now(cls, packages: Iterable[str]) -> Program:
        """The program as it is: these packages, which are imported already."""
        folders = sorted({os.path.abspath(path) for name in packages for path in sys.modules[name].__path__})
        return cls(tuple(folders), _content(folders), tuple(_installed()))

    def is_unchanged(self) -> bool:
        """Whether it still is what it was."""
        return self.installed == tuple(_installed()) and self.content == _content(self.folders)

    def values(self) -> dict[str, Any]:
        """As plain values."""
        return {"folders": self.folders, "content": self.content, "installed": self.installed}

    @classmethod
    def of_values(cls, values: dict[str, Any]) -> Program:
        """Back from plain values."""
        installed = tuple((path, age) for path, age in values["installed"])
        return cls(tuple(values["folders"]), values["content"], installed)


def _installed() -> Iterator[tuple[str, int]]:
    """Where packages are found, and when something was last installed or removed there."""
    for path in sys.path:
        try:
            yield path, os.stat(path).st_mtime_ns if path and os.path.basename(path) == "site-packages" else 0
        except OSError:
            yield path, -1


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
