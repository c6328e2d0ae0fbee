"""The command line. What a check said is said again where nothing has changed; all else is the matter of ``group``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from leakfix.cli.repeated import repeat

FAILED, INTERRUPTED, PIPE_CLOSED = 2, 130, 141
"""Exit codes: an error, and those of a shell for a program that SIGINT and SIGPIPE end."""


def main(arguments: Sequence[str]) -> int:
    """Do what a command line asks for and return its exit code; no exception leaves this function."""
    _prepare_streams()
    try:
        code = repeat(arguments)
        if code is None:
            from leakfix.cli.group import invoke

            code = invoke(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _leave_quietly()
    return code


def _prepare_streams() -> None:
    """A character the terminal's encoding lacks is escaped instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _leave_quietly() -> int:
    """The reader went away: send what is still buffered nowhere, so that the exit makes no noise."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED
