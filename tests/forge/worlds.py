"""One project on each forge, in the same words: what a person sees and does there, and leakfix at work on it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from leakfix.cli import main as run

from .fakes.git_http import GitHttp
from .fakes.github import BOT, TOKEN, FakeGithub
from .fakes.gitlab import FakeGitlab
from .fakes.repository import BareRepository

LEAK = """\
import sqlite3


def {name}(path):
    connection = sqlite3.connect(path)
    row = connection.execute("SELECT count(*) FROM {name}").fetchone()
    connection.close()
    return row[0]
"""
CACHE = """\
from functools import lru_cache


@lru_cache(maxsize=None)
def price(item):
    return len(item)
"""
FILES = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n',
    "orders.py": LEAK.format(name="orders"),
    "billing/pyproject.toml": '[project]\nname = "billing"\nversion = "1"\n',
    "billing/bills.py": LEAK.format(name="bills"),
}


@dataclass(frozen=True)
class Seen:
    """A pull request, or a merge request."""

    number: int
    state: str
    title: str
    branch: str
    base: str
    body: str
    labels: tuple[str, ...]
    reviewers: tuple[str, ...]
    draft: bool
    comments: int


@dataclass(frozen=True)
class Ran:
    """One run of leakfix."""

    code: int
    out: str
    err: str

    @property
    def steps(self) -> list[str]:
        """What was done, shortly: ``open orders``."""
        return [f"{action['step']}: {action['why']}" for action in json.loads(self.out)["actions"]]

    @property
    def errors(self) -> list[str]:
        document = json.loads(self.out)
        return [action["error"] for action in document["actions"] if action["error"]] + document["errors"]


@dataclass
class World:
    """The forge, the project on it, and git's server."""

    kind: str
    forge: Any
    project: Any
    git_http: GitHttp
    api_url: str
    capture: pytest.CaptureFixture[str]
    options: list[str] = field(default_factory=list)

    @property
    def git(self) -> BareRepository:
        repository: BareRepository = self.project.git
        return repository

    def run(self, *options: str, command: str = "pr") -> Ran:
        """Let leakfix work on it."""
        where = ["--url", self.git_http.clone_url("acme/shop"), "--forge", self.kind, "--api-url", self.api_url]
        form = ["--output-format", "json"] if command == "pr" and "--dry-run" not in options else []
        self.capture.readouterr()
        code = run([command, *where, "--jobs", "1", *form, *self.options, *options])
        out, err = self.capture.readouterr()
        return Ran(code, out, err)

    def seen(self) -> list[Seen]:
        """All pull requests, oldest first."""
        if self.kind == "github":
            self.forge.follow(self.project)
            return [
                Seen(
                    pull.number,
                    "merged" if pull.merged else pull.state,
                    pull.title,
                    pull.head_branch,
                    pull.base_branch,
                    pull.body or "",
                    tuple(pull.labels),
                    tuple(pull.reviewers),
                    pull.draft,
                    len(pull.comments),
                )
                for pull in sorted(self.project.pulls, key=lambda pull: pull.number)
            ]
        return [
            Seen(
                request.number,
                {"opened": "open"}.get(request.state, request.state),
                request.title.removeprefix("Draft: "),
                request.source_branch,
                request.target_branch,
                request.body or "",
                tuple(request.labels),
                tuple(request.reviewers),
                request.title.startswith("Draft: "),
                len(request.notes),
            )
            for request in sorted(self.project.merge_requests.values(), key=lambda request: request.number)
        ]

    def _thread(self, number: int) -> Any:
        return self.project.threads[number] if self.kind == "github" else self.project.merge_requests[number]

    def close(self, number: int) -> None:
        """As a person does."""
        if self.kind == "github":
            self.forge.close(self.project, number)
        else:
            self.forge.close(self._thread(number))

    def merge(self, number: int) -> None:
        """As a person does."""
        self.forge.merge(self.project, number)

    def label(self, number: int, *names: str) -> None:
        """As a person does."""
        if self.kind == "github":
            self.forge.label(self.project, number, *names)
        else:
            self._thread(number).labels += names

    def unlabel(self, number: int) -> None:
        """As a person does."""
        self._thread(number).labels.clear()

    def commit(self, files: Mapping[str, str | None], branch: str = "main", message: str = "Work") -> str:
        """Push as a person does."""
        return self.git.commit(branch, files, message)

    def dashboard(self) -> Any:
        """The dashboard issue."""
        issues = self.project.issues if self.kind == "github" else list(self.project.issues.values())
        return next(
            (issue for issue in issues if "leakfix:dashboard" in issue.labels and issue.state != "closed"), None
        )

    def tick(self, title: str) -> None:
        """Tick a line of the dashboard."""
        issue = self.dashboard()
        escaped = re.escape(re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", title))
        issue.body, count = re.subn(rf"- \[ \](.*{escaped})", r"- [x]\1", issue.body)
        assert count == 1, issue.body

    def picture(self) -> tuple[Any, ...]:
        """All there is, to see whether anything changed."""
        issue = self.dashboard()
        return (*self.seen(), *sorted(self.git.branches().items()), issue.body if issue else "")


def github_world(forge: FakeGithub, git_http: GitHttp, api_url: str, capture: pytest.CaptureFixture[str]) -> World:
    project = forge.add_repository("acme/shop", files=FILES)
    return World("github", forge, project, git_http, api_url, capture)


def gitlab_world(forge: FakeGitlab, git_http: GitHttp, capture: pytest.CaptureFixture[str]) -> World:
    project = forge.add_project("acme/shop", files=FILES)
    return World("gitlab", forge, project, git_http, forge.url, capture)


__all__ = ["BOT", "CACHE", "FILES", "LEAK", "TOKEN", "World", "github_world", "gitlab_world"]
