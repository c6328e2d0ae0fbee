"""Where the memory of a question is kept.

A question is a working directory, the paths and the settings of a check: equal questions have equal answers as long as
nothing on disk changes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from leakfix.cache.framed import framed, unframed
from leakfix.cache.memory import Memory, restored
from leakfix.cache.snapshot import Snapshot
from leakfix.cache.store import Store, named
from leakfix.result import Report

_FORMAT = "4"


def key_of(paths: Sequence[str], settings: str) -> str:
    """A name for a question. settings: all of them, as text that is the same for the same settings."""
    return named([_FORMAT, settings, *paths])


class Kept:
    """What is kept of a question, and where.

    snapshot: how all stands; None until an answer was kept, or found to hold still.
    """

    def __init__(self, store: Store, key: str) -> None:
        """Load what is kept under a key."""
        self.store, self.key = store, key
        self.snapshot: Snapshot | None = None
        self._former: Snapshot | None = None
        self._report = self._rest = b""
        self._memory: Memory | None = None
        raw = store.load(key)
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            pieces = unframed(raw or b"", 3)
            self._former = Snapshot.loaded(pieces[0])
            self._report, self._rest = pieces[1:]

    @property
    def memory(self) -> Memory | None:
        """What a run can go on from."""
        if self._memory is None and self._former is not None:
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                self._memory = Memory.loaded(self._former, self._report, self._rest)
            self._former = None if self._memory is None else self._former
        return self._memory

    def answer(self) -> Report | None:
        """The answer of the last run, if it still holds."""
        report = None
        if self._former is not None and self._former.holds(self._matters_not):
            with suppress(ValueError):
                report = restored(json.loads(self._report))
        self.snapshot = self._former if report is not None else None
        return report

    def _matters_not(self) -> bool:
        return self.memory is not None and self.memory.is_the_same_without(self.memory.names_changed())

    def forget(self) -> None:
        """Go on from nothing."""
        self.snapshot = self._former = self._memory = None

    def keep(self, memory: Memory) -> None:
        """Keep what a run found for the next one."""
        self.snapshot, self._memory = memory.snapshot(), memory
        if self.store.save(self.key, framed([self.snapshot.dumped(), *memory.dumped(self.snapshot)])):
            self.store.tidy()
