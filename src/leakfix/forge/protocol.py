"""What leakfix needs of a forge, and in which words. A further forge is one more module that offers this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class ForgeError(Exception):
    """A forge or its git server would not, or could not; the message says what and what to do."""


class Unauthorized(ForgeError):
    """The token is missing, wrong or has expired."""


class NotAllowed(ForgeError):
    """The token is good, but not for this: a protected branch, an archived repository, too few rights."""


class Rejected(ForgeError):
    """The request makes no sense to the forge as things are."""


class Unavailable(ForgeError):
    """The forge is not there, or not well; later it may be. What was asked for may have been done nevertheless."""


class Raced(ForgeError):
    """Somebody pushed in between."""


class Throttled(ForgeError):
    """Too many requests. seconds: how long the forge wants to be left alone, None where it does not say."""

    def __init__(self, message: str, seconds: float | None) -> None:
        super().__init__(message)
        self.seconds = seconds


class State(StrEnum):
    """What became of a pull request."""

    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as the forge has it. created: with its time zone."""

    number: int
    url: str
    branch: str
    base: str
    title: str
    body: str
    state: State
    labels: frozenset[str]
    created: datetime


@dataclass(frozen=True, slots=True)
class NewPullRequest:
    """A pull request to be opened."""

    branch: str
    base: str
    title: str
    body: str
    draft: bool


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue: the dashboard."""

    number: int
    url: str
    body: str


@dataclass(frozen=True, slots=True)
class Hosted:
    """A repository as the forge has it.

    push_url: where branches go, without any credentials; that of a fork where the token may not push to it.
    """

    default_branch: str
    url: str
    push_url: str


class Forge(Protocol):
    """One repository on a forge. Every method may raise ForgeError."""

    name: str
    user: str
    """Whom git's server wants to see beside the token."""

    def hosted(self, fork: bool) -> Hosted:
        """Look the repository up. fork: make a fork where the token may not push. Raises NotAllowed otherwise."""

    def labelled(self, label: str) -> list[PullRequest]:
        """The pull requests with a label, whatever their state."""

    def of_branch(self, branch: str) -> list[PullRequest]:
        """The pull requests from a branch, whatever their state, the newest first."""

    def open(self, new: NewPullRequest) -> PullRequest:
        """Open one."""

    def edit(self, number: int, title: str | None = None, body: str | None = None, base: str | None = None) -> None:
        """Change what is given."""

    def comment(self, number: int, text: str) -> None:
        """Say something on a pull request."""

    def close(self, number: int) -> None:
        """Close a pull request."""

    def add_labels(self, number: int, labels: Sequence[str]) -> None:
        """Put labels on a pull request."""

    def remove_label(self, number: int, label: str) -> None:
        """Take a label off a pull request, if it is on it."""

    def ask_for_review(self, number: int, people: Sequence[str]) -> None:
        """Ask people or teams (``org/team``) for a review."""

    def dashboard(self, label: str) -> Issue | None:
        """The open issue with a label."""

    def write_dashboard(self, label: str, title: str, body: str, known: Issue | None) -> Issue:
        """Write the issue, or open one."""

    def close_connection(self) -> None:
        """Let go of the connections."""
