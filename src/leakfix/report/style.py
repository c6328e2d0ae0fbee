"""The few colours reports use, written as plain escape sequences: quicker than any library that does more."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import IO

Paint = Callable[[str, "Style"], str]


class Style(Enum):
    """What a piece of text is; the value is its terminal attribute."""

    ERROR = "1;31"
    WARNING = "1;33"
    NOTE = "1;36"
    STRONG = "1"
    GUTTER = "1;34"
    ACQUIRED = "31"
    STEP = "33"
    FIX = "1;32"


def has_colour(stream: IO[str]) -> bool:
    """Whether to colour what goes to a stream: a terminal, and nobody objects."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painter(colour: bool) -> Paint:
    """A function that paints text, or leaves it as it is."""
    return _painted if colour else _plain


def _painted(text: str, style: Style) -> str:
    return f"\x1b[{style.value}m{text}\x1b[0m" if text else text


def _plain(text: str, style: Style) -> str:
    return text
