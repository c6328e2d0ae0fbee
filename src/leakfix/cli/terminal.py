"""What a terminal gets and a file does not: colour, progress, questions."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import click

from leakfix.project.display import visible
from leakfix.report.style import has_colour


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def complain(kind: str, text: str) -> None:
    """Say something on stderr, where it cannot be taken for a result."""
    click.echo(complaint(kind, text), err=True, nl=False)


def complaint(kind: str, text: str) -> str:
    """What is said on stderr, as lines for that stream."""
    red, yellow = ("error", "red"), ("warning", "yellow")
    colour = dict((red, yellow)).get(kind) if has_colour(sys.stderr) else None
    lines = "\n".join(visible(line) for line in text.split("\n"))
    return f"{click.style(kind, fg=colour, bold=True) if colour else kind}: {lines}\n"


@contextlib.contextmanager
def progress(text: str) -> Iterator[None]:
    """Show that something is going on, on a terminal only."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    from rich.console import Console

    with Console(stderr=True, no_color=not has_colour(sys.stderr)).status(text):
        yield


class Keyboard:
    """Answers from the terminal: single keys, lines, and what an editor makes of a file.

    A context: keys come at once as long as it lasts, so that none typed ahead is lost.
    """

    def __init__(self) -> None:
        self._former: list[Any] | None = None

    def __enter__(self) -> Keyboard:
        self._at_once()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._by_lines()

    def _at_once(self) -> None:
        try:
            import termios
            import tty
        except ImportError:  # no such terminals on this system: a line is read, its first character counts
            return
        if not os.isatty(sys.stdin.fileno()):
            return
        self._former = termios.tcgetattr(sys.stdin.fileno())
        tty.setcbreak(sys.stdin.fileno(), termios.TCSADRAIN)

    def _by_lines(self) -> None:
        if self._former is not None:
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._former)
            self._former = None

    def key(self) -> str:
        """One key, as soon as it is pressed; "up" or "down" for the arrows. Raises EOFError at the end of input."""
        key = _read_bytes()
        while key in (b"\n", b"\r"):  # of somebody who is used to lines
            key = _read_bytes()
        if key == b"\x1b":
            key += _read_more()
        if key in (b"", b"\x04"):
            raise EOFError
        if key == b"\x03":
            raise KeyboardInterrupt
        return {b"\x1b[A": "up", b"\x1b[B": "down"}.get(key) or key.decode("utf-8", "replace")

    def line(self, prompt: str) -> str:
        """A line of text."""
        sys.stdout.write(prompt)
        sys.stdout.flush()
        self._by_lines()
        try:
            _wait()
            return os.read(sys.stdin.fileno(), 4096).decode("utf-8", "replace").rstrip("\n")
        finally:
            self._at_once()

    def edited(self, path: str, data: bytes) -> bytes | None:
        """What the person's editor makes of a file; None where it was left as it is. Raises OSError."""
        self._by_lines()
        try:
            return edited(path, data)
        finally:
            self._at_once()


def edited(path: str, data: bytes) -> bytes | None:
    """Let $VISUAL or $EDITOR change a copy of a file; None where it did not. Raises OSError."""
    import shlex
    import subprocess
    import tempfile

    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="leakfix-") as folder:
        copy = os.path.join(folder, os.path.basename(path))
        with open(copy, "wb") as stream:
            stream.write(data)
        code = subprocess.run([*command, copy], check=False).returncode
        if code:
            raise OSError(0, f"{command[0]} ended with {code}")
        with open(copy, "rb") as stream:
            after = stream.read()
    return None if after == data else after


def _read_bytes() -> bytes:
    """One character, which may be several bytes of UTF-8."""
    _wait()
    first = os.read(sys.stdin.fileno(), 1)
    more = 3 if first >= b"\xf0" else 2 if first >= b"\xe0" else 1 if first >= b"\xc0" else 0
    return first + (os.read(sys.stdin.fileno(), more) if more else b"")


def _read_more() -> bytes:
    """The rest of a key that sends several characters; nothing where it was Escape itself."""
    import select

    return os.read(sys.stdin.fileno(), 8) if select.select([sys.stdin], [], [], 0.05)[0] else b""


def _wait() -> None:
    """Wait for input in short steps: one long read misses a Ctrl-C that comes just before it begins."""
    import select

    while not select.select([sys.stdin], [], [], 0.2)[0]:
        continue
