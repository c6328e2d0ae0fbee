"""Repairs as a patch that ``git apply`` takes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from leakfix.finding import Finding, Safety
from leakfix.project.discover import displayed
from leakfix.project.display import visible
from leakfix.project.files import NotWritten, target_of
from leakfix.source import SourceFile, unified_diff

if TYPE_CHECKING:
    from leakfix.result import FileRepair, Report

_ESCAPES = {
    7: b"\\a",
    8: b"\\b",
    9: b"\\t",
    10: b"\\n",
    11: b"\\v",
    12: b"\\f",
    13: b"\\r",
    34: b'\\"',
    92: b"\\\\",
}


def rendered(report: Report) -> Iterator[str]:
    """One patch of every safe fix; a file that could not be written is told of between its parts, as git allows."""
    from leakfix import engine

    accepted = {finding.fingerprint for finding in report.accepted}

    def wanted(finding: Finding, before: SourceFile, after: SourceFile) -> bool:
        return _is_safe(finding) and finding.fingerprint not in accepted

    for repair in changed(engine.repair(report, wanted)):
        try:
            text = patch(repair.path, repair.before, repair.after)
        except NotWritten as error:
            yield f"# {visible(repair.path)}: {error.strerror}\n"
        else:
            yield text.decode("utf-8", "surrogateescape")


def changed(repairs: Iterable[FileRepair]) -> list[FileRepair]:
    """The files that repairs change; first what repaired code will import."""
    found = [repair for repair in repairs if repair.before.raw != repair.after.raw]
    return sorted(found, key=lambda repair: bool(repair.applied))


def _is_safe(finding: Finding) -> bool:
    return finding.fix is not None and finding.fix.safety is Safety.SAFE


def patch(path: str, before: SourceFile, after: SourceFile) -> bytes:
    """The difference of one file, under the name a write would land on. Raises NotWritten like the write."""
    name = displayed(target_of(path)) if os.path.islink(path) else path
    plain = unified_diff(name, before.raw, after.raw)
    headed = plain.split(b"\n", 2)
    if len(headed) < 3:
        return plain
    return b"\n".join([b"--- " + _heading("a/" + name), b"+++ " + _heading("b/" + name), headed[2]])


def new_file(path: str, content: bytes) -> bytes:
    """A file that is not there yet, as the difference from nothing."""
    plain = unified_diff(path, b"", content)
    headed = plain.split(b"\n", 2)
    if len(headed) < 3:
        return plain
    return b"\n".join([b"--- /dev/null", b"+++ " + _heading("b/" + path), headed[2]])


def _heading(name: str) -> bytes:
    """A file name as git writes it: quoted where it holds control characters, ended by a tab where blanks."""
    raw = os.fsencode(name)
    if any(byte < 32 or byte in (34, 92, 127) for byte in raw):
        return b'"' + b"".join(_ESCAPES.get(byte) or _octal(byte) for byte in raw) + b'"'
    return raw + b"\t" if b" " in raw else raw


def _octal(byte: int) -> bytes:
    return bytes([byte]) if 32 <= byte < 127 else b"\\%03o" % byte
