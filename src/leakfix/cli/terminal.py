"""What a terminal gets and a file does not: colour, progress, questions."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO

import click

from leakfix.project.display import visible


def has_colour(stream: IO[str]) -> bool:
    """Whether to colour what goes to a stream: a terminal, and nobody objects."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def complain(kind: str, text: str) -> None:
    """Say something on stderr, where it cannot be taken for a result."""
    red, yellow = ("error", "red"), ("warning", "yellow")
    colour = dict((red, yellow)).get(kind) if has_colour(sys.stderr) else None
    lines = "\n".join(visible(line) for line in text.split("\n"))
    click.echo(f"{click.style(kind, fg=colour, bold=True) if colour else kind}: {lines}", err=True)


@contextlib.contextmanager
def progress(text: str) -> Iterator[None]:
    """Show that something is going on, on a terminal only."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    from rich.console import Console

    with Console(stderr=True, no_color=not has_colour(sys.stderr)).status(text):
        yield


def asked(prompt: str) -> str:
    """Ask for a line. Raises EOFError at the end of input.

    Waits in short steps: ``input()`` misses a Ctrl-C that comes just before it begins to read.
    """
    import select

    sys.stdout.write(prompt)
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], 0.2)[0]:
        continue
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
