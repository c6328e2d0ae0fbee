"""GitHub, and GitHub Enterprise Server, through PyGithub (extra ``github``)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import requests
from github import Auth, Github, GithubException

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

_TIMEOUT = 30  # seconds
BETWEEN_WRITES = 1.0  # seconds; what GitHub's documentation asks for ("Best practices for using the REST API")


class GithubForge:
    """One repository there."""

    name = "GitHub"
    user = "x-access-token"

    def __init__(self, api_url: str, path: str, token: str, patience: Patience) -> None:
        """path: ``owner/name``."""
        self._patience = patience
        self._path = path
        self._github = Github(
            base_url=api_url,
            auth=Auth.Token(token),
            timeout=_TIMEOUT,
            retry=None,
            seconds_between_requests=0,
            seconds_between_writes=BETWEEN_WRITES,
        )
        self._repository: Any = None
        self._owner = path.partition("/")[0]

    def _ask(self, ask: Callable[[], Result], again: bool = True) -> Result:
        def translated() -> Result:
            with _translated():
                return ask()

        return self._patience.call(translated, again)

    def hosted(self, fork: bool) -> Hosted:
        """Look the repository up; GitHub follows a renamed one by itself."""
        found = self._ask(lambda: self._github.get_repo(self._path))
        self._repository = found
        if found.archived:
            raise NotAllowed(f"{self._path} is archived: nothing can be changed there")
        target = found
        if not found.permissions.push:
            if not fork:
                raise NotAllowed(f"the token may not push to {self._path}; --fork works from a fork of it")
            target = self._ask(found.create_fork)
            self._owner = target.owner.login
        return Hosted(found.default_branch, found.clone_url, target.clone_url)

    def labelled(self, label: str) -> list[PullRequest]:
        """Looked up among the issues, which can be asked for by label; only open ones are asked for their branches."""
        issues = self._ask(lambda: list(self._repository.get_issues(state="all", labels=[label])))
        return [self._labelled(issue) for issue in issues if issue.pull_request is not None]

    def _labelled(self, issue: Any) -> PullRequest:
        if issue.state == "open":
            return _seen(self._ask(lambda: self._repository.get_pull(issue.number)))
        state = State.MERGED if issue.pull_request.raw_data.get("merged_at") else State.CLOSED
        labels = frozenset(label.name for label in issue.labels)
        url, body = issue.html_url, issue.body or ""
        return PullRequest(issue.number, url, "", "", issue.title, body, state, labels, issue.created_at)

    def of_branch(self, branch: str) -> list[PullRequest]:
        """By its head, which needs its owner."""
        head = f"{self._owner}:{branch}"
        found = self._ask(lambda: list(self._repository.get_pulls(state="all", head=head)))
        return sorted(map(_seen, found), key=lambda pull: -pull.number)

    def open(self, new: NewPullRequest) -> PullRequest:
        """Open one; what may have been opened although the answer was lost is looked for first."""
        head = f"{self._owner}:{new.branch}"

        def ask() -> Any:
            return self._repository.create_pull(
                base=new.base, head=head, title=new.title, body=new.body, draft=new.draft, maintainer_can_modify=True
            )

        try:
            return _seen(self._ask(ask, again=False))
        except (Unavailable, Rejected) as error:
            there = [pull for pull in self.of_branch(new.branch) if pull.state is State.OPEN]
            if there:
                return there[0]
            if isinstance(error, Rejected):
                raise
            return _seen(self._ask(ask, again=False))

    def edit(self, number: int, title: str | None = None, body: str | None = None, base: str | None = None) -> None:
        """Change what is given."""
        given = {key: value for key, value in (("title", title), ("body", body), ("base", base)) if value is not None}
        self._ask(lambda: self._repository.get_pull(number).edit(**given))

    def comment(self, number: int, text: str) -> None:
        """Once, even where the answer is lost."""
        with contextlib.suppress(Unavailable):
            self._ask(lambda: self._repository.get_pull(number).create_issue_comment(text), again=False)

    def close(self, number: int) -> None:
        """Close it."""
        self._ask(lambda: self._repository.get_pull(number).edit(state="closed"))

    def add_labels(self, number: int, labels: Sequence[str]) -> None:
        """GitHub makes labels that are not there yet."""
        url = f"{self._repository.url}/issues/{number}/labels"
        requester = self._repository.requester
        self._ask(lambda: requester.requestJsonAndCheck("POST", url, input={"labels": list(labels)}))

    def remove_label(self, number: int, label: str) -> None:
        """Take it off."""
        with contextlib.suppress(Rejected):  # it was not on it
            self._ask(lambda: self._repository.get_issue(number).remove_from_labels(label))

    def ask_for_review(self, number: int, people: Sequence[str]) -> None:
        """Teams are known by their short names."""
        teams = [name.partition("/")[2] for name in people if "/" in name]
        users = [name for name in people if "/" not in name]
        self._ask(
            lambda: self._repository.get_pull(number).create_review_request(reviewers=users, team_reviewers=teams)
        )

    def dashboard(self, label: str) -> Issue | None:
        """The oldest open issue with the label."""
        issues = self._ask(lambda: list(self._repository.get_issues(state="open", labels=[label])))
        own = [issue for issue in issues if issue.pull_request is None]
        oldest = min(own, key=lambda issue: issue.number, default=None)
        return Issue(oldest.number, oldest.html_url, oldest.body or "") if oldest is not None else None

    def write_dashboard(self, label: str, title: str, body: str, known: Issue | None) -> Issue:
        """Write the issue, or open one."""
        if known is not None:
            self._ask(lambda: self._repository.get_issue(known.number).edit(body=body))
            return Issue(known.number, known.url, body)
        made = self._ask(lambda: self._repository.create_issue(title=title, body=body, labels=[label]), again=False)
        return Issue(made.number, made.html_url, body)

    def close_connection(self) -> None:
        """Let go of the connections."""
        self._github.close()


def _seen(pull: Any) -> PullRequest:
    state = State.OPEN if pull.state == "open" else State.MERGED if pull.merged_at is not None else State.CLOSED
    labels = frozenset(label.name for label in pull.labels)
    return PullRequest(
        pull.number,
        pull.html_url,
        pull.head.ref,
        pull.base.ref,
        pull.title,
        pull.body or "",
        state,
        labels,
        pull.created_at,
    )


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """GitHub's errors in our words. The original is not chained: it holds the request."""
    try:
        yield
    except GithubException as error:
        problem = _problem(error)
    except requests.RequestException as error:
        problem = Unavailable(f"GitHub cannot be reached: {type(error).__name__}")
    else:
        return
    raise problem


def _problem(error: GithubException) -> ForgeError:
    headers = {str(key).lower(): value for key, value in (error.headers or {}).items()}
    said = error.data.get("message", "") if isinstance(error.data, dict) else ""
    details = error.data.get("errors") or [] if isinstance(error.data, dict) else []
    more = "; ".join(str(item.get("message") or item.get("code")) for item in details if isinstance(item, dict))
    text = f"GitHub answered {error.status}: {said}{f' ({more})' if more else ''}"
    limited = "retry-after" in headers or "rate limit" in said.lower() or headers.get("x-ratelimit-remaining") == "0"
    match error.status:
        case 401:
            return Unauthorized(f"{text}; the token is wrong or has expired")
        case 429:
            return Throttled(text, _seconds(headers))
        case 403 if limited:
            return Throttled(text, _seconds(headers))
        case 403:
            return NotAllowed(f"{text}; the token lacks a right it needs")
        case 404:
            return Rejected(f"{text}; it is not there, or the token may not see it")
        case status if status >= 500:
            return Unavailable(text)
    return Rejected(text)


def _seconds(headers: dict[str, Any]) -> float | None:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None
