"""A stand-in for GitHub's REST interface: as much of it as a bot that opens pull requests uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from .github_documents import Document, Documents
from .github_state import Comment, Issue, Label, Pull, Repository, User
from .repository import BareRepository, Commit
from .serving import Answer, Clock, Fault, Page, Refused, Request, Routes, Server, now, page_of

_MANUAL = "https://docs.github.com/rest"
_MESSAGES = {
    401: "Bad credentials",
    403: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    404: "Not Found",
    429: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
}
BOT = "leakfix-bot"
TOKEN = "token-of-the-bot"


def refusal(status: int, message: str, *errors: Mapping[str, Any]) -> Refused:
    """An error as GitHub words it."""
    said = {"message": message, "documentation_url": _MANUAL, "status": str(status)}
    return Refused(Answer(status, {**said, "errors": list(errors)} if errors else said))


def invalid(resource: str, field: str, code: str = "invalid") -> Refused:
    return refusal(422, "Validation Failed", {"resource": resource, "field": field, "code": code})


def _custom(message: str) -> Refused:
    return refusal(422, "Validation Failed", {"resource": "PullRequest", "code": "custom", "message": message})


@dataclass(frozen=True)
class Call:
    """A request, and who made it."""

    request: Request
    login: str

    @property
    def sent(self) -> Mapping[str, Any]:
        return self.request.document or {}


class FakeGithub(Server):
    """GitHub on a free port: ``with FakeGithub(folder) as github: Github(base_url=github.url, ...)``.

    Repositories are kept in the folder as ``owner/name.git``. Everything known is in ``users``, ``repositories`` and
    ``tokens`` (the login each one belongs to) and may be changed at any time. Links in answers begin with
    ``public_url``, for a proxy in front, and ``git_url`` where a repository is cloned from.
    """

    def __init__(self, root: Path, clock: Clock = now) -> None:
        super().__init__()
        self.root = root
        self.clock = clock
        self.users: dict[str, User] = {}
        self.repositories: dict[str, Repository] = {}
        self.tokens = {TOKEN: BOT}
        self.public_url: str | None = None
        self.git_url: str | None = None
        self.unready_forks = 0  # how often a new fork is said not to exist
        self._numbers = count(1)
        self.add_user(BOT, email="bot@example.org")
        self.add_user("person", email="person@example.org")

    # What tests arrange.

    def add_user(self, login: str, email: str = "", kind: str = "User") -> User:
        """Make a person, or an organisation."""
        return self.users.setdefault(login, User(next(self._numbers), login, kind, login.title(), email))

    def add_repository(
        self,
        full_name: str,
        path: Path | None = None,
        branch: str = "main",
        files: Mapping[str, str] | None = None,
        collaborators: Mapping[str, str] | None = None,
    ) -> Repository:
        """Make a repository, or take in a bare one that exists; the bot and the person may push unless told else."""
        place = path or self.root / f"{full_name}.git"
        git = BareRepository(place) if place.exists() else BareRepository.create(place, branch, files)
        rights = {BOT: "push", "person": "push"} if collaborators is None else dict(collaborators)
        self.add_user(full_name.partition("/")[0], kind="Organization")
        made = Repository(next(self._numbers), full_name, git, self.clock(), rights)
        self.repositories[full_name] = made
        return made

    def open_pull(self, repository: Repository, head: str, title: str, user: str = "person", **sent: Any) -> Pull:
        """Open a pull request as a person does; ``head`` may name a fork's owner."""
        with self.lock:
            return self._open(
                repository, user, {"head": head, "base": repository.default_branch, "title": title, **sent}
            )

    def close(self, repository: Repository, number: int, user: str = "person") -> None:
        """Close an issue or a pull request as a person does."""
        with self.lock:
            self.follow(repository)
            repository.threads[number].close(self.clock(), user)

    def merge(self, repository: Repository, number: int, user: str = "person") -> str:
        """Merge a pull request as a person does; returns the merge."""
        with self.lock:
            self.follow(repository)
            pull = self._pull(repository, number)
            assert pull.state == "open", f"#{number} is closed"
            sha = repository.git.merge(pull.base_branch, pull.head_sha, f"Merge pull request #{number}")
            self._merged(pull, sha, user)
            return sha

    def comment(self, repository: Repository, number: int, body: str, user: str = "person") -> Comment:
        """Comment as a person does."""
        with self.lock:
            thread, time = repository.threads[number], self.clock()
            made = Comment(next(self._numbers), user, body, time, time)
            thread.comments.append(made)
            thread.updated = time
            return made

    def label(self, repository: Repository, number: int, *names: str) -> None:
        """Label as a person does; a label is made when it is first used."""
        with self.lock:
            thread = repository.threads[number]
            for name in names:
                known = repository.labels.setdefault(name.lower(), Label(next(self._numbers), name))
                if known.name not in thread.labels:
                    thread.labels.append(known.name)

    def rename_branch(self, repository: Repository, old: str, new: str) -> None:
        """Rename a branch, the default one too; pull requests into it follow."""
        with self.lock:
            repository.git.rename(old, new)
            for pull in repository.open_pulls:
                pull.base_branch = new if pull.base_branch == old else pull.base_branch

    # What answers are made of.

    @property
    def documents(self) -> Documents:
        api = self.public_url or self.url
        return Documents(api, self.git_url or api)

    def failure(self, fault: Fault) -> Any:
        message = _MESSAGES.get(fault.status or 0, "Server Error")
        return {"message": message, "documentation_url": _MANUAL, "status": str(fault.status)}

    def answer(self, request: Request) -> Answer:
        with self.lock:
            call = Call(request, self._login(request))
            found = ROUTES.find(request)
            if found is None:
                raise refusal(404, "Not Found")
            operation, named = found
            answer = operation(self, call, **self._arguments(call, named))
            left = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999", "X-RateLimit-Used": "1"}
            return Answer(answer.status, answer.document, {**left, **answer.headers})

    def _login(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not token:
            raise refusal(401, "Requires authentication")
        if scheme.lower() not in ("token", "bearer") or token not in self.tokens:
            raise refusal(401, "Bad credentials")
        return self.tokens[token]

    def _arguments(self, call: Call, named: dict[str, str]) -> dict[str, Any]:
        """What an operation is about, instead of its names in the path."""
        arguments: dict[str, Any] = dict(named)
        if "repo" in named:
            full_name = f"{arguments.pop('owner')}/{arguments.pop('repo')}"
            arguments["repository"] = repository = self._repository(call, full_name)
            for kind, argument, find in (("number", "thread", self._thread), ("pull_number", "pull", self._pull)):
                if kind in named:
                    arguments[argument] = find(repository, int(arguments.pop(kind)))
        return arguments

    def _repository(self, call: Call, full_name: str) -> Repository:
        known = {name.lower(): repository for name, repository in self.repositories.items()}
        repository = known.get(full_name.lower())
        if not repository or (repository.private and call.login not in (*repository.collaborators, repository.owner)):
            raise refusal(404, "Not Found")
        if repository.unready:
            repository.unready -= 1
            raise refusal(404, "Not Found")
        if repository.archived and call.request.writes and not call.request.path.endswith("/forks"):
            raise refusal(403, "Repository was archived so is read-only.")
        self.follow(repository)
        return repository

    def _thread(self, repository: Repository, number: int) -> Issue:
        if number not in repository.threads:
            raise refusal(404, "Not Found")
        return repository.threads[number]

    def _pull(self, repository: Repository, number: int) -> Pull:
        thread = self._thread(repository, number)
        if not isinstance(thread, Pull):
            raise refusal(404, "Not Found")
        return thread

    # How pull requests follow git.

    def follow(self, repository: Repository) -> None:
        """Let open pull requests follow what was pushed since they were last looked at."""
        for pull in list(repository.open_pulls):
            source = self.repositories.get(pull.head_repository)
            head = source.git.head(pull.head_branch) if source else None
            base = repository.git.head(pull.base_branch)
            if source is None or head is None or base is None:
                pull.close(self.clock())
            elif (head, base) != (pull.head_sha, pull.base_sha):
                self._moved(repository, pull, source, head, base)

    def _moved(self, repository: Repository, pull: Pull, source: Repository, head: str, base: str) -> None:
        self._see(repository, pull.number, source, head)
        contained = repository.git.contains(base, head)
        if contained and head == pull.head_sha:
            self._merged(pull, base, "person")
        else:
            pull.head_sha, pull.base_sha, pull.updated = head, base, self.clock()
            if contained:
                pull.close(self.clock())

    def _see(self, repository: Repository, number: int, source: Repository, head: str) -> None:
        repository.git.adopt(source.git, head)
        repository.git.git("update-ref", f"refs/pull/{number}/head", head)

    def _merged(self, pull: Pull, sha: str, user: str) -> None:
        pull.close(self.clock(), user)
        pull.merged, pull.merged_by, pull.merge_sha = pull.closed, user, sha

    def _network(self, repository: Repository) -> str:
        while repository.parent:
            repository = self.repositories[repository.parent]
        return repository.full_name

    def source_of(self, repository: Repository, head: str) -> tuple[Repository, str] | None:
        """The repository and the branch that a pull request is to come from."""
        owner, separator, branch = head.partition(":")
        if not separator:
            return repository, head
        network = self._network(repository)
        same = [other for other in self.repositories.values() if self._network(other) == network]
        # A repository comes before a fork of it that has the same owner.
        mine = sorted((other for other in same if other.owner == owner), key=lambda other: other is not repository)
        return (mine[0], branch) if mine else None

    def _open(self, repository: Repository, login: str, sent: Mapping[str, Any]) -> Pull:
        for name in ("head", "base", "title"):
            if not sent.get(name):
                raise invalid("PullRequest", name, "missing_field")
        found = self.source_of(repository, sent["head"])
        head = found[0].git.head(found[1]) if found else None
        if found is None or head is None:
            raise invalid("PullRequest", "head")
        source, branch = found
        base = repository.git.head(sent["base"])
        if base is None:
            raise invalid("PullRequest", "base")
        self._check_new(repository, source, branch, sent["base"])
        number = max(repository.threads, default=0) + 1
        self._see(repository, number, source, head)
        if repository.git.contains(base, head):
            raise _custom(f"No commits between {sent['base']} and {sent['head']}")
        time = self.clock()
        pull = Pull(number, sent["title"], sent.get("body"), login, time, time)
        pull.head_repository, pull.head_branch, pull.head_sha = source.full_name, branch, head
        pull.base_branch, pull.base_sha, pull.draft = sent["base"], base, bool(sent.get("draft"))
        pull.maintainer_can_modify = bool(sent.get("maintainer_can_modify", False))
        repository.threads[number] = pull
        return pull

    def _check_new(self, repository: Repository, source: Repository, branch: str, base: str) -> None:
        wanted = source.full_name, branch, base
        for pull in repository.open_pulls:
            if (pull.head_repository, pull.head_branch, pull.base_branch) == wanted:
                raise _custom(f"A pull request already exists for {source.owner}:{branch}.")

    # Documents of what is known.

    def repository_document(self, repository: Repository, login: str) -> Document:
        return self.documents.repository(repository, self.users[repository.owner], login)

    def full_repository(self, repository: Repository, login: str) -> Document:
        """A repository on its own; a fork tells where it is from."""
        document = self.repository_document(repository, login)
        document |= {"network_count": 0, "subscribers_count": 0}
        if repository.parent:
            root = self.repositories[self._network(repository)]
            document["parent"] = self.repository_document(self.repositories[repository.parent], login)
            document["source"] = self.repository_document(root, login)
        return document

    def pull_document(self, repository: Repository, pull: Pull, login: str) -> Document:
        """A pull request as in lists."""
        reviewers = [self.users[reviewer] for reviewer in pull.reviewers]
        source = self.repositories[pull.head_repository]
        return {
            **self.documents.pull(repository, pull, self.users[pull.user], reviewers),
            "head": self._end(source, pull.head_branch, pull.head_sha, login),
            "base": self._end(repository, pull.base_branch, pull.base_sha, login),
        }

    def _end(self, repository: Repository, branch: str, sha: str, login: str) -> Document:
        return {
            "label": f"{repository.owner}:{branch}",
            "ref": branch,
            "sha": sha,
            "user": self.documents.user(self.users[repository.owner]),
            "repo": self.repository_document(repository, login),
        }

    def full_pull(self, repository: Repository, pull: Pull, login: str) -> Document:
        """A pull request on its own."""
        added, removed, files = repository.git.changes(pull.base_sha, pull.head_sha)
        return {
            **self.pull_document(repository, pull, login),
            "merged": pull.merged is not None,
            "mergeable": None if pull.merged else True,
            "mergeable_state": "clean" if pull.state == "open" else "unknown",
            "merged_by": self.documents.user(self.users[pull.merged_by]) if pull.merged_by else None,
            "comments": len(pull.comments),
            "review_comments": 0,
            "maintainer_can_modify": pull.maintainer_can_modify,
            "commits": len(repository.git.between(pull.base_sha, pull.head_sha)),
            "additions": added,
            "deletions": removed,
            "changed_files": files,
        }

    def issue_document(self, repository: Repository, issue: Issue) -> Document:
        closer = {"closed_by": self.documents.user(self.users[issue.closed_by]) if issue.closed_by else None}
        return {**self.documents.issue(repository, issue, self.users[issue.user]), **closer}

    def label_documents(self, repository: Repository, issue: Issue) -> list[Document]:
        return [self.documents.label(repository, repository.labels[name.lower()]) for name in issue.labels]

    def commit_document(self, repository: Repository, commit: Commit) -> Document:
        by_address = {user.email: user for user in self.users.values() if user.email}
        users = by_address.get(commit.author[1]), by_address.get(commit.committer[1])
        return self.documents.commit(repository, commit, users)

    def paged(self, items: Sequence[Any], call: Call, document: Callable[[Any], Document]) -> Answer:
        """The part of a list that was asked for; only its documents are made."""
        page: Page = page_of(items, call.request, self.public_url or self.url, usual=30)
        return Answer(200, [document(item) for item in page.items], {"Link": page.links} if page.links else {})

    # Rights and changes that several operations need.

    def needs(self, call: Call, repository: Repository, right: str = "push") -> None:
        if not repository.may(call.login, right):
            raise refusal(403, "Resource not accessible by personal access token")

    def edit(self, call: Call, repository: Repository, thread: Issue) -> None:
        """Change what issues and pull requests have in common."""
        if call.login != thread.user:
            self.needs(call, repository)
        for name in ("title", "body"):
            if name in call.sent:
                setattr(thread, name, call.sent[name])
        wanted = call.sent.get("state", thread.state)
        if wanted not in ("open", "closed"):
            raise invalid(type(thread).__name__, "state")
        if wanted != thread.state:
            thread.reopen(self.clock()) if wanted == "open" else thread.close(self.clock(), call.login)
        thread.updated = self.clock()

    def fork(self, repository: Repository, owner: str, name: str) -> Repository:
        """The fork of an owner, which is made where there is none."""
        for other in self.repositories.values():
            if other.owner == owner and other.parent == repository.full_name:
                return other
        full_name = f"{owner}/{name}"
        if full_name in self.repositories:
            full_name += "-1"
        git = repository.git.copy(self.root / f"{full_name}.git")
        made = Repository(next(self._numbers), full_name, git, self.clock(), {}, repository.full_name)
        made.has_issues, made.unready = False, self.unready_forks
        self.repositories[full_name] = made
        return made


ROUTES = Routes()
_REPO = "/repos/{owner}/{repo}"


def _filtered(items: Sequence[Any], call: Call) -> list[Any]:
    """Issues or pull requests in the state that was asked for, the newest first unless told else."""
    state = call.request.query.get("state", "open")
    sort = "updated" if call.request.query.get("sort") == "updated" else "created"
    kept = [item for item in items if state in ("all", item.state)]
    down = call.request.query.get("direction", "desc") == "desc"
    return sorted(kept, key=lambda item: (getattr(item, sort), item.number), reverse=down)


@ROUTES.add("GET", "/user")
def _account(github: FakeGithub, call: Call) -> Answer:
    scopes = {"X-OAuth-Scopes": "repo, workflow"}
    return Answer(200, github.documents.account(github.users[call.login], "2020-01-01T00:00:00Z"), scopes)


@ROUTES.add("GET", _REPO)
def _get_repository(github: FakeGithub, call: Call, repository: Repository) -> Answer:
    return Answer(200, github.full_repository(repository, call.login))


@ROUTES.add("GET", f"{_REPO}/pulls")
def _list_pulls(github: FakeGithub, call: Call, repository: Repository) -> Answer:
    pulls = _filtered(repository.pulls, call)
    owner, named, branch = call.request.query.get("head", "").partition(":")
    if named:  # GitHub ignores a branch without an owner
        pulls = [pull for pull in pulls if (pull.head_repository.split("/")[0], pull.head_branch) == (owner, branch)]
    if base := call.request.query.get("base"):
        pulls = [pull for pull in pulls if pull.base_branch == base]
    return github.paged(pulls, call, lambda pull: github.pull_document(repository, pull, call.login))


@ROUTES.add("POST", f"{_REPO}/pulls")
def _create_pull(github: FakeGithub, call: Call, repository: Repository) -> Answer:
    pull = github._open(repository, call.login, call.sent)
    return Answer(201, github.full_pull(repository, pull, call.login))


@ROUTES.add("GET", f"{_REPO}/pulls/{{pull_number}}")
def _get_pull(github: FakeGithub, call: Call, repository: Repository, pull: Pull) -> Answer:
    return Answer(200, github.full_pull(repository, pull, call.login))


@ROUTES.add("PATCH", f"{_REPO}/pulls/{{pull_number}}")
def _edit_pull(github: FakeGithub, call: Call, repository: Repository, pull: Pull) -> Answer:
    if call.sent.get("state") == "open" and pull.state == "closed":
        _check_reopening(github, repository, pull)
    base = call.sent.get("base", pull.base_branch)
    tip = repository.git.head(base)
    if tip is None:
        raise invalid("PullRequest", "base")
    github.edit(call, repository, pull)
    if base != pull.base_branch:
        pull.base_branch, pull.base_sha = base, tip
    return Answer(200, github.full_pull(repository, pull, call.login))


def _check_reopening(github: FakeGithub, repository: Repository, pull: Pull) -> None:
    source = github.repositories.get(pull.head_repository)
    head = source.git.head(pull.head_branch) if source else None
    if pull.merged or source is None or head is None:
        raise refusal(422, "Validation Failed", {"resource": "PullRequest", "field": "state", "code": "invalid"})
    github._check_new(repository, source, pull.head_branch, pull.base_branch)


@ROUTES.add("GET", f"{_REPO}/pulls/{{pull_number}}/commits")
def _list_commits(github: FakeGithub, call: Call, repository: Repository, pull: Pull) -> Answer:
    commits = repository.git.between(pull.base_sha, pull.head_sha)
    return github.paged(commits, call, lambda commit: github.commit_document(repository, commit))


@ROUTES.add("POST", f"{_REPO}/pulls/{{pull_number}}/requested_reviewers")
def _request_reviewers(github: FakeGithub, call: Call, repository: Repository, pull: Pull) -> Answer:
    github.needs(call, repository)
    wanted = call.sent.get("reviewers", [])
    if pull.user in wanted:
        raise refusal(422, "Review cannot be requested from pull request author.")
    if call.sent.get("team_reviewers") or set(wanted) - {*repository.collaborators, repository.owner}:
        raise refusal(
            422,
            "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not "
            f"a collaborator of the {repository.full_name} repository.",
        )
    pull.reviewers += [login for login in wanted if login not in pull.reviewers]
    return Answer(201, github.pull_document(repository, pull, call.login))


@ROUTES.add("GET", f"{_REPO}/issues")
def _list_issues(github: FakeGithub, call: Call, repository: Repository) -> Answer:
    wanted = {name.strip().lower() for name in call.request.query.get("labels", "").split(",")} - {""}
    threads = _filtered(list(repository.threads.values()), call)
    kept = [thread for thread in threads if wanted <= {name.lower() for name in thread.labels}]
    if creator := call.request.query.get("creator"):
        kept = [thread for thread in kept if thread.user == creator]
    return github.paged(kept, call, lambda thread: github.issue_document(repository, thread))


@ROUTES.add("POST", f"{_REPO}/issues")
def _create_issue(github: FakeGithub, call: Call, repository: Repository) -> Answer:
    if not repository.has_issues:
        raise refusal(410, "Issues has been disabled in this repository.")
    if not call.sent.get("title"):
        raise invalid("Issue", "title", "missing_field")
    number, time = max(repository.threads, default=0) + 1, github.clock()
    repository.threads[number] = issue = Issue(
        number, str(call.sent["title"]), call.sent.get("body"), call.login, time, time
    )
    if repository.may(call.login, "push"):  # labels of others are dropped without a word
        github.label(repository, number, *_names(call.sent.get("labels", [])))
    return Answer(201, github.issue_document(repository, issue))


@ROUTES.add("GET", f"{_REPO}/issues/{{number}}")
def _get_issue(github: FakeGithub, call: Call, repository: Repository, thread: Issue) -> Answer:
    return Answer(200, github.issue_document(repository, thread))


@ROUTES.add("PATCH", f"{_REPO}/issues/{{number}}")
def _edit_issue(github: FakeGithub, call: Call, repository: Repository, thread: Issue) -> Answer:
    github.edit(call, repository, thread)
    thread.reason = call.sent.get("state_reason", "completed" if thread.state == "closed" else None)
    if "labels" in call.sent and repository.may(call.login, "push"):
        thread.labels = []
        github.label(repository, thread.number, *_names(call.sent["labels"]))
    return Answer(200, github.issue_document(repository, thread))


@ROUTES.add("GET", f"{_REPO}/issues/{{number}}/comments")
def _list_comments(github: FakeGithub, call: Call, repository: Repository, thread: Issue) -> Answer:
    def document(comment: Comment) -> Document:
        return github.documents.comment(repository, thread, comment, github.users[comment.user])

    return github.paged(thread.comments, call, document)


@ROUTES.add("POST", f"{_REPO}/issues/{{number}}/comments")
def _create_comment(github: FakeGithub, call: Call, repository: Repository, thread: Issue) -> Answer:
    if not call.sent.get("body"):
        raise invalid("IssueComment", "body", "missing_field")
    comment = github.comment(repository, thread.number, call.sent["body"], call.login)
    return Answer(201, github.documents.comment(repository, thread, comment, github.users[call.login]))


@ROUTES.add("GET", f"{_REPO}/issues/{{number}}/labels")
def _list_labels(github: FakeGithub, call: Call, repository: Repository, thread: Issue) -> Answer:
    return Answer(200, github.label_documents(repository, thread))


@ROUTES.add("POST", f"{_REPO}/issues/{{number}}/labels")
def _add_labels(github: FakeGithub, call: Call, repository: Repository, thread: Issue) -> Answer:
    github.needs(call, repository)
    sent = call.request.document
    github.label(repository, thread.number, *_names(sent if isinstance(sent, list) else call.sent.get("labels", [])))
    return Answer(200, github.label_documents(repository, thread))


@ROUTES.add("DELETE", f"{_REPO}/issues/{{number}}/labels/{{name}}")
def _remove_label(github: FakeGithub, call: Call, repository: Repository, thread: Issue, name: str) -> Answer:
    github.needs(call, repository)
    kept = [label for label in thread.labels if label.lower() != name.lower()]
    if kept == thread.labels:
        raise refusal(404, "Label does not exist")
    thread.labels = kept
    return Answer(200, github.label_documents(repository, thread))


def _names(labels: Sequence[Any]) -> list[str]:
    return [label["name"] if isinstance(label, dict) else label for label in labels]


@ROUTES.add("POST", f"{_REPO}/forks")
def _create_fork(github: FakeGithub, call: Call, repository: Repository) -> Answer:
    owner = call.sent.get("organization") or call.login
    if owner not in github.users:
        raise invalid("Fork", "organization")
    fork = github.fork(repository, owner, call.sent.get("name") or repository.name)
    return Answer(202, github.full_repository(fork, call.login))


@ROUTES.add("GET", f"{_REPO}/git/ref/heads/{{branch*}}")
def _get_reference(github: FakeGithub, call: Call, repository: Repository, branch: str) -> Answer:
    return Answer(200, github.documents.reference(repository, branch, _tip(repository, branch)))


@ROUTES.add("GET", f"{_REPO}/branches/{{branch*}}")
def _get_branch(github: FakeGithub, call: Call, repository: Repository, branch: str) -> Answer:
    commit = github.commit_document(repository, repository.git.read(_tip(repository, branch)))
    return Answer(200, github.documents.branch(repository, branch, commit))


def _tip(repository: Repository, branch: str) -> str:
    tip = repository.git.head(branch)
    if tip is None:
        raise refusal(404, "Branch not found")
    return tip
