"""The tracker of one process: started once, stopped or left to run until the process ends."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress

from leakfix.resources import ResourceTable
from leakfix.runtime.evidence import Evidence, evidence
from leakfix.runtime.frames import Frames
from leakfix.runtime.ledger import Ledger
from leakfix.runtime.memory import resident
from leakfix.runtime.patches import Patches
from leakfix.runtime.points import points


class Tracker:
    """Watches what a process acquires and releases.

    packages: installed packages whose code counts as the project's own. hold: keep every acquired thing alive until
    ``stop`` or ``ledger.settle``.
    """

    def __init__(self, table: ResourceTable, packages: Collection[str] = (), hold: bool = False) -> None:
        self.ledger = Ledger(Frames(packages), hold)
        self._patches = Patches(self.ledger, points(table))
        self._resident = resident()

    def start(self) -> None:
        """Begin to watch."""
        self._patches.install()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        if self.ledger.active:
            self.ledger.after_fork()
            self._resident = resident()

    def stop(self) -> None:
        """Watch no longer and leave no trace in other people's modules."""
        self._patches.remove()
        self.ledger.close()

    def evidence(self) -> Evidence:
        """What was seen until now."""
        return evidence(self.ledger, self._resident)

    def __enter__(self) -> Tracker:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        with suppress(Exception):
            self.stop()
