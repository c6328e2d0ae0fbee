"""Which versions of a library a project allows, as far as its files declare it."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from leakfix.project.discover import ROOT_MARKS
from leakfix.project.files import read_file
from leakfix.project.trace import has_one_of, names_like, remembered

_DECLARING = re.compile(
    r"(?:.*requirements.*\.(?:txt|in|cfg)|pyproject\.toml|setup\.(?:py|cfg)|Pipfile(?:\.lock)?|poetry\.lock|uv\.lock|"
    r"pavement\.py|environment\.ya?ml)"
)
_LISTING = re.compile(r".*\.(?:txt|in)")
_PYTHON = re.compile(r"""(?:requires-python|python_requires|^python)\s*=\s*["'][^"'\d]*(\d+\.\d+)""", re.MULTILINE)
_FOLDERS = ("", "requirements", "reqs")
_ANY = 1_000_000
_MOST_BYTES = 4_000_000

Version = tuple[int, ...]


def only_before(path: str, requirement: str) -> bool:
    """Whether a file's project allows only versions before the one of a requirement such as ``sqlalchemy 1.4``.

    False where nothing is declared. Upper bounds are ``==``, ``<``, ``<=``, ``~=``, conda's ``=`` and locked versions
    (PEP 440). A requirement without a version is one that no version meets: any declaration of it will do.
    """
    package, _, version = requirement.partition(" ")
    root = _root_of(os.path.dirname(os.path.abspath(path)))
    if not version:
        return root is not None and _is_declared(root, package.lower())
    highest = _highest(root, package.lower()) if root else None
    return highest is not None and highest < _numbers(version)


def oldest_python(path: str) -> Version | None:
    """The oldest Python a file's project says it runs on (``requires-python``); None where nothing is declared."""
    root = _root_of(os.path.dirname(os.path.abspath(path)))
    for text in _declarations(root) if root else ():
        match = _PYTHON.search(text)
        if match is not None:
            return _numbers(match.group(1))
    return None


def _root_of(folder: str) -> str | None:
    while True:
        if has_one_of(folder, ROOT_MARKS):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


@remembered(64)
def _highest(root: str, package: str) -> Version | None:
    """The highest version any declaration allows; None where one is open or there is none."""
    bounds: list[Version | None] = []
    for folder in _FOLDERS:
        for text in _declarations(os.path.join(root, folder)):
            bounds += _bounds(text, package)
    known = [bound for bound in bounds if bound is not None]
    return max(known) if known and len(known) == len(bounds) else None


@remembered(64)
def _is_declared(root: str, package: str) -> bool:
    name = re.compile(rf"(?i)(?<![\w.-]){_spelled(package)}(?![\w.-])")
    return any(name.search(text) for folder in _FOLDERS for text in _declarations(os.path.join(root, folder)))


def _declarations(folder: str) -> list[str]:
    found = []
    for name in names_like(folder, _LISTING if os.path.basename(folder) in _FOLDERS[1:] else _DECLARING):
        with suppress(OSError):
            found.append(read_file(os.path.join(folder, name))[:_MOST_BYTES].decode("utf-8", "replace"))
    return found


def _bounds(text: str, package: str) -> list[Version | None]:
    found: list[Version | None] = []
    name = _spelled(package)
    clause = r"[=<>~!]=?=?[ \t]*[\w.*]+[ \t]*,?[ \t]*"
    for match in re.finditer(rf"(?im)(?<![\w.-]){name}(?:\[[^\]]*\])?[ \t]*((?:{clause})+)", text):
        upper = re.findall(r"(===|==|~=|<=|<|(?<![=<>~!])=)[ \t]*([\w.]+)", match.group(1))
        found.append(min((_highest_of(sign, _numbers(version)) for sign, version in upper), default=None))
    for match in re.finditer(rf'(?im)^name = "{name}"\s*\nversion = "([\w.]+)"', text):
        found.append(_numbers(match.group(1)))
    return found


def _spelled(package: str) -> str:
    """A pattern for a package's name, in which hyphens, underscores and dots are the same (PEP 503)."""
    return r"[-_.]".join(map(re.escape, re.split(r"[-_.]", package)))


def _highest_of(sign: str, version: Version) -> Version:
    """The highest version a bound lets through: below 1.2 that is a 1.1 of whatever number."""
    if sign != "<":
        return version
    parts = list(version)
    while parts and parts[-1] == 0:
        parts.pop()
    return (*parts[:-1], parts[-1] - 1, _ANY) if parts else (0,)


def _numbers(version: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("b")[0].split("rc")[0])[:3])
