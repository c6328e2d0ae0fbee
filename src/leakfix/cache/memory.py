"""What the last run found and what it depended on; and what of that still holds where files changed.

What depends on a change is found by following what the run took down (see ``leakfix.project.trace``): imports and the
files they led to, words that were sought everywhere, packages. Where something changed of which nobody can say what
depends on it (the project's settings, leakfix itself), everything is done anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from leakfix.cache.framed import framed, unframed
from leakfix.cache.program import Program
from leakfix.cache.snapshot import Snapshot, is_asked_for, modules_in, words_in
from leakfix.cache.values import from_finding, to_finding
from leakfix.project.files import read_file
from leakfix.project.stamps import Stamp, digest, settled, stamp
from leakfix.project.trace import Trace, listing
from leakfix.result import FileError, Report
from leakfix.source import SourceFile, UndecodableSource

_DIGEST = 16


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

    def is_the_same_without(self, names: Iterable[str]) -> bool:
        """Whether it makes no difference that these names came or went in folders."""
        return not is_asked_for(names, self.trace.asked) and not any(True for _ in self._looking_for(names))

    def change(self, found: Sequence[str]) -> Change:
        """What changed since, given the files there are now. Stamps of what is the same are brought up to date."""
        before, now = set(self.found), set(found)
        other, gone = set[str](), set[str]()
        for path, (was, content) in self.trace.files.items():
            if (status := stamp(path)) != was:
                try:
                    same = digest(read_file(path)) == content
                except OSError:
                    gone.add(path)
                    continue
                self.trace.files[path] = (settled(status), content)
                other.update([] if same else [path])
        names = self.names_changed()
        self._bring_up_to_date()
        beyond = any(not path.endswith((".py", ".go")) for path in other | gone)
        beyond = beyond or is_asked_for({os.path.basename(path) for path in other | gone} | names, self.trace.asked)
        gone |= before - now
        return Change(frozenset(other), frozenset(gone), frozenset(now - before), frozenset(names), beyond)

    def names_changed(self) -> set[str]:
        """The names that came or went in folders."""
        changed = set[str]()
        for folder, (was, names) in self.trace.listings.items():
            if stamp(folder) != was:
                changed |= set(names or ()) ^ listing(folder)
        return changed

    def _bring_up_to_date(self) -> None:
        for folder, (was, _) in self.trace.listings.items():
            if (status := stamp(folder)) != was:
                self.trace.listings[folder] = (settled(status), tuple(sorted(listing(folder))))

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
        words = modules_in(names)
        for path, imports in self.trace.imports.items():
            if words and not words.isdisjoint(words_in(imports)):
                yield path

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

    def snapshot(self) -> Snapshot:
        """How all stands that it depends on."""
        return Snapshot.of(self.program, self.trace)

    def dumped(self, snapshot: Snapshot) -> list[bytes]:
        """The rest of it as bytes: the report, and what a run goes on from."""
        trace = self.trace
        later = {
            "found": self.found,
            "listings": {folder: names for folder, (_, names) in trace.listings.items()},
            "imports": trace.imports,
            **{name: {key: sorted(found) for key, found in getattr(trace, name).items()} for name in _SETS},
            "facts": self.facts,
        }
        contents = b"".join(trace.files[path][1].ljust(_DIGEST, b"\0") for path in snapshot.paths)
        return [_json(self.report), framed([contents, _json(later)])]

    @classmethod
    def loaded(cls, snapshot: Snapshot, report: bytes, rest: bytes) -> Memory:
        """The memory in what ``dumped`` gave.

        Raises ValueError, KeyError, TypeError, AttributeError where it is none.
        """
        contents, later = unframed(rest, 2)
        told = json.loads(later)
        trace = Trace(
            files=dict(zip(snapshot.paths, zip(_stamps(snapshot), _digests(contents), strict=True), strict=True)),
            walked=dict(snapshot.walked),
            listings={
                folder: (was, names and tuple(names))
                for folder, was in snapshot.listed.items()
                for names in (told["listings"][folder],)
            },
            asked=snapshot.asked,
            imports=told["imports"],
            git={folder: bytes.fromhex(text) for folder, text in snapshot.git.items()},
        )
        for name in _SETS:
            getattr(trace, name).update({key: set(values) for key, values in told[name].items()})
        return cls(trace, snapshot.program, told["found"], json.loads(report), told["facts"])


_SETS = ("words", "mentions", "packages")


def _stamps(snapshot: Snapshot) -> Iterator[Stamp]:
    numbers = iter(snapshot.stamps)
    return zip(numbers, numbers, numbers, numbers, strict=True)


def _digests(contents: bytes) -> Iterator[bytes]:
    return (contents[start : start + _DIGEST] for start in range(0, len(contents), _DIGEST))


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


def restored(values: Mapping[str, Any]) -> Report | None:
    """The report in its values; None where they are none of one."""
    try:
        findings = tuple(map(to_finding, values["findings"]))
        errors = tuple(FileError(path, message) for path, message in values["errors"])
        sources = {path: source_of(path) for path in {finding.path for finding in findings}}
        counts = values["files"], values["parsed"]
        accepted = tuple(map(to_finding, values["accepted"]))
        has_baseline = bool(values["baseline"])
        return Report(findings, errors, *counts, 0.0, sources, accepted=accepted, has_baseline=has_baseline)
    except (KeyError, TypeError, ValueError, OSError):
        return None


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
