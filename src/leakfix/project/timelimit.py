"""A limit of processor time for one piece of work, so that no file of a project holds up all others."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfTime(BaseException):
    """The time is up. No ``Exception``: what makes the failure of a codemod harmless must not go on after this."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the work that is done within, once this process has computed for so many seconds.

    Only the main thread can be interrupted, and only where the system has such a timer (``setitimer``, POSIX);
    elsewhere the work takes as long as it takes.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    is_over = False

    def stop(number: int, frame: FrameType | None) -> None:
        if not is_over:  # a signal may be waiting to be handled when the work is done
            raise OutOfTime

    former = signal.signal(signal.SIGVTALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        yield
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)
