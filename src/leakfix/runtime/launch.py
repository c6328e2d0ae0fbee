"""The tracker inside a program that ``leakfix run`` started: told by files in one folder, asked by a signal.

A process has ``PID.pid`` there as long as it lives, and leaves ``PID.json``, its evidence, when it ends or is asked.
Nothing of it waits, starts a thread or keeps the program from ending.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from leakfix.resources import table_from
from leakfix.runtime.evidence import dumped, told
from leakfix.runtime.tracker import Tracker

ROWS = "rows.json"
QUIET = "quiet"
ASK = getattr(signal, "SIGUSR1", None)


class Launched:
    """The tracker of this process and the folder it tells into."""

    def __init__(self, folder: str) -> None:
        with open(os.path.join(folder, ROWS), encoding="utf-8") as stream:
            settings = json.load(stream)
        self.folder = folder
        self.tracker = Tracker(table_from([settings["rows"]]), settings["packages"], settings["hold"])
        self._joins_multiprocessing = False

    def begin(self) -> None:
        """Watch from now on."""
        self.tracker.start()
        self.present()
        atexit.register(self.end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before_fork, after_in_child=self.present)
        if ASK is not None and signal.getsignal(ASK) is signal.SIG_DFL:
            signal.signal(ASK, self.asked)

    def present(self) -> None:
        """Say that this process is watched."""
        with suppress(OSError):
            self._write(f"{os.getpid()}.pid", " ".join(sys.argv[:1]) or "python")

    def _before_fork(self) -> None:
        """Children of multiprocessing end without atexit; they run finalizers instead."""
        util = sys.modules.get("multiprocessing.util")
        if util is not None and not self._joins_multiprocessing:
            self._joins_multiprocessing = True
            util.register_after_fork(self, lambda self: util.Finalize(None, self.end, exitpriority=-1000))

    def end(self) -> None:
        """Tell everything; the program is over."""
        with suppress(Exception):
            self.tracker.ledger.settle()
            self.tell()
            self.tracker.ledger.active = False
            os.unlink(os.path.join(self.folder, f"{os.getpid()}.pid"))

    def tell(self) -> None:
        """Leave the evidence there is now. Raises OSError."""
        self._write(f"{os.getpid()}.json", dumped(self.tracker.evidence()))

    def asked(self, number: int, frame: FrameType | None) -> None:
        """Print what is held, by acquiring line."""
        with suppress(Exception):
            self.tell()
            if not os.path.exists(os.path.join(self.folder, QUIET)):
                sys.stderr.write("".join(told(self.tracker.evidence(), f"process {os.getpid()}")))
                sys.stderr.flush()

    def _write(self, name: str, text: str) -> None:
        partial = os.path.join(self.folder, f".{name}.tmp")
        with open(partial, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(partial, os.path.join(self.folder, name))


def begin(folder: str) -> None:
    """Start the tracker in this process. Raises OSError or ValueError where the folder does not hold the rows."""
    Launched(folder).begin()
