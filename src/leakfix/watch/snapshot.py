"""One picture of a server: its sessions, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """What a session does; the words are PostgreSQL's."""

    ACTIVE = "active"
    IDLE = "idle"
    IDLE_IN_TRANSACTION = "idle in transaction"
    ABORTED = "idle in transaction (aborted)"
    UNKNOWN = "unknown"


OPEN_AND_IDLE = frozenset((State.IDLE_IN_TRANSACTION, State.ABORTED))


@dataclass(frozen=True)
class Session:
    """One client's connection as the server shows it. Times are seconds; None is what the server does not tell."""

    id: str
    state: State
    user: str
    application: str
    database: str
    query: str
    """The running statement, else the last one; normalised, without its literals."""
    state_seconds: float | None
    transaction_seconds: float | None
    waiting: bool = False
    """Whether it waits for a lock."""
    blocked_by: tuple[str, ...] = ()
    """The sessions it waits for, where the server tells."""


@dataclass(frozen=True)
class Group:
    """Sessions that have something in common."""

    key: tuple[str, ...]
    sessions: tuple[Session, ...]

    def count(self, *states: State) -> int:
        """How many of them are in one of these states."""
        return sum(session.state in states for session in self.sessions)


@dataclass(frozen=True)
class Snapshot:
    """What a server said, our own session left out."""

    kind: str
    version: str
    taken: datetime
    sessions: tuple[Session, ...]
    used: int
    """Connections that count against the limit."""
    limit: int | None
    """Connections that ordinary users may have; None where the server sets or tells no limit."""
    figures: Mapping[str, int] = field(default_factory=dict)
    """What the server itself counts or is set to, under its own names."""
    unseen: int = 0
    """Sessions the server counts and does not show us."""
    tells_waiting: bool = True
    """Whether the server tells which sessions wait for a lock."""
    notes: tuple[str, ...] = ()
    """What the reader should know of this picture, such as rights that are missing."""

    @property
    def share(self) -> float | None:
        """The used part of the limit, 1.0 being all of it."""
        return self.used / self.limit if self.limit else None

    @property
    def states(self) -> dict[State, int]:
        """Sessions by state; every state is there."""
        counts = dict.fromkeys(State, 0)
        for session in self.sessions:
            counts[session.state] += 1
        counts[State.UNKNOWN] += self.unseen
        return counts

    @property
    def idle_in_transaction(self) -> tuple[Session, ...]:
        """Sessions that do nothing inside of a transaction, aborted ones too, the longest first."""
        idle = (session for session in self.sessions if session.state in OPEN_AND_IDLE)
        return _longest_first(idle, lambda session: session.state_seconds)

    @property
    def transactions(self) -> tuple[Session, ...]:
        """Sessions in a transaction, the oldest one first."""
        held = (session for session in self.sessions if session.transaction_seconds is not None)
        return _longest_first(held, lambda session: session.transaction_seconds)

    @property
    def waiting(self) -> tuple[Session, ...]:
        """Sessions that wait for a lock, the longest first."""
        return _longest_first((session for session in self.sessions if session.waiting), lambda one: one.state_seconds)

    @property
    def applications(self) -> tuple[Group, ...]:
        """Sessions by application and user, the most first."""
        return _groups(self.sessions, lambda session: (session.application, session.user))

    @property
    def queries(self) -> tuple[Group, ...]:
        """Sessions by what they run or ran last; first where most are idle in a transaction, as a leak leaves them."""
        groups = _groups((one for one in self.sessions if one.query), lambda session: (session.query,))
        return tuple(sorted(groups, key=lambda group: -group.count(*OPEN_AND_IDLE)))


def _longest_first(sessions: Iterable[Session], seconds: Callable[[Session], float | None]) -> tuple[Session, ...]:
    return tuple(sorted(sessions, key=lambda session: -(seconds(session) or 0.0)))


def _groups(sessions: Iterable[Session], key: Callable[[Session], tuple[str, ...]]) -> tuple[Group, ...]:
    found: dict[tuple[str, ...], list[Session]] = {}
    for session in sessions:
        found.setdefault(key(session), []).append(session)
    groups = (Group(name, tuple(members)) for name, members in found.items())
    return tuple(sorted(groups, key=lambda group: (-len(group.sessions), group.key)))
