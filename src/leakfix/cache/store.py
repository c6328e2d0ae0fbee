"""Entries on disk: each whole or not there, checked when it is read, the least used given up when there are too many.

Entries are data, never code: whatever stands in a file of the store, reading it runs nothing.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from contextlib import suppress

_MAGIC = b"leakfix cache 1\n"
_DIGEST = 32
_ENDING = ".entry"
_MOST_BYTES = 512 * 1024 * 1024
_MOST_UNUSED = 30 * 24 * 3600.0  # seconds
_TEMPORARY = "."


def default_folder() -> str:
    """Where entries are kept: $LEAKFIX_CACHE_DIR, else the place the system has for caches of this user."""
    chosen = os.environ.get("LEAKFIX_CACHE_DIR")
    if chosen:
        return os.path.abspath(chosen)
    if sys.platform == "win32":
        above = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~")
    elif sys.platform == "darwin":
        above = os.path.expanduser("~/Library/Caches")
    else:
        above = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(above, "leakfix")


def named(parts: Iterable[str]) -> str:
    """A key for what was asked of this Python in this working directory. Raises OSError where that is gone."""
    told = "\0".join([sys.version, sys.platform, *sys.path, os.getcwd(), *parts])
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:40]


class Store:
    """A folder of entries by key. Nothing here ever fails a run: what cannot be read or written is not there."""

    def __init__(self, folder: str | None = None, most_bytes: int = _MOST_BYTES) -> None:
        self.folder = folder or default_folder()
        self._most_bytes = most_bytes

    def load(self, key: str) -> bytes | None:
        """The entry of a key; None where there is none, and where it is not as it was written (it is removed)."""
        path = self._path(key)
        try:
            with open(path, "rb") as stream:
                raw = stream.read()
        except OSError:
            return None
        start = len(_MAGIC) + _DIGEST
        content = memoryview(raw)[start:]
        if raw[: len(_MAGIC)] != _MAGIC or raw[len(_MAGIC) : start] != hashlib.sha256(content).digest():
            with suppress(OSError):
                os.unlink(path)
            return None
        with suppress(OSError):
            os.utime(path)  # used now
        return bytes(content)

    def save(self, key: str, content: bytes) -> bool:
        """Keep an entry; readers see the former or the new one, whoever writes at the same time."""
        import tempfile

        path = self._path(key)
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY, suffix=_ENDING, dir=self.folder)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(_MAGIC + hashlib.sha256(content).digest())
                    stream.write(content)
                os.replace(temporary, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError:
            return False
        return True

    def tidy(self) -> None:
        """Remove what was not used for long, and the least used beyond the store's size."""
        import time

        now, entries = time.time(), []
        with suppress(OSError), os.scandir(self.folder) as scanned:
            for entry in scanned:
                with suppress(OSError):
                    if entry.name.endswith(_ENDING) and entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        entries.append((status.st_mtime, status.st_size, entry.path))
        room = self._most_bytes
        for used, size, path in sorted(entries, reverse=True):
            room -= size
            if room < 0 or now - used > _MOST_UNUSED:
                with suppress(OSError):
                    os.unlink(path)

    def clear(self) -> int:
        """Remove every entry; returns how many there were."""
        removed = 0
        with suppress(OSError), os.scandir(self.folder) as scanned:
            for entry in scanned:
                if entry.name.endswith(_ENDING) and entry.is_file(follow_symlinks=False):
                    with suppress(OSError):
                        os.unlink(entry.path)
                        removed += 1
        return removed

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, key + _ENDING)
