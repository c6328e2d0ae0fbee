"""What a stand-in for GitHub knows: plain records that a test may read and change at any time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from .repository import BareRepository

RIGHTS = ("pull", "push", "admin")


@dataclass
class User:
    number: int
    login: str
    kind: str = "User"
    name: str = ""
    email: str = ""


@dataclass
class Label:
    number: int
    name: str
    color: str = "ededed"
    description: str = ""


@dataclass
class Comment:
    number: int
    user: str
    body: str
    created: datetime
    updated: datetime


@dataclass
class Issue:
    """An issue; pull requests are issues too and are numbered with them."""

    number: int
    title: str
    body: str | None
    user: str
    created: datetime
    updated: datetime
    state: str = "open"
    reason: str | None = None
    closed: datetime | None = None
    closed_by: str | None = None
    labels: list[str] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)

    def close(self, time: datetime, user: str | None = None) -> None:
        self.state, self.closed, self.updated, self.closed_by = "closed", time, time, user

    def reopen(self, time: datetime) -> None:
        self.state, self.closed, self.updated, self.closed_by = "open", None, time, None


@dataclass
class Pull(Issue):
    """A pull request; its commits are as last seen in git."""

    head_repository: str = ""
    head_branch: str = ""
    head_sha: str = ""
    base_branch: str = ""
    base_sha: str = ""
    draft: bool = False
    merged: datetime | None = None
    merged_by: str | None = None
    merge_sha: str | None = None
    reviewers: list[str] = field(default_factory=list)
    maintainer_can_modify: bool = False


@dataclass
class Repository:
    """A repository; who is not among its collaborators may read it only."""

    number: int
    full_name: str
    git: BareRepository
    created: datetime
    collaborators: dict[str, str] = field(default_factory=dict)
    parent: str | None = None
    archived: bool = False
    private: bool = False
    has_issues: bool = True
    unready: int = 0  # how often it is still said not to exist, as a fork that is being made
    threads: dict[int, Issue] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.full_name.partition("/")[0]

    @property
    def name(self) -> str:
        return self.full_name.partition("/")[2]

    @property
    def default_branch(self) -> str:
        return self.git.default_branch

    @property
    def pulls(self) -> list[Pull]:
        return [thread for thread in self.threads.values() if isinstance(thread, Pull)]

    @property
    def issues(self) -> list[Issue]:
        return [thread for thread in self.threads.values() if not isinstance(thread, Pull)]

    @property
    def open_pulls(self) -> Iterator[Pull]:
        return (pull for pull in self.pulls if pull.state == "open")

    def may(self, login: str, right: str) -> bool:
        """Whether a person has at least a right."""
        given = "admin" if login == self.owner else self.collaborators.get(login, "pull")
        return RIGHTS.index(given) >= RIGHTS.index(right)
