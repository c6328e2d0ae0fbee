"""Work that takes too long is stopped, and nothing of the stopping is left behind."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import pytest

from leakfix.project.timelimit import OutOfTime, limited


def spin() -> None:
    while True:
        pass


def test_endless_work_is_stopped() -> None:
    with pytest.raises(OutOfTime), limited(0.05):
        spin()
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGVTALRM) in (signal.SIG_DFL, None)


def test_no_handler_of_exceptions_holds_it_up() -> None:
    def stubborn() -> None:
        while True:
            with contextlib.suppress(Exception):
                spin()

    with pytest.raises(OutOfTime), limited(0.05):
        stubborn()


def test_waiting_is_not_work() -> None:
    with limited(0.05):
        time.sleep(0.2)


def test_work_in_time_is_left_alone_and_may_be_limited_again() -> None:
    for _ in range(100):
        with limited(60):
            pass
    with pytest.raises(OutOfTime), limited(0.05):
        spin()


def test_other_threads_are_not_limited() -> None:
    done = []

    def work() -> None:
        with limited(0.01):
            end = time.thread_time() + 0.05
            while time.thread_time() < end:
                pass
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
