"""What a project declares that it needs, and how a library that a repair uses is added to that.

Only a manifest that people write is edited: pyproject.toml (PEP 621, or Poetry's table), requirements.in or
requirements.txt, go.mod. Lock files are for their own tools.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from leakfix.finding import Finding, Requirement
from leakfix.project.files import read_file
from leakfix.project.trace import has_one_of
from leakfix.source import SourceFile

_PYTHON = ("pyproject.toml", "requirements.in", "requirements.txt")
MANIFESTS = (*_PYTHON, "go.mod")
_BUILT_ELSEWHERE = frozenset({"setup.py", "setup.cfg"})
_PINNED = re.compile(rb"--hash|^\s*(?:-r|-c|-e|--requirement|--constraint|--editable)\b", re.MULTILINE)
_REQUIRE_BLOCK = re.compile(rb"^require \([ \t]*\r?\n(?:[^)\n]*\n)*?(?=\))", re.MULTILINE)
_GO_VERSION = re.compile(rb"^go (\d+)\.(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Change:
    """A manifest before and after what is missing was added."""

    before: SourceFile
    after: SourceFile

    @property
    def path(self) -> str:
        """Where it stands."""
        return self.before.path


def declares(path: str, name: str) -> bool:
    """Whether a manifest of the project that a file belongs to names a library."""
    return any(_names(where, data, name) for where, data in _manifests(path))


def can_add(path: str, requirement: Requirement) -> bool:
    """Whether the project that a file belongs to has a manifest a library can be added to."""
    return any(_added(where, data, requirement) is not None for where, data in _leading(_manifests(path)))


def _leading(manifests: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The manifests that may be edited: where a pyproject.toml tells what is built, that one alone."""
    told = [
        item
        for item in manifests
        if item[0].endswith(".toml") and re.search(rb"^\[(?:project|tool\.poetry)\]", item[1], re.M)
    ]
    return told or manifests


def may_use(path: str, requirement: Requirement, allowed: Iterable[str]) -> bool:
    """Whether repaired code in a file may use a library: it is declared, or allowed and can be declared."""
    return declares(path, requirement.name) or (requirement.name in allowed and can_add(path, requirement))


def go_version(path: str) -> tuple[int, int] | None:
    """The version of the language that a file's go.mod asks for."""
    for _, data in _manifests(path):
        match = _GO_VERSION.search(data)
        if match is not None:
            return int(match[1]), int(match[2])
    return None


def additions(done: Iterable[tuple[SourceFile, Iterable[Finding]]]) -> list[Change]:
    """The manifests to be changed for repaired files: each file as it is now, and the findings repaired in it.

    What a file does not use after all, because somebody edited the repair, is not added.
    """
    states: dict[str, tuple[bytes, bytes]] = {}
    for source, findings in done:
        for requirement in _required(source, findings):
            known = [(where, states[where][1] if where in states else data) for where, data in _manifests(source.path)]
            if any(_names(where, data, requirement.name) for where, data in known):
                continue
            for where, data in _leading(known):
                after = _added(where, data, requirement)
                if after is not None:
                    states[where] = (states[where][0] if where in states else data, after)
                    break
    return [
        Change(SourceFile.utf8(where, before), SourceFile.utf8(where, after))
        for where, (before, after) in sorted(states.items())
    ]


def _required(source: SourceFile, findings: Iterable[Finding]) -> Iterator[Requirement]:
    for finding in findings:
        for requirement in finding.fix.requires if finding.fix is not None else ():
            if requirement.imported.encode() in source.data:
                yield requirement


def _manifests(path: str) -> list[tuple[str, bytes]]:
    """The manifests of the innermost folder above a file that has any for its language, as they are on disk.

    Nothing above the folder the run was started in, nor above a repository, is looked at.
    """
    wanted = ("go.mod",) if path.endswith(".go") else _PYTHON
    folder = os.path.dirname(path)
    while True:
        found = list(_readable(folder, wanted))
        if found or folder in ("", ".", os.sep) or has_one_of(folder, (".git",)):
            return found
        folder = os.path.dirname(folder)


def _readable(folder: str, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        where = os.path.normpath(os.path.join(folder, name))
        if not has_one_of(folder, (name,)):
            continue
        try:
            data = read_file(where)
            data.decode("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        yield where, data


def _names(where: str, data: bytes, name: str) -> bool:
    """Whether a manifest asks for a library always, however its name is spelled (PEP 503)."""
    spelled = re.compile(re.escape(name).replace(r"\-", "[-_.]") + r"(?=$|[\s\[=<>~!,@(])[^;]*$", re.IGNORECASE)
    if where.endswith(".toml"):
        return any(spelled.match(text.strip()) for text in _needs(data))
    lines = (line.partition(" #")[0].strip() for line in data.decode("utf-8").splitlines())
    return any(spelled.match(line.removeprefix("require ")) for line in lines)


def _needs(data: bytes) -> Iterator[str]:
    """What a pyproject.toml asks for whoever installs the project: neither extras nor groups."""
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return
    project, tool = document.get("project"), document.get("tool")
    listed = project.get("dependencies") if isinstance(project, dict) else None
    yield from (text for text in listed if isinstance(text, str)) if isinstance(listed, list) else ()
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    needs = poetry.get("dependencies") if isinstance(poetry, dict) else None
    if isinstance(needs, dict):
        yield from (name for name, value in needs.items() if isinstance(value, str))


def _added(where: str, data: bytes, requirement: Requirement) -> bytes | None:
    """A manifest with a library more; None where it declares none of its own, or cannot be edited safely."""
    name = os.path.basename(where)
    if name == "go.mod":
        return _added_to_module(data, requirement)
    if name == "pyproject.toml":
        return _added_to_project(data, requirement)
    if has_one_of(os.path.dirname(where), _BUILT_ELSEWHERE) or _PINNED.search(data):
        return None  # what is installed is listed somewhere else, or pinned by a tool
    return _added_line(data, f"{requirement.name}>={requirement.version}")


def _added_to_project(data: bytes, requirement: Requirement) -> bytes | None:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import Array

    try:
        document = tomlkit.parse(data.decode("utf-8"))
    except (TOMLKitError, RecursionError, ValueError):
        return None
    project = document.get("project")
    listed = project.get("dependencies") if project is not None else None
    if isinstance(listed, Array):
        listed.append(f"{requirement.name}>={requirement.version}")
    else:
        tool = document.get("tool")
        poetry = tool.get("poetry") if tool is not None else None
        needs = poetry.get("dependencies") if poetry is not None else None
        if needs is None or project is not None:
            return None
        needs[requirement.name] = f">={requirement.version}"
    return tomlkit.dumps(document).encode("utf-8")


def _added_line(data: bytes, line: str) -> bytes:
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    joined = data if not data or data.endswith(b"\n") else data + newline
    return joined + line.encode() + newline


def _added_to_module(data: bytes, requirement: Requirement) -> bytes:
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    line = f"{requirement.name} {requirement.version}".encode()
    block = _REQUIRE_BLOCK.search(data)
    if block is None:
        return _added_line(data + (b"" if data.endswith(b"\n") else newline) + newline, f"require {line.decode()}")
    return data[: block.end()] + b"\t" + line + newline + data[block.end() :]
