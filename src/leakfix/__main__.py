"""The program: ``leakfix`` and ``python -m leakfix``."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn


def main() -> None:
    """Run the command line and leave with its exit code."""
    forget_working_directory()
    if sys.argv[1:] == ["--version"]:
        _print_version()
        return
    try:
        from leakfix.cli import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End without taking down millions of syntax nodes one by one, which takes longer than many a check."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _print_version() -> None:
    from leakfix import __version__

    try:
        print(f"leakfix {__version__}", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def forget_working_directory() -> None:
    """Take the working directory off the import path: it is what is scanned, and must never be run.

    ``-m`` and PYTHONPATH put entries before the standard library; what stands behind it was installed.
    """
    library = os.path.dirname(os.__file__)
    own = os.path.realpath(os.path.dirname(os.path.dirname(__file__)))
    early = sys.path.index(library) if library in sys.path else len(sys.path)
    kept = [entry for entry in sys.path[:early] if _is_trusted(entry, own)]
    sys.path[:early] = kept


def _is_trusted(entry: str, own: str) -> bool:
    if not os.path.isabs(entry):
        return False
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:
        return True
    real = os.path.realpath(entry)
    if real == own:
        return True
    if here == os.sep:
        return real != here
    return not (real + os.sep).startswith(here + os.sep)


if __name__ == "__main__":
    main()
