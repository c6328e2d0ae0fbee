"""GitLab, hosted or one's own, through python-gitlab (extra ``gitlab``)."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

import requests
from gitlab import Gitlab
from gitlab.exceptions import GitlabAuthenticationError, GitlabError

from leakfix.forge.patience import Patience
from leakfix.forge.protocol import (
    ForgeError,
    Hosted,
    Issue,
    NewPullRequest,
    NotAllowed,
    PullRequest,
    Rejected,
    State,
    Throttled,
    Unauthorized,
    Unavailable,
)

Result = TypeVar("Result")

BETWEEN_WRITES = 0.2  # seconds
_TIMEOUT = 30  # seconds
_DEVELOPER = 30  # the least access level that may push (GitLab's documentation, "Members API")
_DRAFT = "Draft: "
_STATES = {"opened": State.OPEN, "locked": State.OPEN, "merged": State.MERGED, "closed": State.CLOSED}
_FORK_READY = 20  # times it is asked whether a fork is ready, a second between


class GitlabForge:
    """One project there."""

    name = "GitLab"
    user = "oauth2"

    def __init__(self, url: str, path: str, token: str, patience: Patience) -> None:
        """url: the server's. path: the project's, with its groups."""
        self._patience = patience
        self._path = path
        self._gitlab = Gitlab(url, private_token=token, timeout=_TIMEOUT, retry_transient_errors=False)
        self._project: Any = None
        self._source: Any = None

    def _ask(self, ask: Callable[[], Result], again: bool = True) -> Result:
        def translated() -> Result:
            with _translated():
                return ask()

        return self._patience.call(translated, again)

    def _write(self, ask: Callable[[], Result], again: bool = True) -> Result:
        time.sleep(BETWEEN_WRITES)
        return self._ask(ask, again)

    def hosted(self, fork: bool) -> Hosted:
        """Look the project up, and a place to push to."""
        found = self._ask(lambda: self._gitlab.projects.get(self._path))
        self._project = self._source = found
        if found.archived:
            raise NotAllowed(f"{self._path} is archived: nothing can be changed there")
        if not _may_push(found):
            if not fork:
                raise NotAllowed(f"the token may not push to {self._path}; --fork works from a fork of it")
            self._source = self._forked(found)
        return Hosted(found.default_branch, found.http_url_to_repo, self._source.http_url_to_repo)

    def _forked(self, project: Any) -> Any:
        """One's own fork, made where there is none; GitLab makes it in the background."""
        own = self._ask(lambda: project.forks.list(owned=True, get_all=True))
        number = own[0].id if own else self._write(lambda: project.forks.create({}), again=False).id
        for _ in range(_FORK_READY):
            fork = self._ask(lambda: self._gitlab.projects.get(number))
            if getattr(fork, "import_status", "finished") in ("finished", "none"):
                return fork
            self._patience.sleep(1.0)
        raise Unavailable(f"the fork of {self._path} is not ready yet; run leakfix again later")

    def labelled(self, label: str) -> list[PullRequest]:
        """Merge requests with a label."""
        found = self._ask(lambda: self._project.mergerequests.list(labels=[label], state="all", get_all=True))
        return [_seen(request) for request in found]

    def of_branch(self, branch: str) -> list[PullRequest]:
        """By their source branch."""
        found = self._ask(lambda: self._project.mergerequests.list(source_branch=branch, state="all", get_all=True))
        mine = [request for request in found if request.source_project_id == self._source.id]
        return sorted(map(_seen, mine), key=lambda pull: -pull.number)

    def open(self, new: NewPullRequest) -> PullRequest:
        """Open one; what may have been opened although the answer was lost is looked for first."""
        given = {
            "source_branch": new.branch,
            "target_branch": new.base,
            "target_project_id": self._project.id,
            "title": (_DRAFT if new.draft else "") + new.title,
            "description": new.body,
            "allow_collaboration": True,
        }
        try:
            return _seen(self._write(lambda: self._source.mergerequests.create(given), again=False))
        except (Unavailable, Rejected) as error:
            there = [pull for pull in self.of_branch(new.branch) if pull.state is State.OPEN]
            if there:
                return there[0]
            if isinstance(error, Rejected):
                raise
            return _seen(self._write(lambda: self._source.mergerequests.create(given), again=False))

    def _request(self, number: int) -> Any:
        return self._project.mergerequests.get(number, lazy=True)

    def _change(self, number: int, **given: Any) -> None:
        self._write(lambda: self._project.mergerequests.update(number, given))

    def edit(self, number: int, title: str | None = None, body: str | None = None, base: str | None = None) -> None:
        """Change what is given; a draft stays one."""
        given = {"description": body, "target_branch": base}
        if title is not None:
            former = self._ask(lambda: self._project.mergerequests.get(number)).title
            given["title"] = (_DRAFT if former.startswith(_DRAFT) else "") + title
        self._change(number, **{key: value for key, value in given.items() if value is not None})

    def comment(self, number: int, text: str) -> None:
        """Once, even where the answer is lost."""
        with contextlib.suppress(Unavailable):
            self._write(lambda: self._request(number).notes.create({"body": text}), again=False)

    def close(self, number: int) -> None:
        """Close it."""
        self._change(number, state_event="close")

    def add_labels(self, number: int, labels: Sequence[str]) -> None:
        """GitLab makes labels that are not there yet."""
        self._change(number, add_labels=",".join(labels))

    def remove_label(self, number: int, label: str) -> None:
        """Take it off."""
        self._change(number, remove_labels=label)

    def ask_for_review(self, number: int, people: Sequence[str]) -> None:
        """Single people only: GitLab asks no groups."""
        ids = []
        for name in people:
            found = self._ask(lambda name=name: self._gitlab.users.list(username=name, get_all=True))  # type: ignore[misc]
            ids += [user.id for user in found]
        if ids:
            self._change(number, reviewer_ids=ids)

    def dashboard(self, label: str) -> Issue | None:
        """The oldest open issue with the label."""
        issues = self._ask(lambda: self._project.issues.list(labels=[label], state="opened", get_all=True))
        oldest = min(issues, key=lambda issue: issue.iid, default=None)
        return Issue(oldest.iid, oldest.web_url, oldest.description or "") if oldest is not None else None

    def write_dashboard(self, label: str, title: str, body: str, known: Issue | None) -> Issue:
        """Write the issue, or open one."""
        if known is not None:
            self._write(lambda: self._project.issues.update(known.number, {"description": body}))
            return Issue(known.number, known.url, body)
        given = {"title": title, "description": body, "labels": label}
        made = self._write(lambda: self._project.issues.create(given), again=False)
        return Issue(made.iid, made.web_url, body)

    def close_connection(self) -> None:
        """Let go of the connections."""
        self._gitlab.session.close()


def _may_push(project: Any) -> bool:
    access = [part["access_level"] for part in (project.permissions or {}).values() if part]
    return max(access, default=0) >= _DEVELOPER


def _seen(request: Any) -> PullRequest:
    return PullRequest(
        request.iid,
        request.web_url,
        request.source_branch,
        request.target_branch,
        request.title.removeprefix(_DRAFT),
        request.description or "",
        _STATES[request.state],
        frozenset(request.labels),
        datetime.fromisoformat(request.created_at),
    )


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """GitLab's errors in our words. The original is not chained: it may hold the request."""
    try:
        yield
    except GitlabError as error:
        problem = _problem(error)
    except requests.RequestException as error:
        problem = Unavailable(f"GitLab cannot be reached: {type(error).__name__}")
    else:
        return
    raise problem


def _problem(error: GitlabError) -> ForgeError:
    status = error.response_code or 0
    said = re.sub(r"\s+", " ", str(error.error_message))[:300]
    text = f"GitLab answered {status}: {said}"
    if isinstance(error, GitlabAuthenticationError) or status == 401:
        return Unauthorized(f"{text}; the token is wrong or has expired")
    match status:
        case 403:
            return NotAllowed(f"{text}; the token lacks a right it needs")
        case 404:
            return Rejected(f"{text}; it is not there, or the token may not see it")
        case 429:
            return Throttled(text, None)
    return Unavailable(text) if status >= 500 or status == 0 else Rejected(text)
