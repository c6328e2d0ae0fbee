"""The program: ``leakfix`` and ``python -m leakfix``."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

from leakfix.importpath import forget_working_directory


def main() -> None:
    """Run the command line and leave with its exit code."""
    forget_working_directory()
    if sys.argv[1:] == ["--version"]:
        _print_version()
        return
    try:
        from leakfix import cli

        code = cli.main(sys.argv[1:])
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


if __name__ == "__main__":
    main()
