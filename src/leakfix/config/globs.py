"""Patterns of files and folders.

One without a slash is about names; one with a slash about whole paths, from the folder of the settings that have it.
``*`` stands for anything, slashes too, ``**/`` for any folders or none, ``{a,b}`` for either.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from fnmatch import translate
from functools import cached_property, lru_cache

_EITHER = re.compile(r"(?<!\[)\{([^{}]*)\}")
_SPECIAL = re.compile(r"([*?\[{])")


def is_path(pattern: str) -> bool:
    """Whether a pattern is about whole paths."""
    return "/" in pattern.rstrip("/")


def anchored(pattern: str, folder: str) -> str:
    """A pattern that means the same wherever it is read: one of paths, from a folder, with all of that."""
    mark, plain = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
    if not is_path(plain) or plain.startswith("/"):
        return pattern
    literal = _SPECIAL.sub(r"[\1]", folder.rstrip("/"))
    return f"{mark}{literal}/{plain.removeprefix('./')}"


def alternatives(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """One expression for several patterns; None where there are none."""
    spelled = [form for pattern in patterns for form in _forms(pattern.rstrip("/"))]
    both = {form for pattern in spelled for form in (pattern, pattern.replace("**/", ""))}
    return re.compile("|".join(map(translate, sorted(both)))) if both else None


def _forms(pattern: str) -> Iterator[str]:
    match = _EITHER.search(pattern)
    if match is None:
        yield pattern
        return
    for part in match[1].split(","):
        yield from _forms(pattern[: match.start()] + part + pattern[match.end() :])


class Place:
    """A file as patterns see it: its name, its path from a root, its absolute path."""

    def __init__(self, path: str, root: str) -> None:
        self._path = path
        self._root = root

    @cached_property
    def _seen(self) -> tuple[str, str, str]:
        whole = os.path.normpath(os.path.abspath(self._path))
        inside = os.path.relpath(whole, self._root)
        return os.path.basename(whole), inside.replace(os.sep, "/"), whole.replace(os.sep, "/")

    def fits(self, pattern: str) -> bool:
        """Whether a pattern is about the file or a folder that it names; with ``!`` before it, whether it is not."""
        if pattern.startswith("!"):
            return not self.fits(pattern[1:])
        name, inside, whole = self._seen
        if not is_path(pattern) and not pattern.endswith("/"):
            return _one(pattern).match(name) is not None
        pattern = pattern.removeprefix("./")
        subject = whole if pattern.startswith("/") else inside
        return _one(pattern + "*" if pattern.endswith("/") else pattern).match(subject) is not None


@lru_cache(maxsize=1024)
def _one(pattern: str) -> re.Pattern[str]:
    compiled = alternatives([pattern])
    assert compiled is not None
    return compiled
