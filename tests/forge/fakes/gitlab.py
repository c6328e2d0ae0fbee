"""A stand-in for GitLab's REST interface: as much of it as a bot that opens merge requests uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from .github import BOT, TOKEN
from .gitlab_documents import Document, Documents
from .gitlab_state import DEVELOPER, REPORTER, Issue, MergeRequest, Note, Project, User
from .repository import BareRepository
from .serving import Answer, Clock, Fault, Refused, Request, Routes, Server, now, page_of

_MESSAGES = {401: "401 Unauthorized", 403: "403 Forbidden", 429: "Retry later"}


def refusal(status: int, message: Any) -> Refused:
    """An error as GitLab words it."""
    return Refused(Answer(status, {"message": message}))


@dataclass(frozen=True)
class Call:
    """A request, and who made it."""

    request: Request
    login: str

    @property
    def sent(self) -> Mapping[str, Any]:
        return self.request.document or {}


class FakeGitlab(Server):
    """GitLab on a free port: ``with FakeGitlab(folder) as gitlab: Gitlab(gitlab.url, private_token=TOKEN)``.

    Projects are kept in the folder as ``group/name.git``. Everything known is in ``users``, ``projects`` and
    ``tokens`` (the login each one belongs to) and may be changed at any time.
    """

    def __init__(self, root: Path, clock: Clock = now) -> None:
        super().__init__()
        self.root = root
        self.clock = clock
        self.users: dict[str, User] = {}
        self.projects: dict[str, Project] = {}
        self.tokens = {TOKEN: BOT}
        self.git_url: str | None = None
        self._numbers = count(1)
        self.add_user(BOT, "bot@example.org")
        self.add_user("person", "person@example.org")

    # What tests arrange.

    def add_user(self, login: str, email: str = "") -> User:
        """Make a person."""
        return self.users.setdefault(login, User(next(self._numbers), login, login.title(), email))

    def add_project(
        self,
        path: str,
        folder: Path | None = None,
        branch: str = "main",
        files: Mapping[str, str] | None = None,
        members: Mapping[str, int] | None = None,
    ) -> Project:
        """Make a project, or take in a bare repository that exists; bot and person are developers unless told else."""
        place = folder or self.root / f"{path}.git"
        git = BareRepository(place) if place.exists() else BareRepository.create(place, branch, files)
        levels = {BOT: DEVELOPER, "person": DEVELOPER} if members is None else dict(members)
        made = Project(next(self._numbers), path, git, self.clock(), levels)
        self.projects[path] = made
        return made

    def open_merge_request(
        self, project: Project, source_branch: str, title: str, user: str = "person", **sent: Any
    ) -> MergeRequest:
        """Open a merge request as a person does."""
        with self.lock:
            branches = {"source_branch": source_branch, "target_branch": project.default_branch}
            return self._open(project, user, {**branches, "title": title, **sent})[1]

    def close(self, thread: Issue, user: str = "person") -> None:
        """Close an issue or a merge request as a person does."""
        with self.lock:
            thread.close(self.clock(), user)

    def merge(self, project: Project, number: int, user: str = "person") -> str:
        """Merge a merge request as a person does; returns the merge."""
        with self.lock:
            self.follow(project)
            request = project.merge_requests[number]
            assert request.state == "opened", f"!{number} is {request.state}"
            sha = project.git.merge(request.target_branch, request.source_sha, f"Merge !{number}")
            self._merged(request, sha, user)
            return sha

    def note(self, thread: Issue, body: str, user: str = "person") -> Note:
        """Comment as a person does."""
        with self.lock:
            time = self.clock()
            made = Note(next(self._numbers), user, body, time, time)
            thread.notes.append(made)
            thread.updated = time
            return made

    def rename_branch(self, project: Project, old: str, new: str) -> None:
        """Rename a branch, the default one too; merge requests into it do not follow."""
        with self.lock:
            project.git.rename(old, new)

    # What answers are made of.

    @property
    def documents(self) -> Documents:
        return Documents(self.url, self.git_url or self.url, self.users.__getitem__)

    def failure(self, fault: Fault) -> Any:
        return {"message": _MESSAGES.get(fault.status or 0, f"{fault.status} Internal Server Error")}

    def answer(self, request: Request) -> Answer:
        with self.lock:
            call = Call(request, self._login(request))
            found = ROUTES.find(request)
            if found is None:
                raise Refused(Answer(404, {"error": "404 Not Found"}))
            operation, named = found
            return operation(self, call, **self._arguments(call, named))

    def _login(self, request: Request) -> str:
        token = request.headers.get("private-token") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            raise refusal(401, "401 Unauthorized")
        return self.tokens[token]

    def _arguments(self, call: Call, named: dict[str, str]) -> dict[str, Any]:
        """What an operation is about, instead of its names in the path."""
        arguments: dict[str, Any] = dict(named)
        if "project" in named:
            arguments["project"] = project = self._project(call, named["project"])
            every: Mapping[str, Mapping[int, Issue]] = {"request": project.merge_requests, "issue": project.issues}
            for kind in every.keys() & named.keys():
                number = int(named[kind]) if named[kind].isdigit() else 0
                if number not in every[kind]:
                    raise refusal(404, "404 Not found")
                arguments[kind] = every[kind][number]
        return arguments

    def _project(self, call: Call, named: str) -> Project:
        for project in self.projects.values():
            if named in (str(project.number), project.path):
                break
        else:
            raise refusal(404, "404 Project Not Found")
        if project.archived and call.request.writes and not call.request.path.endswith("/fork"):
            raise refusal(403, "403 Forbidden")
        self.follow(project)
        return project

    def numbered(self, number: int) -> Project:
        """The project of a number."""
        for project in self.projects.values():
            if project.number == number:
                return project
        raise refusal(404, "404 Project Not Found")

    def follow(self, project: Project) -> None:
        """Let open merge requests follow what was pushed since; one whose branch is deleted stays open."""
        for request in project.merge_requests.values():
            source = self.projects[request.source_project]
            head, target = source.git.head(request.source_branch), project.git.head(request.target_branch)
            known = request.source_sha, request.target_sha
            if request.state == "opened" and head and target and (head, target) != known:
                self._moved(project, request, head, target)

    def _moved(self, project: Project, request: MergeRequest, head: str, target: str) -> None:
        self._see(project, request.number, self.projects[request.source_project], head)
        if head == request.source_sha and project.git.contains(target, head):
            self._merged(request, target, "person")
        else:
            request.source_sha, request.target_sha, request.updated = head, target, self.clock()

    def _see(self, project: Project, number: int, source: Project, head: str) -> None:
        project.git.adopt(source.git, head)
        project.git.git("update-ref", f"refs/merge-requests/{number}/head", head)

    def _merged(self, request: MergeRequest, sha: str, user: str) -> None:
        request.state, request.updated = "merged", self.clock()
        request.merged, request.merged_by, request.merge_sha = request.updated, user, sha

    def _open(self, source: Project, login: str, sent: Mapping[str, Any]) -> tuple[Project, MergeRequest]:
        project = self.numbered(sent["target_project_id"]) if sent.get("target_project_id") else source
        absent = [name for name in ("title", "source_branch", "target_branch") if not sent.get(name)]
        if absent:
            raise Refused(Answer(400, {"error": ", ".join(f"{name} is missing" for name in absent)}))
        if (source.path, sent["source_branch"]) == (project.path, sent["target_branch"]):
            raise refusal(422, ["You can't use same project/branch for source and target"])
        if project is not source and project.path != source.forked_from:
            raise refusal(422, ["Source project is not a fork of the target project"])
        self._check_new(project, source, sent)
        time, number = self.clock(), max(project.merge_requests, default=0) + 1
        made = MergeRequest(number, sent["title"], sent.get("description"), login, time, time)
        made.source_project, made.source_branch = source.path, sent["source_branch"]
        made.target_branch, made.target_sha = sent["target_branch"], project.git.head(sent["target_branch"]) or ""
        # As the real one, this takes a branch that is not there, and one without any commit of its own.
        made.source_sha = source.git.head(made.source_branch) or ""
        if made.source_sha:
            self._see(project, number, source, made.source_sha)
        project.merge_requests[number] = made
        self.change(project, made, login, {key: sent[key] for key in ("labels", "reviewer_ids") if key in sent})
        return project, made

    def _check_new(self, project: Project, source: Project, sent: Mapping[str, Any]) -> None:
        wanted = source.path, sent["source_branch"], sent["target_branch"]
        for other in project.merge_requests.values():
            same = (other.source_project, other.source_branch, other.target_branch) == wanted
            if same and other.state == "opened":
                raise refusal(
                    409, [f"Another open merge request already exists for this source branch: !{other.number}"]
                )

    def change(self, project: Project, thread: Issue, login: str, sent: Mapping[str, Any]) -> None:
        """Change an issue or a merge request; labels of who may not set them are dropped without a word."""
        thread.title = sent.get("title", thread.title)
        thread.body = sent.get("description", thread.body)
        if project.members.get(login, 0) >= REPORTER:
            kept = _names(sent.get("labels", thread.labels)) + _names(sent.get("add_labels", []))
            gone = _names(sent.get("remove_labels", []))
            thread.labels = [name for name in dict.fromkeys(kept) if name not in gone]
        if isinstance(thread, MergeRequest):
            thread.target_branch = sent.get("target_branch", thread.target_branch)
            by_number = {user.number: user.login for user in self.users.values()}
            if "reviewer_ids" in sent:
                thread.reviewers = [by_number[number] for number in sent["reviewer_ids"] or [] if number in by_number]
        event = sent.get("state_event")
        if event == "close" and thread.state == "opened":
            thread.close(self.clock(), login)
        elif event == "reopen" and thread.state == "closed":
            thread.reopen(self.clock())
        thread.updated = self.clock()

    # Documents of what is known.

    def project_document(self, project: Project, login: str) -> Document:
        parent = self.projects[project.forked_from] if project.forked_from else None
        return self.documents.project(project, parent, login)

    def full_merge_request(self, project: Project, request: MergeRequest) -> Document:
        ends = request.target_sha, request.source_sha
        files = project.git.changes(*ends)[2] if all(ends) else 0
        return self.documents.full_merge_request(project, self.projects[request.source_project], request, files)

    def paged(self, items: Sequence[Any], call: Call, document: Callable[[Any], Document | None]) -> Answer:
        """The part of a list that was asked for; only its documents are made."""
        page = page_of(items, call.request, self.url, usual=20)
        around = {"Prev": page.number - 1 or "", "Next": page.number + 1 if page.number < page.last else ""}
        numbers = {f"X-{name}-Page": str(value) for name, value in around.items()}
        numbers |= {"X-Page": str(page.number), "X-Per-Page": str(page.size)}
        numbers |= {"X-Total": str(page.total), "X-Total-Pages": str(page.last)}
        return Answer(200, [document(item) for item in page.items], {**numbers, "Link": page.links})

    def needs(self, call: Call, project: Project, thread: Issue | None = None, level: int = DEVELOPER) -> None:
        if project.members.get(call.login, 0) < level and (thread is None or thread.user != call.login):
            raise refusal(403, "403 Forbidden")

    def fork(self, project: Project, login: str, sent: Mapping[str, Any]) -> Project:
        path = f"{sent.get('namespace_path') or login}/{sent.get('path') or project.name}"
        if path in self.projects:
            taken = ["has already been taken"]
            raise refusal(409, {"project_namespace.name": taken, "name": taken, "path": taken})
        git = project.git.copy(self.root / f"{path}.git")
        made = Project(next(self._numbers), path, git, self.clock(), {login: 50}, project.path)
        self.projects[path] = made
        return made


ROUTES = Routes()
_API = "/api/v4"
_PROJECT = f"{_API}/projects/{{project}}"
_REQUEST = f"{_PROJECT}/merge_requests/{{request}}"
_ISSUE = f"{_PROJECT}/issues/{{issue}}"


def _names(labels: Any) -> list[str]:
    """Labels as a list, or as one text with commas between them."""
    parts = labels.split(",") if isinstance(labels, str) else labels or []
    return [part.strip() for part in parts if part.strip()]


def _filtered(items: Sequence[Any], call: Call) -> list[Any]:
    query = call.request.query
    labels, state = set(_names(query.get("labels", ""))), query.get("state", "all")
    kept = [item for item in items if state in ("all", item.state) and labels <= set(item.labels)]
    for parameter, attribute in {
        "source_branch": "source_branch",
        "target_branch": "target_branch",
        "author_username": "user",
    }.items():
        if parameter in query:
            kept = [item for item in kept if getattr(item, attribute) == query[parameter]]
    down = query.get("sort", "desc") == "desc"
    return sorted(kept, key=lambda item: (item.created, item.number), reverse=down)


@ROUTES.add("GET", f"{_API}/user")
def _account(gitlab: FakeGitlab, call: Call) -> Answer:
    return Answer(200, gitlab.documents.account(call.login))


@ROUTES.add("GET", f"{_API}/users")
def _list_users(gitlab: FakeGitlab, call: Call) -> Answer:
    wanted = call.request.query.get("username", "").lower()
    logins = [login for login in gitlab.users if not wanted or login.lower() == wanted]
    return gitlab.paged(logins, call, gitlab.documents.user)


@ROUTES.add("GET", _PROJECT)
def _get_project(gitlab: FakeGitlab, call: Call, project: Project) -> Answer:
    return Answer(200, gitlab.project_document(project, call.login))


@ROUTES.add("GET", f"{_PROJECT}/forks")
def _list_forks(gitlab: FakeGitlab, call: Call, project: Project) -> Answer:
    owned = call.request.query.get("owned", "").lower() == "true"
    forks = [other for other in gitlab.projects.values() if other.forked_from == project.path]
    mine = [fork for fork in forks if not owned or fork.members.get(call.login) == 50]
    return gitlab.paged(mine, call, lambda fork: gitlab.project_document(fork, call.login))


@ROUTES.add("POST", f"{_PROJECT}/fork")
def _create_fork(gitlab: FakeGitlab, call: Call, project: Project) -> Answer:
    return Answer(201, gitlab.project_document(gitlab.fork(project, call.login, call.sent), call.login))


@ROUTES.add("GET", f"{_PROJECT}/repository/branches/{{branch}}")
def _get_branch(gitlab: FakeGitlab, call: Call, project: Project, branch: str) -> Answer:
    tip = project.git.head(branch)
    if tip is None:
        raise refusal(404, "404 Branch Not Found")
    return Answer(200, gitlab.documents.branch(project, branch, project.git.read(tip)))


@ROUTES.add("GET", f"{_PROJECT}/merge_requests")
def _list_requests(gitlab: FakeGitlab, call: Call, project: Project) -> Answer:
    def document(request: MergeRequest) -> Document:
        return gitlab.documents.merge_request(project, gitlab.projects[request.source_project], request)

    return gitlab.paged(_filtered(list(project.merge_requests.values()), call), call, document)


@ROUTES.add("POST", f"{_PROJECT}/merge_requests")
def _create_request(gitlab: FakeGitlab, call: Call, project: Project) -> Answer:
    gitlab.needs(call, project)
    return Answer(201, gitlab.full_merge_request(*gitlab._open(project, call.login, call.sent)))


@ROUTES.add("GET", _REQUEST)
def _get_request(gitlab: FakeGitlab, call: Call, project: Project, request: MergeRequest) -> Answer:
    return Answer(200, gitlab.full_merge_request(project, request))


@ROUTES.add("PUT", _REQUEST)
def _edit_request(gitlab: FakeGitlab, call: Call, project: Project, request: MergeRequest) -> Answer:
    gitlab.needs(call, project, request)
    gitlab.change(project, request, call.login, call.sent)
    return Answer(200, gitlab.full_merge_request(project, request))


@ROUTES.add("GET", f"{_REQUEST}/commits")
def _list_commits(gitlab: FakeGitlab, call: Call, project: Project, request: MergeRequest) -> Answer:
    ends = request.target_sha, request.source_sha
    commits = project.git.between(*ends)[::-1] if all(ends) else []
    return gitlab.paged(commits, call, lambda commit: gitlab.documents.commit(project, commit))


@ROUTES.add("GET", f"{_PROJECT}/issues")
def _list_issues(gitlab: FakeGitlab, call: Call, project: Project) -> Answer:
    issues = _filtered(list(project.issues.values()), call)
    return gitlab.paged(issues, call, lambda issue: gitlab.documents.issue(project, issue))


@ROUTES.add("POST", f"{_PROJECT}/issues")
def _create_issue(gitlab: FakeGitlab, call: Call, project: Project) -> Answer:
    if not call.sent.get("title"):
        raise Refused(Answer(400, {"error": "title is missing"}))
    time, number = gitlab.clock(), max(project.issues, default=0) + 1
    project.issues[number] = issue = Issue(number, "", None, call.login, time, time)
    gitlab.change(project, issue, call.login, call.sent)
    return Answer(201, gitlab.documents.issue(project, issue))


@ROUTES.add("GET", _ISSUE)
def _get_issue(gitlab: FakeGitlab, call: Call, project: Project, issue: Issue) -> Answer:
    return Answer(200, gitlab.documents.issue(project, issue))


@ROUTES.add("PUT", _ISSUE)
def _edit_issue(gitlab: FakeGitlab, call: Call, project: Project, issue: Issue) -> Answer:
    gitlab.needs(call, project, issue)
    gitlab.change(project, issue, call.login, call.sent)
    return Answer(200, gitlab.documents.issue(project, issue))


@ROUTES.add("GET", f"{_REQUEST}/notes")
def _list_notes(gitlab: FakeGitlab, call: Call, project: Project, request: MergeRequest) -> Answer:
    notes = request.notes if call.request.query.get("sort") == "asc" else request.notes[::-1]
    return gitlab.paged(notes, call, lambda note: gitlab.documents.note(project, request, note))


@ROUTES.add("POST", f"{_REQUEST}/notes")
def _create_note(gitlab: FakeGitlab, call: Call, project: Project, request: MergeRequest) -> Answer:
    if not call.sent.get("body"):
        raise Refused(Answer(400, {"error": "body is missing"}))
    note = gitlab.note(request, call.sent["body"], call.login)
    return Answer(201, gitlab.documents.note(project, request, note))
