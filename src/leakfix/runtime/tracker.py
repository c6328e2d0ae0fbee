"""The tracker of one process: started once, stopped or left to run until the process ends."""

from __future__ import annotations

import os
import weakref
from collections.abc import Collection
from contextlib import suppress

from leakfix.resources import ResourceTable
from leakfix.runtime.evidence import Evidence, evidence
from leakfix.runtime.frames import Frames
from leakfix.runtime.ledger import Ledger
from leakfix.runtime.patches import Patches


class Tracker:
    """Watches what a process acquires and releases.

    packages: installed packages whose code counts as the project's own. hold: keep every acquired thing alive until
    ``stop`` or ``ledger.settle``. folder: what paths are told relative to, else the working directory.
    """

    def __init__(
        self, table: ResourceTable, packages: Collection[str] = (), hold: bool = False, folder: str | None = None
    ) -> None:
        self._folder = folder
        if folder is None:
            with suppress(OSError):  # it was removed
                self._folder = os.getcwd()
        self.ledger = Ledger(Frames(packages), hold)
        self._patches = Patches(self.ledger, table)

    def start(self) -> None:
        """Begin to watch."""
        self._patches.install()
        if hasattr(os, "register_at_fork"):
            this = weakref.ref(self)  # there is no way to take it back
            os.register_at_fork(after_in_child=lambda: _forked(this()))

    def forked(self) -> None:
        """Begin anew in a child process."""
        self._patches.after_fork()
        if self.ledger.active:
            self.ledger.after_fork()

    def stop(self) -> None:
        """Watch no longer and leave no trace in other people's modules."""
        self._patches.remove()
        self.ledger.close()

    def evidence(self) -> Evidence:
        """What was seen until now."""
        return evidence(self.ledger, self._folder)

    def __enter__(self) -> Tracker:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        with suppress(Exception):
            self.stop()


def _forked(tracker: Tracker | None) -> None:
    if tracker is not None:
        tracker.forked()
