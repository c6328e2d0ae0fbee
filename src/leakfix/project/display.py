"""Text from the scanned tree, made safe to show: a file name or a comment must not steer the terminal."""

from __future__ import annotations

import unicodedata

_FORMAT = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}


def visible(text: str) -> str:
    """The text with control, direction-changing and undecodable characters written as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def encodable(text: str) -> str:
    """The text as UTF-8 can hold it: a byte that was none becomes an escape, not half a surrogate."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def visible_line(text: str, tab: int = 4) -> str:
    """A source line for display: tabs expanded, the rest as in ``visible``."""
    return visible(text.replace("\t", " " * tab))


def cells(text: str) -> int:
    """How many terminal columns a visible text takes."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _FORMAT:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
