"""What keeps leaks from coming back: a check in the project's own tests, a job in its CI, alerts on its metrics.

Each of the three looks at the project and answers with a ``Proposal``; none of them writes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NewContent:
    """A file as it is to be. before: its bytes now, None where there is no such file. after: its bytes then."""

    path: str
    before: bytes | None
    after: bytes


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one instrument would write.

    files: in the order they are to be written; none where there is nothing to write.
    title: what they do; where nothing is written, the sentence that says why.
    notes: sentences on what is left to do by hand.
    exists: whether nothing is written because it is there already.
    """

    title: str
    files: tuple[NewContent, ...] = ()
    notes: tuple[str, ...] = ()
    exists: bool = False
