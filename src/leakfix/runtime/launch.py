"""The tracker inside a program that ``leakfix run`` started: told by files in one folder, asked by signals.

A process has ``PID.pid`` there as long as it lives, and leaves ``PID.json``, its evidence, when it ends or is asked.
One signal asks it to print what it holds, as well; the other, which programs have no use for, for its file alone.
Nothing of it waits, starts a thread or keeps the program from ending.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from leakfix.resources import table_from
from leakfix.runtime.evidence import dumped, told
from leakfix.runtime.tracker import Tracker

ROWS = "rows.json"
_FORKING = ("multiprocessing.util", "billiard.util")
ASK: signal.Signals | None = getattr(signal, "SIGUSR1", None)
ASK_QUIETLY: int | None = getattr(signal, "SIGRTMAX", 0) - 7 if hasattr(signal, "SIGRTMAX") else ASK


class Launched:
    """The tracker of this process and the folder it tells into."""

    def __init__(self, folder: str) -> None:
        with open(os.path.join(folder, ROWS), encoding="utf-8") as stream:
            settings = json.load(stream)
        self.folder = folder
        table = table_from([settings["rows"]])
        self.tracker = Tracker(table, settings["packages"], settings["hold"], settings["folder"])
        self._joined: set[str] = set()
        self._telling = False
        self._asked_again = False

    def begin(self) -> None:
        """Watch from now on."""
        self.tracker.start()
        self.present()
        atexit.register(self.end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before_fork, after_in_child=self.present)
        for number in {ASK, ASK_QUIETLY} - {None}:
            with suppress(ValueError):  # an interpreter within another has no signals
                if signal.getsignal(number) is signal.SIG_DFL:  # type: ignore[arg-type]
                    signal.signal(number, self.asked)  # type: ignore[arg-type]

    def present(self) -> None:
        """Say that this process is watched."""
        with suppress(OSError):
            self._write(f"{os.getpid()}.pid", "")

    def _before_fork(self) -> None:
        """Children of multiprocessing, and of what was made after it, end without atexit; they run finalizers."""
        for name in _FORKING:
            util = sys.modules.get(name)
            if util is not None and name not in self._joined:
                self._joined.add(name)
                util.register_after_fork(self, functools.partial(_at_end_of_child, util.Finalize))

    def end(self) -> None:
        """Tell everything; the program is over."""
        self._telling = True
        with suppress(Exception):
            self.tracker.ledger.settle()
            self.tell()
            os.unlink(os.path.join(self.folder, f"{os.getpid()}.pid"))
        with suppress(Exception):
            self.tracker.ledger.close()

    def tell(self) -> None:
        """Leave the evidence there is now. Raises OSError."""
        self._write(f"{os.getpid()}.json", dumped(self.tracker.evidence()))

    def asked(self, number: int, frame: FrameType | None) -> None:
        """Tell what is held, and print it by acquiring line where that is asked for."""
        if self._telling:  # whoever asks meanwhile waits for an answer of his own
            self._asked_again = True
            return
        self._telling = True
        try:
            with suppress(Exception):
                self.tell()
                while self._asked_again:
                    self._asked_again = False
                    self.tell()
                if number != ASK_QUIETLY:
                    sys.stderr.write("".join(told(self.tracker.evidence(), f"process {os.getpid()}")))
                    sys.stderr.flush()
        finally:
            self._telling = False
            if self._asked_again:  # while it was printed
                self.asked(ASK_QUIETLY or 0, None)

    def _write(self, name: str, text: str) -> None:
        partial = os.path.join(self.folder, f".{name}.tmp")
        with open(partial, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(partial, os.path.join(self.folder, name))


def _at_end_of_child(finalize: Callable[..., object], launched: Launched) -> None:
    finalize(None, launched.end, exitpriority=-1000)


def begin(folder: str) -> None:
    """Start the tracker in this process. Raises OSError or ValueError where the folder does not hold the rows."""
    Launched(folder).begin()
