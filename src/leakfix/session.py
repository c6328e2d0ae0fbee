"""One folder's analysis, kept while its files are edited: the tree is indexed once, then only what changed.

Paths are relative to the working directory, as everywhere in the engine, so that has to be the folder whenever a
session is asked something.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leakfix.cache.facts import Indexed
from leakfix.config import Config
from leakfix.engine import Run, importing, index, prepare, reading
from leakfix.finding import Finding
from leakfix.project import trace
from leakfix.project.discover import discover, is_left_out
from leakfix.project.workers import Workers
from leakfix.registry import Registry
from leakfix.result import Decide, FileRepair
from leakfix.source import SourceFile

_Stamp = tuple[int, int, int]
"""What tells one content of a file on disk from another: time of change in ns, size, inode."""


@dataclass(frozen=True)
class Look:
    """What is said of one file.

    source: the text that was looked at; None where the file is not one to be looked at, or not readable.
    errors: what could not be analysed of it, and why; most begin with ``line N:``.
    """

    source: SourceFile | None
    findings: tuple[Finding, ...] = ()
    errors: tuple[str, ...] = ()


class Session:
    """A warm analysis of what lies below some paths: a whole folder (``.``), or single files and what they import.

    Files whose settings tell of other in-house resources are analysed by a session of their own, which this one asks.
    What looks at files raises ConfigError where the settings of some file cannot be used.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        paths: Sequence[str] = (".",),
        rows: tuple[tuple[Mapping[str, Any], ...], ...] | None = None,
    ) -> None:
        """rows: what the registry knows of in-house resources; None for what these settings tell."""
        self.config = config
        self.registry = registry
        self._paths = tuple(paths)
        self._texts: dict[str, bytes] = {}
        self._run = Run(config, registry, reading(self._texts))
        self._known: dict[str, Indexed] = {}
        self._stamps: dict[str, _Stamp] | None = None
        self._stale: set[str] = set()
        self._gone: set[str] = set()
        self._moved = False
        self._changes = 0
        self._indexed_at: dict[str, int] = {}
        """After how many changes of other files a file was indexed."""
        self._rows = config.rows if rows is None else rows
        self._others: list[Session] = []

    def _of(self, path: str) -> Session:
        """The session for a file: the one that knows the resources its settings tell of."""
        governing = self.config.governing(path)
        for session in (self, *self._others):
            if session._rows == governing.rows:
                session.registry.require_known(governing)
                return session
        other = Session(self.config, Registry.load(governing), self._paths, governing.rows)
        for each, text in self._texts.items():
            other.edit(each, text)
        self._others.append(other)
        return other

    def check_settings(self) -> None:
        """Raise ConfigError where the settings of some file, or its baseline, cannot be used."""
        for path in self._listed():
            self._of(path)._run.chosen(path)

    def edit(self, path: str, text: bytes) -> None:
        """Let a text count instead of what is on disk."""
        for other in self._others:
            other.edit(path, text)
        if self._texts.get(path) != text:
            self._moved |= path not in self._texts and path not in (self._stamps or {})
            self._texts[path] = text
            self._stale.add(path)

    def close(self, path: str) -> None:
        """Let a file count again as it is on disk."""
        for other in self._others:
            other.close(path)
        if self._texts.pop(path, None) is not None:
            if path not in (self._stamps or {}):
                self._moved = True
                self._gone.add(path)
            self._stale.add(path)

    @property
    def texts(self) -> dict[str, bytes]:
        """The texts that count instead of what is on disk, by path."""
        return dict(self._texts)

    def refresh(self) -> bool:
        """Look at the disk for files that came, went or changed; whether there are any."""
        for other in self._others:
            other.refresh()
        if self._stamps is None:
            return False
        trace.forget()
        if self._paths != (".",):  # what they import may be anywhere
            self._known, self._stamps = {}, None
            return True
        former, self._stamps = self._stamps, self._listed()
        changed = {
            path
            for path in former.keys() | self._stamps.keys()
            if former.get(path) != self._stamps.get(path) and path not in self._texts
        }
        self._stale |= changed
        self._gone |= former.keys() - self._stamps.keys()
        self._moved |= bool(former.keys() ^ self._stamps.keys())
        return bool(changed)

    def includes(self, path: str) -> bool:
        """Whether a check of the same paths would look at a file, or will once it is written."""
        self._ready()
        if self._paths != (".",):
            return path in self._paths
        new = path in self._texts and not os.path.lexists(path)
        return path in (self._stamps or {}) or (new and not is_left_out(path, self.config))

    def look(self, path: str) -> Look:
        """The findings of one file as it is now, each with its repair or the reason why there is none."""
        session = self._of(path)
        if session is not self:
            return session.look(path)
        if not self.includes(path):
            return Look(None)
        self._catch_up(path)
        item = self._known.get(path, Indexed(path))
        source, errors = self._source(path)
        errors += [item.error] if item.error and not errors else []
        if source is None or errors or not (item.acquires or item.matches):
            return Look(source, (), tuple(errors))
        analysed = self._run.analyse(path)
        found = sorted(analysed.findings, key=lambda finding: (finding.line, finding.column))
        return Look(source, tuple(found), tuple(analysed.errors))

    def repaired(self, path: str, decide: Decide) -> FileRepair | None:
        """One file before and after the repairs that are accepted; None where it cannot be read."""
        session = self._of(path)
        if session is not self:
            return session.repaired(path, decide)
        if not self.includes(path):
            return None
        self._catch_up(path)
        source, _ = self._source(path)
        return self._run.repair(source, decide) if source is not None else None

    def _source(self, path: str) -> tuple[SourceFile | None, list[str]]:
        try:
            return SourceFile.of(path, self._run.read(path)), []
        except OSError as error:
            return None, [error.strerror or str(error)]
        except ValueError as error:
            return None, [str(error)]

    def _listed(self) -> dict[str, _Stamp]:
        found: dict[str, _Stamp] = {}
        paths = [path for path in self._paths if path not in self._texts]
        for path in discover(paths, self.config).files if paths else ():
            try:
                status = os.stat(path)
            except OSError:
                continue
            found[path] = status.st_mtime_ns, status.st_size, status.st_ino
        return found

    def _ready(self) -> None:
        """Index everything, once."""
        if self._stamps is not None:
            return
        prepare()
        trace.forget()
        stamps = self._listed()
        files = sorted({*stamps, *(path for path in self._paths if path in self._texts)})
        self._run = Run(self.config, self.registry, reading(self._texts), files)
        try:
            with Workers(self._run, 1, len(files)) as workers:  # a process with threads is not to be forked
                indexed = index(workers, self._paths, files)
        finally:
            gc.freeze()
            gc.enable()  # a check goes without; this stays
        self._take(indexed)
        self._stamps = stamps
        self._stale -= set(files)

    def _catch_up(self, asked: str) -> None:
        """Index again what is not as it was, and with it the file that is asked for: what it calls may be elsewhere."""
        self._stale = {path for path in self._stale if path in self._gone or self.includes(path)}
        self._changes += not self._stale <= {asked}
        if self._indexed_at.get(asked, 0) != self._changes:
            self._stale.add(asked)
            self._indexed_at[asked] = self._changes
        if not self._stale:
            return
        there = [path for path in self._stale if path in self._texts or os.path.isfile(path)]
        for path in self._stale:
            self._known.pop(path, None)
        before = dict(self._run.analysis.exported)
        indexed = self._run.renew(sorted(there), sorted(self._stale.difference(there)), self._moved)
        with Workers(self._run, 1, 1) as workers:
            indexed += importing(workers, indexed, exported=before)
        self._take(indexed)
        self._stale, self._gone, self._moved = set(), set(), False
        self._run.leave_out_released({word for item in self._known.values() for word in item.released})

    def _take(self, indexed: Sequence[Indexed]) -> None:
        """Remember what was seen; of what was looked at twice, because of what it imports, both count."""
        for item in indexed:
            known = self._known.get(item.path)
            if known is not None:
                item.acquires, item.matches = item.acquires or known.acquires, item.matches or known.matches
                item.released |= known.released
                item.error = item.error or known.error
            self._known[item.path] = item
