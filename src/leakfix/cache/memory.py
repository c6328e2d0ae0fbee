"""What the last run found and what it depended on; and what of that still holds.

Where nothing it depended on changed, its answer is the answer. Where files changed, what depends on them is found by
following what the run took down (see ``leakfix.project.trace``): imports and the files they led to, words that were
sought everywhere, packages. Where something changed of which nobody can say what depends on it (the project's settings,
leakfix itself), everything is done anew.
"""

from __future__ import annotations

import json
import os
import re
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from leakfix.cache.program import Program
from leakfix.cache.values import from_finding, to_finding
from leakfix.project import git
from leakfix.project.files import read_file
from leakfix.project.trace import ABSENT, Stamp, Trace, digest, listing, settled
from leakfix.result import FileError, Report
from leakfix.source import SourceFile, UndecodableSource

_PARTS = struct.Struct("<5Q")
_DIGEST = 16
_INITIAL = "__init__"


@dataclass(frozen=True)
class Change:
    """What became of the files since: those that are other, gone or new, and names that came or went in folders.

    beyond: whether something changed of which nobody can say what depends on it.
    """

    other: frozenset[str]
    gone: frozenset[str]
    new: frozenset[str]
    names: frozenset[str]
    beyond: bool = False

    def __bool__(self) -> bool:
        return bool(self.other or self.gone or self.new or self.names or self.beyond)


@dataclass
class Memory:
    """What one run found: the answer, and the facts it can be continued from.

    found: the files it looked at. report, facts: plain values, of ``report_values`` and ``leakfix.cache.facts``.
    """

    trace: Trace
    program: Program
    found: list[str]
    report: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    _later: bytes = b""

    def answer(self) -> Report | None:
        """The report, if nothing it depended on has changed; no file is read to know that."""
        if not self.program.is_unchanged():
            return None
        listings = [(folder, git.Started(folder)) for folder in self.trace.git]
        try:
            if any(_stamp(path) != stamp for path, (stamp, _) in self.trace.files.items()):
                return None
            if any(_stamp(folder or os.curdir) != stamp for folder, stamp in self.trace.walked.items()):
                return None
            other = {place for place, (stamp, _) in self.trace.listings.items() if _stamp(place or os.curdir) != stamp}
            if not all(os.path.isabs(folder) and self._matters_not(folder) for folder in other):
                names = self._names_changed()
                if self._is_asked_for(names) or any(True for _ in self._looking_for(names)):
                    return None
            if any(started.digest() != self.trace.git[folder] for folder, started in listings):
                return None
            return self.restored()
        finally:
            for _, started in listings:
                started.close()

    def restored(self) -> Report | None:
        """The report as it was; None where its values are none of one."""
        try:
            findings = tuple(map(to_finding, self.report["findings"]))
            errors = tuple(FileError(path, message) for path, message in self.report["errors"])
            sources = {path: source_of(path) for path in {finding.path for finding in findings}}
            counts = self.report["files"], self.report["parsed"]
            accepted = tuple(map(to_finding, self.report["accepted"]))
            has_baseline = bool(self.report["baseline"])
            return Report(findings, errors, *counts, 0.0, sources, accepted=accepted, has_baseline=has_baseline)
        except (KeyError, TypeError, ValueError, OSError):
            return None

    def change(self, found: Sequence[str]) -> Change:
        """What changed since, given the files there are now. Stamps of what is the same are brought up to date."""
        self._unfold()
        before, now = set(self.found), set(found)
        other, gone = set[str](), set[str]()
        for path, (stamp, content) in self.trace.files.items():
            status = _stamp(path)
            if status != stamp:
                try:
                    same = digest(read_file(path)) == content
                except OSError:
                    gone.add(path)
                    continue
                self.trace.files[path] = (settled(status), content)
                other.update([] if same else [path])
        names = self._names_changed()
        beyond = any(not path.endswith((".py", ".go")) for path in other | gone)
        beyond = beyond or self._is_asked_for({os.path.basename(path) for path in other | gone} | names)
        gone |= before - now
        return Change(frozenset(other), frozenset(gone), frozenset(now - before), frozenset(names), beyond)

    def _names_changed(self) -> set[str]:
        """The names that came or went in folders; what is remembered of these is brought up to date."""
        self._unfold()
        changed = set[str]()
        for folder, (stamp, names) in self.trace.listings.items():
            status = _stamp(folder or os.curdir)
            if status != stamp:
                now = listing(folder)
                changed |= set(names or ()) ^ now
                self.trace.listings[folder] = (settled(status), tuple(sorted(now)))
        return changed

    def _matters_not(self, folder: str) -> bool:
        """Whether what came or went in a folder above the project is nothing that is looked for there."""
        names = set(self.trace.listings[folder][1] or ()) ^ listing(folder)
        return not self._is_asked_for(names)

    def _is_asked_for(self, names: Iterable[str]) -> bool:
        """Whether one of these names is one that a project's settings are looked for under."""
        if not self.trace.asked:
            return False
        asked = re.compile("|".join(f"(?:{pattern})" for pattern in sorted(self.trace.asked)))
        return any(map(asked.fullmatch, names))

    def affected(self, change: Change) -> frozenset[str]:
        """The files whose findings may be others now: what changed, and all that depends on it."""
        seeds = {*change.other, *change.gone, *change.new, *self._looking_for(change.names), *self._asking(change)}
        if any(path.endswith(".go") for path in change.gone | change.new):
            seeds.update(path for path in self.found if path.endswith(".go"))
        users = self._users()
        reached, waiting = set(seeds), list(seeds)
        while waiting:
            for user in users.get(waiting.pop(), ()):
                if user not in reached:
                    reached.add(user)
                    waiting.append(user)
        return frozenset(reached)

    def _looking_for(self, names: Iterable[str]) -> Iterable[str]:
        """The files with an import that one of these names in a folder may answer."""
        words = {name.partition(".")[0] for name in names if name.endswith(".py") or "." not in name}
        for path, imports in self.trace.imports.items():
            for written in imports if words else ():
                if not words.isdisjoint(written.split(".")) or (_INITIAL in words and written.startswith(".")):
                    yield path
                    break

    def _asking(self, change: Change) -> Iterable[str]:
        """The files on behalf of which a word was sought that stands, or stood, in a file that changed."""
        texts = []
        for path in change.other | change.new:
            with suppress(OSError):
                texts.append(read_file(path))
        changed = change.other | change.gone | change.new
        words = set()
        for key, files in self.trace.mentions.items():
            word = key.partition("\0")[2].encode()
            if not changed.isdisjoint(files) or any(word in text for text in texts):
                words.add(key)
        return (path for path, asked in self.trace.words.items() if not words.isdisjoint(asked))

    def _users(self) -> dict[str, set[str]]:
        """By file, or by Go package, what uses it directly."""
        users: dict[str, set[str]] = {}
        for path, imports in self.trace.imports.items():
            for target in imports.values():
                if target is not None:
                    users.setdefault(target, set()).add(path)
        for path, words in self.trace.words.items():
            for word in words:
                for target in self.trace.mentions.get(word, ()):
                    users.setdefault(target, set()).add(path)
        for path in self.found:
            if path.endswith(".go"):
                package = _package(os.path.dirname(path))
                users.setdefault(package, set()).add(path)
                users.setdefault(path, set()).add(package)
        for folder, targets in self.trace.packages.items():
            for imported in targets:
                users.setdefault(_package(imported), set()).add(_package(folder))
        return users

    def continued(self, trace: Trace, redone: frozenset[str]) -> Trace:
        """What a run that looked only at some files depends on: what it took down, and what was known of the others."""
        for path in redone:
            self.trace.files.pop(path, None)
            self.trace.imports.pop(path, None)
            self.trace.words.pop(path, None)
        for word in trace.mentions:
            self.trace.mentions.pop(word, None)
        self.trace.git.clear()
        self.trace.walked.clear()
        self.trace.add(trace)
        return self.trace

    def dumped(self) -> bytes:
        """All of it as bytes: first what tells whether it holds, then what a run goes on from."""
        self._unfold()
        trace = self.trace
        paths = sorted(trace.files)
        stamps = array("q", [number for path in paths for number in trace.files[path][0]])
        first = {
            "program": self.program.values(),
            "git": {folder: content.hex() for folder, content in trace.git.items()},
            "walked": trace.walked,
            "listings": {folder: stamp for folder, (stamp, _) in trace.listings.items()},
            "above": {folder: names for folder, (_, names) in trace.listings.items() if os.path.isabs(folder)},
            "asked": sorted(trace.asked),
            "report": self.report,
        }
        later = {
            "found": self.found,
            "listings": {folder: names for folder, (_, names) in trace.listings.items()},
            "imports": trace.imports,
            **{name: {key: sorted(found) for key, found in getattr(trace, name).items()} for name in _SETS},
            "facts": self.facts,
        }
        parts = [
            _json(first),
            "\0".join(paths).encode("utf-8", "surrogatepass"),
            stamps.tobytes(),
            b"".join(trace.files[path][1].ljust(_DIGEST, b"\0") for path in paths),
            _json(later),
        ]
        return _PARTS.pack(*map(len, parts)) + b"".join(parts)

    @classmethod
    def loaded(cls, raw: bytes) -> Memory | None:
        """The memory in what ``dumped`` gave; None where it is none."""
        try:
            at, parts = _PARTS.size, []
            for length in _PARTS.unpack_from(raw):
                parts.append(raw[at : at + length])
                at += length
            first = json.loads(parts[0])
            above = {path: names and tuple(names) for path, names in first["above"].items()}
            paths = parts[1].decode("utf-8", "surrogatepass").split("\0") if parts[1] else []
            numbers = array("q")
            numbers.frombytes(parts[2])
            told = iter(numbers)
            stamps = map(Stamp, told, told, told, told)
            contents = (parts[3][start : start + _DIGEST] for start in range(0, len(parts[3]), _DIGEST))
            trace = Trace(
                files=dict(zip(paths, zip(stamps, contents, strict=True), strict=True)),
                walked={path: Stamp(*stamp) for path, stamp in first["walked"].items()},
                listings={path: (Stamp(*stamp), above.get(path)) for path, stamp in first["listings"].items()},
                asked=set(first["asked"]),
                git={folder: bytes.fromhex(text) for folder, text in first["git"].items()},
            )
            return cls(trace, Program.of_values(first["program"]), [], first["report"], _later=parts[4])
        except (struct.error, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _unfold(self) -> None:
        """Read the second part, which an answer that still holds does not need."""
        if self._later:
            later = json.loads(self._later)
            self._later = b""
            self.found, self.facts = later["found"], later["facts"]
            for folder, names in later["listings"].items():
                stamp, _ = self.trace.listings[folder]
                self.trace.listings[folder] = (stamp, names if names is None else tuple(names))
            self.trace.imports = later["imports"]
            for name in _SETS:
                setattr(self.trace, name, {key: set(values) for key, values in later[name].items()})


_SETS = ("words", "mentions", "packages")


def report_values(report: Report) -> dict[str, Any]:
    """A report as plain values."""
    return {
        "findings": [from_finding(finding) for finding in report.findings],
        "errors": [[error.path, error.message] for error in report.errors],
        "files": report.files,
        "parsed": report.parsed,
        "accepted": [from_finding(finding) for finding in report.accepted],
        "baseline": report.has_baseline,
    }


def source_of(path: str) -> SourceFile:
    """A file as it is on disk. Raises OSError, ValueError."""
    data = read_file(path)
    try:
        return SourceFile.utf8(path, data) if path.endswith(".go") else SourceFile.python(path, data)
    except UndecodableSource as error:
        raise ValueError(str(error)) from error


def _package(folder: str) -> str:
    return f"package {folder}"


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode("ascii")


def _stamp(path: str) -> Stamp:
    try:
        return Stamp.of(os.stat(path))
    except (OSError, ValueError):
        return ABSENT
