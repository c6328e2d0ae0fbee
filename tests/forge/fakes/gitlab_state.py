"""What a stand-in for GitLab knows: plain records that a test may read and change at any time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from .repository import BareRepository

REPORTER, DEVELOPER, MAINTAINER = 20, 30, 40


@dataclass
class User:
    number: int
    login: str
    name: str = ""
    email: str = ""


@dataclass
class Note:
    number: int
    user: str
    body: str
    created: datetime
    updated: datetime


@dataclass
class Issue:
    number: int
    title: str
    body: str | None
    user: str
    created: datetime
    updated: datetime
    state: str = "opened"
    closed: datetime | None = None
    closed_by: str | None = None
    labels: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def close(self, time: datetime, user: str) -> None:
        self.state, self.closed, self.updated, self.closed_by = "closed", time, time, user

    def reopen(self, time: datetime) -> None:
        self.state, self.closed, self.updated, self.closed_by = "opened", None, time, None


@dataclass
class MergeRequest(Issue):
    """A merge request, numbered apart from issues; its commits are as last seen in git."""

    source_project: str = ""
    source_branch: str = ""
    source_sha: str = ""
    target_branch: str = ""
    target_sha: str = ""
    merged: datetime | None = None
    merged_by: str | None = None
    merge_sha: str | None = None
    reviewers: list[str] = field(default_factory=list)

    @property
    def draft(self) -> bool:
        return self.title.lower().startswith(("draft:", "[draft]", "(draft)"))


@dataclass
class Project:
    """A project and the access level of its members; who is none of them may read it only."""

    number: int
    path: str
    git: BareRepository
    created: datetime
    members: dict[str, int] = field(default_factory=dict)
    forked_from: str | None = None
    archived: bool = False
    merge_requests: dict[int, MergeRequest] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def default_branch(self) -> str:
        return self.git.default_branch
