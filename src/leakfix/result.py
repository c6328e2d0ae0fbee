"""What a check found, as everybody who shows it or works on it gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from leakfix.finding import Finding
from leakfix.source import SourceFile

if TYPE_CHECKING:
    from leakfix.runtime.evidence import Seen

Decide = Callable[[Finding, SourceFile, SourceFile], bool]
"""Whether a repair is accepted, given the file before and after it."""


@dataclass(frozen=True)
class FileError:
    """A file that could not be read, parsed or analysed, and why."""

    path: str
    message: str


@dataclass(frozen=True)
class FileRepair:
    """One file before and after the accepted repairs, with what was repaired and what remains."""

    path: str
    before: SourceFile
    after: SourceFile
    applied: tuple[Finding, ...]
    remaining: tuple[Finding, ...]


class Rule(Protocol):
    """What a codemod says of itself."""

    @property
    def category(self) -> str:
        """Its category."""

    @property
    def docstring(self) -> str:
        """All of it."""

    def section(self, heading: str) -> str:
        """What it says under one of its headings; empty where it has none such."""


class Run(Protocol):
    """What was parsed and concluded, with which files can be asked about again as they change."""

    def repair(self, source: SourceFile, decide: Decide) -> FileRepair:
        """Repair one file, finding after finding, each on the result of the one before."""

    def checked(self, source: SourceFile) -> list[Finding]:
        """The findings of a file that somebody may have changed in any way. Raises ValueError."""

    def findings_in(self, source: SourceFile) -> Iterator[Finding]:
        """The findings of a file that is not as it was read, made as far as they are asked for."""


@dataclass(frozen=True)
class Report:
    """What a check found.

    seconds: what it took; reports only format it, so that it can be left open. sources: every file with findings as it
    was read.
    kept: what was parsed and concluded, for ``engine.repair``; None where an earlier run had the answer.
    missed: what a run showed to leak and the analysis did not; None where no evidence was given.
    accepted: what is left out of the findings: by comments, by the baseline, as older than the changes asked about.
    has_baseline: whether the findings are those that came since something: a baseline, or a commit.
    rules: loads what is known of every rule, by name.
    """

    findings: tuple[Finding, ...]
    errors: tuple[FileError, ...]
    files: int
    parsed: int
    seconds: float
    sources: Mapping[str, SourceFile]
    kept: Run | None = field(default=None, repr=False)
    missed: tuple[Seen, ...] | None = None
    accepted: tuple[Finding, ...] = ()
    has_baseline: bool = False
    rules: Callable[[], Mapping[str, Rule]] = field(default=dict, repr=False, compare=False)

    @property
    def run(self) -> Run:
        """What was parsed and concluded. Raises RuntimeError where nothing was, because the answer was known."""
        if self.kept is None:
            raise RuntimeError("the report comes from the cache: repairs need a run of their own")
        return self.kept
