"""What leakfix says about one place in the code: the finding, its witness, its fix or the refusal of one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from leakfix.source import Edit, Span


class Severity(StrEnum):
    """How sure and how bad: every path loses it; some path does; something unresolved is on the way."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Category(StrEnum):
    """``leak`` and ``growth`` are on by default; ``advice`` only when selected."""

    LEAK = "leak"
    GROWTH = "growth"
    ADVICE = "advice"


class Safety(StrEnum):
    """``safe`` can be applied blindly; ``review`` wants a person to check what ``Fix.check`` says."""

    SAFE = "safe"
    REVIEW = "review"


class Acceptance(StrEnum):
    """What lets a finding be: a comment beside it, an entry of the baseline, or that it is older than the changes."""

    COMMENT = "comment"
    BASELINE = "baseline"
    BEFORE = "before"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a witness: acquired here, this raises, that returns."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """A library that repaired code uses. name: as manifests have it; version: the oldest; imported: as code has it."""

    name: str
    version: str
    imported: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair as edits of the finding's file.

    check: tells a reviewer what to look at. requires: what the project's manifest has to declare for it.
    """

    title: str
    safety: Safety
    edits: tuple[Edit, ...]
    check: str = ""
    requires: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no repair is offered; shown to people, so a sentence.

    shared_lines: because statements share a line; laid out otherwise it may be possible.
    """

    reason: str
    shared_lines: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What a run showed of a finding: how many were acquired there and how many of them were not released.

    fate: what became of these, in words; stack: the project's lines that led there, ``path:line in function``.
    """

    acquired: int
    unreleased: int
    fate: str
    stack: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()

    @property
    def confirms(self) -> bool:
        """Whether it was seen to leak, and not only to be run."""
        return self.unreleased > 0

    def __str__(self) -> str:
        """In one sentence, for people."""
        if not self.confirms:
            return f"all {self.acquired} were released in the run that was watched"
        test = f", in {self.tests[0]}" if self.tests else ""
        return f"confirmed: {self.fate}{test}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One acquisition that some path loses. Lines and columns are 1-based, columns in characters, end exclusive."""

    rule: str
    category: Category
    severity: Severity
    path: str
    span: Span
    line: int
    column: int
    end_line: int
    end_column: int
    function: str
    message: str
    resource: str
    held: str | None
    witness: tuple[Step, ...]
    fingerprint: str = ""
    fix: Fix | None = None
    refusal: str | None = None
    observed: Observed | None = field(default=None, compare=False)
    suppression_lines: tuple[int, ...] = field(default=(), compare=False)
    accepted: Acceptance | None = None


def fingerprint(rule: str, path: str, function: str, text: str, occurrence: int) -> str:
    """An identity that survives moved lines: rule, file, function, the acquiring text and which of its kind it is."""
    normalised = " ".join(text.split())
    parts = "\0".join([rule, path, function, normalised, str(occurrence)])
    return hashlib.sha256(parts.encode("utf-8", "surrogateescape")).hexdigest()[:16]
