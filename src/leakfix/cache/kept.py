"""Where the memory of a question is kept.

A question is a working directory, the paths and the settings of a check: equal questions have equal answers as long as
nothing on disk changes.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from leakfix.cache.memory import Memory
from leakfix.cache.store import Store
from leakfix.result import Report

_FORMAT = "3"


def key_of(paths: Sequence[str], settings: str) -> str:
    """A name for a question. settings: all of them, as text that is the same for the same settings."""
    parts = [_FORMAT, sys.version, sys.platform, *sys.path, os.getcwd(), settings, *paths]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:40]


@dataclass
class Kept:
    """What is kept of a question, and where."""

    store: Store
    key: str
    memory: Memory | None

    @classmethod
    def of(cls, store: Store, key: str) -> Kept:
        """What is kept under a key."""
        raw = store.load(key)
        return cls(store, key, Memory.loaded(raw) if raw is not None else None)

    def answer(self) -> Report | None:
        """The answer of the last run, if it still holds."""
        return self.memory.answer() if self.memory is not None else None

    def keep(self, memory: Memory) -> None:
        """Keep what a run found for the next one."""
        self.memory = memory
        if self.store.save(self.key, memory.dumped()):
            self.store.tidy()
