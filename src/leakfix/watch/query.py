"""Statements made comparable and short, and rid of their literals: those can be somebody's data, or a password."""

from __future__ import annotations

import re

LONGEST = 120  # characters

_NUMBER = r"(?<![\w$.])(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)"
_COMMENT = r"/\*.*?(?:\*/|\Z)|--[^\n]*"
_BACKSLASHED = r"'(?:[^'\\]|''|\\(?:.|\Z))*(?:'|\Z)"
_POSTGRESQL = re.compile(
    rf"""(?P<comment>{_COMMENT})
    |(?P<literal>\b[eE]{_BACKSLASHED}|(?:\b(?:[uU]&|[bBxXnN]))?'(?:[^']|'')*(?:'|\Z)
        |\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)|{_NUMBER})
    |(?P<name>"(?:[^"]|"")*(?:"|\Z))""",
    re.DOTALL | re.VERBOSE,
)
_MYSQL = re.compile(
    rf"""(?P<comment>{_COMMENT}|\#[^\n]*)
    |(?P<literal>(?:\b[bBxXnN])?{_BACKSLASHED}|"(?:[^"\\]|""|\\(?:.|\Z))*(?:"|\Z)|{_NUMBER})
    |(?P<name>`(?:[^`]|``)*(?:`|\Z))""",
    re.DOTALL | re.VERBOSE,
)
_PLACE = r"(?:\?|\$\d+|%s)"
_LIST = re.compile(rf"\(\s*{_PLACE}(?:\s*,\s*{_PLACE})+\s*\)")


def normalised(text: str, *, mysql: bool = False) -> str:
    """The statement on one line, comments left out, literals as ``?``, lists of places as one, and shortened.

    The text may be cut off anywhere, as servers do; a literal that does not end goes on to the end. MySQL has another
    idea of quotes and backslashes than PostgreSQL, and says so by ``mysql``.
    """
    pattern = _MYSQL if mysql else _POSTGRESQL
    bare = pattern.sub(_replacement, text)
    return shortened(_LIST.sub("(?, ...)", " ".join(bare.split())))


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, its end left out where it is too long."""
    return text if len(text) <= longest else text[: longest - 3].rstrip() + "..."


def _replacement(found: re.Match[str]) -> str:
    if found["comment"] is not None:
        return " "
    return "?" if found["literal"] is not None else found[0]
