"""The results of a run, one line each in a file that only grows, and that a killed run can go on with.

A line is synced before the next task is taken as done. Of a line that was being written when the process died, the
part without its end is cut off. A repository that could not be checked and is tried again gets a second line; the
first is taken out when the file is next opened or closed in peace.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from leakfix.fleet import FleetError
from leakfix.fleet.result import START, Result, Status

_PIECE = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A recorded result, without its findings, and where in the file its line stands."""

    repository: str
    ref: str | None
    commit: str | None
    status: Status
    leakfix: str
    options: tuple[str, ...]
    start: int
    length: int

    @property
    def unit(self) -> tuple[str, str]:
        """One repository at one commit; where none became known, at what was asked for."""
        return self.repository, self.commit or f"@{self.ref or ''}"

    @property
    def target(self) -> tuple[str, str | None]:
        """What was asked for."""
        return self.repository, self.ref


class Results:
    """A locked file of results. Raises FleetError where it is in use or is something else, and OSError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = _opened(path)
        self._entries: dict[int, Entry] = {}
        self._units: dict[tuple[str, str], Entry] = {}
        self._targets: dict[tuple[str, str | None], Entry] = {}
        self._checked: dict[tuple[str, str, tuple[str, ...]], set[str]] = {}
        self._reported: dict[tuple[str, str], Entry] = {}
        self._superseded: set[int] = set()
        try:
            self._load()
            self._compact()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._compact()
        finally:
            os.close(self._file)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything that counts, in the order of the file."""
        return tuple(entry for start, entry in self._entries.items() if start not in self._superseded)

    @property
    def reported(self) -> tuple[Entry, ...]:
        """What this run is about."""
        return tuple(self._reported.values())

    def checked_commits(self, repository: str, leakfix: str, options: tuple[str, ...]) -> frozenset[str]:
        """The commits of a repository that this leakfix has checked with these options."""
        return frozenset(self._checked.get((repository, leakfix, options), ()))

    def latest(self, repository: str, ref: str | None) -> Entry | None:
        """What was recorded last for a repository at a ref."""
        return self._targets.get((repository, ref))

    def at_commit(self, repository: str, commit: str) -> Entry | None:
        """What was recorded last for a repository at a commit."""
        return self._units.get((repository, commit))

    def report(self, entry: Entry) -> None:
        """Count an earlier result among those of this run."""
        self._reported[entry.unit] = entry

    def add(self, result: Result) -> None:
        """Record a result, unless its repository has been checked at this commit already."""
        if result.commit in self.checked_commits(result.repository, result.leakfix, result.options):
            self._confirm(self._units[(result.repository, str(result.commit))], (result.repository, result.ref))
            return
        line = result.line()
        start = os.lseek(self._file, 0, os.SEEK_END)
        _write(self._file, line)
        os.fsync(self._file)
        self.report(self._note(result, start, len(line)))

    def read(self, entry: Entry) -> Result:
        """A result with its findings."""
        return Result.from_line(_read(self._file, entry.start, entry.length))

    def _confirm(self, entry: Entry, target: tuple[str, str | None]) -> None:
        """Let an earlier result stand for a target, whatever went wrong with that in between."""
        latest = self._targets.get(target)
        if latest is not None and latest.status != Status.CHECKED:
            self._superseded.add(latest.start)
            self._reported.pop(latest.unit, None)
        self._targets[target] = entry
        self.report(entry)

    def _load(self) -> None:
        for number, start, line in _lines(self._file):
            try:
                result = Result.from_line(line)
            except (ValueError, TypeError, RecursionError) as error:
                raise self._unusable(f"line {number} is no result of leakfix fleet") from error
            self._note(result, start, len(line))
        end = max((entry.start + entry.length for entry in self._entries.values()), default=0)
        self._cut(end)

    def _cut(self, end: int) -> None:
        """Drop what is left of a last line, if that is what stands there."""
        rest = _read(self._file, end, len(START)).rstrip(b"\0")
        if not START.startswith(rest):
            raise self._unusable("it ends with something that is no result of leakfix fleet")
        if os.fstat(self._file).st_size > end:
            os.ftruncate(self._file, end)
            os.fsync(self._file)

    def _unusable(self, why: str) -> FleetError:
        return FleetError(f"{self.path}: {why}; name another file with --output")

    def _note(self, result: Result, start: int, length: int) -> Entry:
        about = (result.repository, result.ref, result.commit, result.status, result.leakfix, result.options)
        entry = Entry(*about, start, length)
        for earlier in (self._units.get(entry.unit), self._targets.get(entry.target)):
            if earlier is not None and (earlier.unit == entry.unit or earlier.status != Status.CHECKED):
                self._superseded.add(earlier.start)
                self._reported.pop(earlier.unit, None)
        self._entries[start] = self._units[entry.unit] = self._targets[entry.target] = entry
        if entry.status == Status.CHECKED and entry.commit is not None:
            checked = (entry.repository, entry.leakfix, entry.options)
            self._checked.setdefault(checked, set()).add(entry.commit)
        return entry

    def _compact(self) -> None:
        """Take out superseded lines: a copy without them replaces the file in one step, locked before it does."""
        if not self._superseded:
            return
        kept = self.entries
        folder, name = os.path.split(os.path.realpath(self.path))
        new, temporary = tempfile.mkstemp(prefix=f".{name}-", suffix=".tmp", dir=folder)
        try:
            os.fchmod(new, stat.S_IMODE(os.fstat(self._file).st_mode))
            fcntl.flock(new, fcntl.LOCK_EX)
            for entry in kept:
                _write(new, _read(self._file, entry.start, entry.length))
            os.fsync(new)
            os.replace(temporary, os.path.join(folder, name))
        except BaseException:
            os.close(new)
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        os.close(self._file)
        self._file = new
        _sync_folder(folder)
        self._reload()

    def _reload(self) -> None:
        for index in (self._entries, self._units, self._targets, self._checked):
            index.clear()
        self._superseded.clear()
        self._load()


def _opened(path: str) -> int:
    """The file, locked, and still the one the path leads to: another run may just have replaced it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FleetError(f"{path}: not a regular file; name another with --output")
            _lock(path, file)
            if _is_at(file, path):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _lock(path: str, file: int) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FleetError(f"{path}: another run writes to it; wait for it, or name another file with --output") from None


def _is_at(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _lines(file: int) -> Iterator[tuple[int, int, bytes]]:
    """Every line that has its end: its number, where it starts, its bytes."""
    with open(os.dup(file), "rb") as stream:
        stream.seek(0)
        start = 0
        for number, line in enumerate(stream, start=1):
            if line.endswith(b"\n"):
                yield number, start, line
            start += len(line)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view[:_PIECE]) :]


def _read(file: int, start: int, length: int) -> bytes:
    pieces = []
    while length and (piece := os.pread(file, length, start)):
        pieces.append(piece)
        start, length = start + len(piece), length - len(piece)
    return b"".join(pieces)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
