"""Which repositories, by the lines of a list.

A list may come from anywhere, so each line is held against what git would make of it: a program to run, an option,
a password that would stand in the process list. What is refused is told with its line before anything is fetched.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from leakfix.fleet import FleetError
from leakfix.project.display import visible

_SCHEMES = ("https", "http", "ssh", "git", "file")
_TRANSPORT = re.compile(r"[\w+.-]+::")
_SCHEME = re.compile(r"([A-Za-z][\w+.-]*)://")
_SECURE_COPY = re.compile(r"(?:[\w.][\w.-]*@)?[A-Za-z0-9][\w.-]*:(?!:).+", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_\[][\w.:\[\]-]*", re.ASCII)
_NO_REF = re.compile(r"^[-+@/]|[\s~^:?*\[\\]|\.\.|@\{|/$|\.lock$")
_COMMENT = re.compile(r"(^|\s)#.*")


@dataclass(frozen=True, order=True)
class Repository:
    """Where a repository is fetched from, and at what; None is the branch it shows by default."""

    url: str
    ref: str | None = None


def listed_in(path: str) -> list[Repository]:
    """The repositories of a file with one a line, or of standard input (``-``). Raises FleetError and OSError."""
    return distinct(_parsed(path, _text(path)))


def distinct(repositories: Iterable[Repository]) -> list[Repository]:
    """Each repository once at each ref, however its address ends."""
    seen: dict[tuple[str, str | None], Repository] = {}
    for repository in repositories:
        seen.setdefault((repository.url.removesuffix(".git"), repository.ref), repository)
    return list(seen.values())


def repository_of(text: str) -> Repository:
    """Read ``URL``, ``URL REF`` or ``URL @REF``. Raises FleetError."""
    if visible(text.replace("\t", " ")) != text.replace("\t", " "):
        raise FleetError("holds characters that cannot be seen; write the line anew")
    address, *rest = text.split()
    url = _address(address)
    if len(rest) > 1:
        raise FleetError(
            "has more than an address and a branch, tag or commit; "
            "a path with blanks is written as file:///... with %20 for each"
        )
    return Repository(url, _ref(rest[0].removeprefix("@")) if rest else None)


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    with open(path, "rb") as stream:
        return stream.read().decode("utf-8-sig", "surrogateescape")


def _parsed(path: str, text: str) -> Iterator[Repository]:
    wrong = []
    for number, line in enumerate(text.split("\n"), start=1):
        entry = _COMMENT.sub("", line.rstrip("\r")).strip(" \t")
        try:
            if entry:
                yield repository_of(entry)
        except FleetError as error:
            wrong.append(f"{path}:{number}: {error}")
    if wrong:
        raise FleetError("\n".join(wrong))


def _address(text: str) -> str:
    if text.startswith("-"):
        raise FleetError("begins with '-', which git would read as an option")
    if _TRANSPORT.match(text):
        raise FleetError(f"names a transport that may run programs; use one of {', '.join(_SCHEMES)}")
    if scheme := _SCHEME.match(text):
        return _url(text, scheme[1])
    if _SECURE_COPY.fullmatch(text):
        return text
    return os.path.abspath(os.path.expanduser(text))


def _url(text: str, scheme: str) -> str:
    if scheme not in _SCHEMES:
        raise FleetError(f"begins with {scheme}://; use one of {', '.join(_SCHEMES)}")
    try:
        parts = urlsplit(text)
        hidden = parts.password is not None or (parts.username is not None and scheme.startswith("http"))
        _ = parts.port
    except ValueError as error:
        raise FleetError(f"is no valid address: {error}") from error
    if hidden:
        raise FleetError("holds a password or token; take it out and set LEAKFIX_TOKEN instead")
    if scheme != "file" and not _HOST.fullmatch(parts.hostname or ""):
        raise FleetError("names no host")
    if (parts.username or "").startswith("-"):
        raise FleetError("begins its user with '-', which would be read as an option")
    return text.rstrip("/")


def _ref(text: str) -> str:
    if not text or _NO_REF.search(text):
        raise FleetError(f"{text!r} is no branch, tag or commit")
    return text
