"""The stand-ins for the forges, driven by the clients that real forges are driven by."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import requests
from github import Auth, BadCredentialsException, Github, GithubException, GithubRetry, UnknownObjectException
from gitlab import Gitlab, GitlabAuthenticationError, GitlabCreateError, GitlabError, GitlabHttpError
from gitlab.v4.objects import Project as GitlabProject

from .fakes.git_http import GitHttp
from .fakes.github import BOT, TOKEN, FakeGithub
from .fakes.github_state import Repository
from .fakes.gitlab import FakeGitlab
from .fakes.gitlab_state import Project
from .fakes.repository import BareRepository, clean_environment
from .fakes.serving import Fault

Connect = Callable[..., Github]
BRANCH = "leakfix/sqlite3-shop-0a1b2c3d"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients of an address; they are closed in the end."""
    clients: list[Github] = []

    def make(address: str, token: str = TOKEN, **options: Any) -> Github:
        pace = {"seconds_between_requests": 0, "seconds_between_writes": 0, "timeout": 30, "retry": None}
        clients.append(Github(base_url=address, auth=Auth.Token(token), **{**pace, **options}))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def shop(fake_github: FakeGithub) -> Repository:
    """A repository with a branch whose pull request is not opened yet."""
    repository = fake_github.add_repository("acme/shop")
    repository.git.commit(
        BRANCH, {"shop.py": "import sqlite3\n"}, "Close it", author=("Bot", "bot@example.org"), onto="main"
    )
    return repository


@pytest.fixture(params=["direct", pytest.param("prism", marks=pytest.mark.npm)])
def address(request: pytest.FixtureRequest, fake_github: FakeGithub) -> str:
    """Where clients ask: the stand-in itself, and the published description in front of it."""
    return str(request.getfixturevalue("prism")) if request.param == "prism" else fake_github.url


def errors_of(raised: pytest.ExceptionInfo[GithubException]) -> str:
    return json.dumps(raised.value.data)


def test_github_from_branch_to_merge(address: str, fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    client = connect(address)
    assert client.get_user().login == BOT
    repository = client.get_repo("acme/shop")
    assert (repository.default_branch, repository.permissions.push, repository.archived) == ("main", True, False)
    pull = repository.create_pull(base="main", head=BRANCH, title="Close it", body="It leaks.", draft=True)
    assert (pull.number, pull.draft, pull.head.sha) == (1, True, shop.git.head(BRANCH))
    assert (pull.commits, pull.changed_files, pull.additions) == (1, 1, 1)
    pull.edit(title="Close the connection", body="It leaks!")
    pull.create_issue_comment("Look again.")
    assert [comment.body for comment in pull.get_issue_comments()] == ["Look again."]
    pull.create_review_request(reviewers=["person"])
    assert [(commit.sha, commit.author.login) for commit in pull.get_commits()] == [(shop.git.head(BRANCH), BOT)]
    assert repository.get_pull(1).requested_reviewers[0].login == "person"
    fake_github.merge(shop, 1)
    merged = repository.get_pull(1)
    assert (merged.merged, merged.merged_by.login, merged.state, merged.commits) == (True, "person", "closed", 1)
    assert shop.git.files("main")["shop.py"] == "import sqlite3\n"


def test_github_labels(address: str, fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    repository = connect(address).get_repo("acme/shop")
    pull = repository.create_pull(base="main", head=BRANCH, title="Close it")
    _, data = pull.requester.requestJsonAndCheck(
        "POST", f"{pull.issue_url}/labels", input={"labels": ["leakfix", "db: leak"]}
    )
    assert [label["name"] for label in data] == ["leakfix", "db: leak"]
    pull.remove_from_labels("db: leak")
    assert [label.name for label in pull.get_labels()] == ["leakfix"]
    issue = repository.create_issue("Dashboard", "- [ ] all", labels=["leakfix"])
    issue.edit(body="- [x] all")
    found = list(repository.get_issues(labels=["leakfix"], state="open"))
    assert [(thread.number, thread.pull_request is not None) for thread in found] == [(2, False), (1, True)]
    fake_github.close(shop, 2)
    assert repository.get_issue(2).state == "closed"
    assert [thread.number for thread in repository.get_issues(labels=["leakfix"])] == [1]


def test_github_closes_and_reopens(address: str, fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    shop.git.git("branch", "trunk", "main")
    repository = connect(address).get_repo("acme/shop")
    pull = repository.create_pull(base="main", head=BRANCH, title="Close it")
    pull.edit(state="closed")
    assert (repository.get_pull(1).closed_at is not None, list(repository.get_pulls())) == (True, [])
    again = repository.create_pull(base="main", head=BRANCH, title="Close it")
    with pytest.raises(GithubException, match="422"):
        pull.edit(state="open")
    again.edit(state="closed")
    pull.edit(state="open", base="trunk")
    assert [(listed.number, listed.base.ref) for listed in repository.get_pulls()] == [(1, "trunk")]
    shop.git.delete(BRANCH)
    assert repository.get_pull(1).state == "closed"
    with pytest.raises(GithubException, match="422"):
        pull.edit(state="open")


def test_github_takes_a_bare_list_of_labels(fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    fake_github.open_pull(shop, BRANCH, "Close it")
    connect(fake_github.url).get_repo("acme/shop").get_pull(1).add_to_labels("rebase")
    assert shop.pulls[0].labels == ["rebase"]


@pytest.mark.npm
def test_the_description_knows_no_bare_list(
    prism: str, shop: Repository, connect: Connect, fake_github: FakeGithub
) -> None:
    fake_github.open_pull(shop, BRANCH, "Close it")
    pull = connect(prism).get_repo("acme/shop").get_pull(1)
    with pytest.raises(GithubException, match="422"):
        pull.add_to_labels("rebase")
    assert shop.pulls[0].labels == []


@pytest.mark.npm
def test_the_description_checks_answers(
    prism: str, shop: Repository, fake_github: FakeGithub, connect: Connect
) -> None:
    client = connect(prism)
    fake_github.fail(200, document={"full_name": "acme/shop"})
    with pytest.raises(GithubException) as raised:
        client.get_repo("acme/shop")
    assert "VIOLATIONS" in errors_of(raised)


@pytest.mark.parametrize(
    ("head", "base", "said"),
    [
        ("absent", "main", '"field": "head"'),
        (BRANCH, "absent", '"field": "base"'),
        ("same", "main", "No commits between main and same"),
        ("taken", "main", "A pull request already exists for acme:taken."),
    ],
)
def test_github_refuses_a_pull_request(
    address: str, head: str, base: str, said: str, fake_github: FakeGithub, shop: Repository, connect: Connect
) -> None:
    shop.git.git("branch", "same", "main")
    shop.git.git("branch", "taken", BRANCH)
    fake_github.open_pull(shop, "taken", "Mine")
    repository = connect(address).get_repo("acme/shop")
    with pytest.raises(GithubException, match="422") as raised:
        repository.create_pull(base=base, head=head, title="Close it")
    assert said in errors_of(raised)
    assert len(shop.pulls) == 1


def test_github_refuses_reviewers(address: str, fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    fake_github.add_user("stranger")
    fake_github.open_pull(shop, BRANCH, "Close it", user=BOT)
    pull = connect(address).get_repo("acme/shop").get_pull(1)
    for reviewer in ("stranger", "nobody", BOT):
        with pytest.raises(GithubException, match="422"):
            pull.create_review_request(reviewers=[reviewer])
    assert shop.pulls[0].reviewers == []


def test_github_pages(address: str, fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    for number in range(5):
        shop.git.git("branch", f"b{number}", BRANCH)
        fake_github.open_pull(shop, f"b{number}", f"Pull {number}")
    fake_github.close(shop, 2)
    repository = connect(address, per_page=2).get_repo("acme/shop")
    assert [pull.number for pull in repository.get_pulls(state="all")] == [5, 4, 3, 2, 1]
    assert repository.get_pulls(state="open").totalCount == 4
    assert [issue.number for issue in repository.get_issues(state="all")] == [5, 4, 3, 2, 1]
    assert [pull.number for pull in repository.get_pulls(head="acme:b3", base="main")] == [4]
    assert [pull.number for pull in repository.get_pulls(head="b3")] == [5, 4, 3, 1]


def test_github_forks(address: str, fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    shop.collaborators.clear()
    repository = connect(address).get_repo("acme/shop")
    assert repository.permissions.push is False
    fork = repository.create_fork()
    assert (fork.full_name, fork.fork, fork.parent.full_name) == (f"{BOT}/shop", True, "acme/shop")
    fake_github.repositories[fork.full_name].git.commit("mine", {"a.py": ""}, "Mine", onto="main")
    pull = repository.create_pull(base="main", head=f"{BOT}:mine", title="Close it")
    assert (pull.head.label, pull.head.repo.full_name) == (f"{BOT}:mine", f"{BOT}/shop")
    assert [listed.number for listed in repository.get_pulls(head=f"{BOT}:mine")] == [1]
    assert repository.create_fork().full_name == fork.full_name
    with pytest.raises(GithubException, match="403"):
        pull.requester.requestJsonAndCheck("POST", f"{pull.issue_url}/labels", input={"labels": ["leakfix"]})


def test_github_branches(address: str, fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    repository = connect(address).get_repo("acme/shop")
    assert repository.get_branch(BRANCH).commit.sha == shop.git.head(BRANCH)
    assert repository.get_git_ref(f"heads/{BRANCH}").object.sha == shop.git.head(BRANCH)
    with pytest.raises(UnknownObjectException):
        repository.get_branch("absent")
    fake_github.open_pull(shop, BRANCH, "Close it")
    fake_github.rename_branch(shop, "main", "trunk")
    assert connect(address).get_repo("acme/shop").default_branch == "trunk"
    assert repository.get_pull(1).base.ref == "trunk"


def test_pull_requests_follow_git(fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    repository = connect(fake_github.url).get_repo("acme/shop")
    for name in ("deleted", "emptied", "merged"):
        shop.git.git("branch", name, BRANCH)
        fake_github.open_pull(shop, name, name)
    tip = shop.git.commit("merged", {"b.py": ""}, "More")
    assert repository.get_pull(3).head.sha == tip
    shop.git.delete("deleted")
    shop.git.git("branch", "-f", "emptied", "main")
    assert [(pull.title, pull.state) for pull in repository.get_pulls("all", direction="asc")] == [
        ("deleted", "closed"),
        ("emptied", "closed"),
        ("merged", "open"),
    ]
    shop.git.merge("main", tip, "By hand")
    assert [pull.merged_at is not None for pull in repository.get_pulls("all", direction="asc")] == [False, False, True]


def test_github_says_who_may_not(fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    repository = connect(fake_github.url).get_repo("acme/shop")
    fake_github.open_pull(shop, BRANCH, "Close it")
    pull = repository.get_pull(1)
    shop.collaborators[BOT] = "pull"
    with pytest.raises(GithubException, match="403"):
        pull.edit(title="Mine")
    shop.archived = True
    with pytest.raises(GithubException, match="archived"):
        pull.create_issue_comment("Look.")
    assert repository.get_pull(1).title == "Close it"


def test_github_knows_tokens(address: str, fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    with pytest.raises(BadCredentialsException, match="401"):
        connect(address, token="another").get_repo("acme/shop")
    fake_github.fail(401)
    with pytest.raises(BadCredentialsException, match="Bad credentials"):
        connect(address).get_user().login  # noqa: B018
    assert fake_github.writes == []


def test_time_is_the_tests(fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    fake_github.clock = lambda: datetime(2024, 2, 29, 12, tzinfo=UTC)
    pull = connect(fake_github.url).get_repo("acme/shop").create_pull(base="main", head=BRANCH, title="Close it")
    assert pull.created_at == datetime(2024, 2, 29, 12, tzinfo=UTC)


def test_a_new_fork_takes_its_time(fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    fake_github.unready_forks = 1
    client = connect(fake_github.url)
    fork = client.get_repo("acme/shop").create_fork()
    with pytest.raises(UnknownObjectException):
        client.get_repo(fork.full_name)
    assert client.get_repo(fork.full_name).fork


@pytest.mark.parametrize("status", [403, 429])
def test_github_throttles(status: int, fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    client = connect(fake_github.url, retry=GithubRetry(total=2))
    fake_github.throttle(status, retry_after=1, method="POST")
    begun = monotonic()
    pull = client.get_repo("acme/shop").create_pull(base="main", head=BRANCH, title="Close it")
    assert pull.number == 1
    assert monotonic() - begun >= 1
    assert [str(request) for request in fake_github.writes] == ["POST /repos/acme/shop/pulls"] * 2


def test_a_client_that_retries_edits_only_once(fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    pull = fake_github.open_pull(shop, BRANCH, "Close it")
    found = connect(fake_github.url, retry=GithubRetry(total=2)).get_repo("acme/shop").get_pull(1)
    fake_github.throttle(403, retry_after=1, method="PATCH")
    with pytest.raises(GithubException, match="403"):
        found.edit(title="Mine")
    assert pull.title == "Close it"


@pytest.mark.parametrize("status", [500, 502, 503])
def test_github_breaks(status: int, fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    fault = fake_github.fail(status, times=2, path="/repos/")
    with pytest.raises(GithubException, match=str(status)):
        connect(fake_github.url).get_repo("acme/shop")
    assert connect(fake_github.url, retry=GithubRetry(total=2)).get_repo("acme/shop").name == "shop"
    assert fault.times == 0


def test_an_answer_is_lost(fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    repository = connect(fake_github.url).get_repo("acme/shop")
    fake_github.fail(502, method="POST", done=True)
    with pytest.raises(GithubException, match="502"):
        repository.create_pull(base="main", head=BRANCH, title="Close it")
    assert [pull.title for pull in shop.pulls] == ["Close it"]
    fake_github.fail(None)
    with pytest.raises(requests.exceptions.ConnectionError):
        repository.get_pull(1)


def test_an_answer_takes_too_long(fake_github: FakeGithub, shop: Repository, connect: Connect) -> None:
    client = connect(fake_github.url, timeout=1)
    fake_github.fail(200, seconds=2)
    with pytest.raises(requests.exceptions.Timeout):
        client.get_repo("acme/shop")


def test_a_fault_that_is_not_meant(fake_github: FakeGithub) -> None:
    fault = Fault(500, method="POST", path="/pulls$")
    fake_github.faults.append(fault)
    asked = urllib.request.Request(f"{fake_github.url}/user", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.headers["X-RateLimit-Limit"] == "5000"
    assert fault.times == 1


# Git over HTTP.


@pytest.fixture
def clone(git_http: GitHttp, hosted: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run git in a clone of a repository that is served."""
    BareRepository.create(hosted / "acme" / "shop.git")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "-c", "user.name=Bot", "-c", "user.email=bot@example.org", *arguments]
        folder = tmp_path / "clone"
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            command, cwd=folder, env=git_environment(), capture_output=True, text=True, check=False, timeout=60
        )

    run("clone", "-q", git_http.clone_url("acme/shop", TOKEN), ".")
    run("commit", "-q", "--allow-empty", "-m", "Close it")
    return run


def git_environment() -> dict[str, str]:
    return {**clean_environment(), "GIT_ASKPASS": "", "SSH_ASKPASS": "", "HOME": os.devnull}


Clone = Callable[..., subprocess.CompletedProcess[str]]


def test_git_is_pushed_and_fetched(git_http: GitHttp, hosted: Path, clone: Clone) -> None:
    done = clone("push", "-q", "origin", f"HEAD:refs/heads/{BRANCH}")
    assert done.returncode == 0, done.stderr
    repository = BareRepository(hosted / "acme" / "shop.git")
    assert repository.head(BRANCH) == clone("rev-parse", "HEAD").stdout.strip()
    new = repository.commit("main", {"a.py": "a\n"}, "Further")
    assert clone("fetch", "-q", "origin").returncode == 0
    assert clone("rev-parse", "origin/main").stdout.strip() == new
    assert [str(request) for request in git_http.writes] == ["POST /acme/shop.git/git-receive-pack"]


def test_a_large_push(git_http: GitHttp, hosted: Path, clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "clone" / "large").write_bytes(os.urandom(2_000_000))
    clone("add", "large")
    clone("commit", "-q", "-m", "Large")
    done = clone("push", "-q", "origin", "HEAD:refs/heads/large")
    assert done.returncode == 0, done.stderr
    assert BareRepository(hosted / "acme" / "shop.git").head("large") == clone("rev-parse", "HEAD").stdout.strip()


@pytest.mark.parametrize(("user", "token"), [("x-access-token", "another"), ("somebody", TOKEN), ("", "")])
def test_git_knows_tokens(user: str, token: str, git_http: GitHttp, clone: Clone) -> None:
    done = clone("push", git_http.clone_url("acme/shop", token, user), "HEAD:refs/heads/x")
    assert done.returncode != 0
    assert "uthentication failed" in done.stderr or "could not read" in done.stderr
    assert git_http.writes == []


def test_git_of_gitlab_and_a_repository_to_read_only(git_http: GitHttp, clone: Clone) -> None:
    place = git_http.clone_url("acme/shop", TOKEN, "oauth2")
    git_http.read_only.add("acme/shop")
    assert clone("fetch", place).returncode == 0
    assert "error: 403" in clone("push", place, "HEAD:refs/heads/x").stderr
    git_http.read_only.clear()
    assert clone("push", place, "HEAD:refs/heads/x").returncode == 0


def test_a_protected_branch(git_http: GitHttp, clone: Clone) -> None:
    git_http.protect("acme/shop", "refs/heads/main", "refs/heads/release/*")
    for branch in ("main", "release/1"):
        done = clone("push", "origin", f"HEAD:refs/heads/{branch}")
        assert "GH006: Protected branch update failed" in done.stderr
        assert "pre-receive hook declined" in done.stderr
    assert clone("push", "origin", "HEAD:refs/heads/other").returncode == 0
    git_http.protect("acme/shop")
    assert clone("push", "origin", "HEAD:refs/heads/main").returncode == 0


def test_a_race(git_http: GitHttp, hosted: Path, clone: Clone) -> None:
    repository = BareRepository(hosted / "acme" / "shop.git")
    git_http.before_push(lambda: repository.commit("main", {"theirs.py": ""}, "Theirs"))
    done = clone("push", "origin", "HEAD:refs/heads/main")
    assert done.returncode != 0
    assert "rejected" in done.stderr
    assert "theirs.py" in repository.files("main")


def test_git_is_not_available(git_http: GitHttp, clone: Clone) -> None:
    git_http.fail(503, path="service=git-receive-pack")
    assert "error: 503" in clone("push", "origin", "HEAD:refs/heads/main").stderr
    assert clone("push", "origin", "HEAD:refs/heads/main").returncode == 0


def test_what_is_pushed_is_what_github_sees(
    git_http: GitHttp, fake_github: FakeGithub, clone: Clone, connect: Connect
) -> None:
    fake_github.add_repository("acme/shop")
    repository = connect(fake_github.url).get_repo("acme/shop")
    assert repository.clone_url == git_http.clone_url("acme/shop")
    clone("push", "-q", "origin", f"HEAD:refs/heads/{BRANCH}")
    clone("commit", "-q", "--allow-empty", "--amend", "-m", "Better")
    pull = fake_github.open_pull(fake_github.repositories["acme/shop"], BRANCH, "Close it")
    clone("push", "-q", "-f", "origin", f"HEAD:refs/heads/{BRANCH}")
    assert repository.get_pull(1).head.sha == clone("rev-parse", "HEAD").stdout.strip() == pull.head_sha


def test_nothing_else_is_served(git_http: GitHttp, hosted: Path, tmp_path: Path) -> None:
    BareRepository.create(tmp_path / "outside.git")
    for name in ("../outside", "%2e%2e/outside", "absent"):
        asked = urllib.request.Request(f"{git_http.url}/{name}.git/info/refs?service=git-upload-pack")
        asked.add_header("Authorization", "Basic eC1hY2Nlc3MtdG9rZW46dG9rZW4tb2YtdGhlLWJvdA==")
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(asked, timeout=30)
        raised.value.close()
        assert raised.value.code == 404


# GitLab.


@pytest.fixture
def gitlab(fake_gitlab: FakeGitlab) -> Iterator[Gitlab]:
    """A client."""
    with Gitlab(fake_gitlab.url, private_token=TOKEN, timeout=30) as client:
        yield client


@pytest.fixture
def store(fake_gitlab: FakeGitlab) -> Project:
    """A project with a branch whose merge request is not opened yet."""
    project = fake_gitlab.add_project("acme/tools/shop")
    project.git.commit(BRANCH, {"shop.py": "import sqlite3\n"}, "Close it", onto="main")
    return project


def opened(project: GitlabProject, **fields: Any) -> Any:
    return project.mergerequests.create(
        {"source_branch": BRANCH, "target_branch": "main", "title": "Draft: Close it", **fields}
    )


def test_gitlab_from_branch_to_merge(fake_gitlab: FakeGitlab, store: Project, gitlab: Gitlab) -> None:
    gitlab.auth()
    assert gitlab.user is not None
    assert gitlab.user.username == BOT
    project = gitlab.projects.get("acme/tools/shop")
    assert (project.default_branch, project.permissions["project_access"]["access_level"]) == ("main", 30)
    (person,) = gitlab.users.list(username="person", get_all=True)
    request = opened(project, labels=["leakfix", "db"], reviewer_ids=[person.id])
    assert (request.iid, request.draft, request.sha) == (1, True, store.git.head(BRANCH))
    assert ([user["username"] for user in request.reviewers], request.changes_count) == (["person"], "1")
    request.title, request.labels = "Close it", ["leakfix"]
    request.save()
    request.notes.create({"body": "Look again."})
    assert [note.body for note in request.notes.list(get_all=True)] == ["Look again."]
    assert [commit.author_email for commit in request.commits()] == ["person@example.org"]
    assert (store.merge_requests[1].draft, store.merge_requests[1].labels) == (False, ["leakfix"])
    fake_gitlab.merge(store, 1)
    assert project.mergerequests.get(1).state == "merged"
    assert project.branches.get(BRANCH).commit["id"] == store.git.head(BRANCH)


def test_gitlab_lists(fake_gitlab: FakeGitlab, store: Project, gitlab: Gitlab) -> None:
    project = gitlab.projects.get(store.number)
    for number in range(5):
        store.git.git("branch", f"b{number}", BRANCH)
        made = fake_gitlab.open_merge_request(store, f"b{number}", f"Request {number}", labels=f"leakfix,l{number}")
    fake_gitlab.close(made)
    listed = project.mergerequests.list(state="opened", labels=["leakfix"], iterator=True, per_page=2)
    assert [request.iid for request in listed] == [4, 3, 2, 1]
    assert [request.iid for request in project.mergerequests.list(source_branch="b2", get_all=True)] == [3]
    assert [request.iid for request in project.mergerequests.list(labels=["leakfix", "l4"], get_all=True)] == [5]
    first = project.mergerequests.get(1)
    first.state_event = "close"
    first.save()
    assert store.merge_requests[1].state == "closed"


def test_gitlab_issues(store: Project, gitlab: Gitlab) -> None:
    project = gitlab.projects.get("acme/tools/shop")
    issue = project.issues.create({"title": "Dashboard", "description": "- [ ] all", "labels": ["leakfix"]})
    issue.description = "- [x] all"
    issue.save()
    (found,) = project.issues.list(labels=["leakfix"], state="opened", get_all=True)
    assert found.description == "- [x] all"
    found.state_event = "close"
    found.save()
    assert project.issues.list(labels=["leakfix"], state="opened", get_all=True) == []


def test_gitlab_forks(fake_gitlab: FakeGitlab, store: Project, gitlab: Gitlab) -> None:
    store.members.clear()
    project = gitlab.projects.get("acme/tools/shop")
    assert project.permissions["project_access"] is None
    fork = gitlab.projects.get(project.forks.create({}).id)
    assert (fork.path_with_namespace, fork.forked_from_project["id"]) == (f"{BOT}/shop", store.number)
    assert [found.id for found in project.forks.list(owned=True, get_all=True)] == [fork.id]
    request = opened(fork, target_project_id=store.number)
    assert (request.source_project_id, request.target_project_id) == (fork.id, store.number)
    with pytest.raises(GitlabCreateError, match="409"):
        project.forks.create({})
    with pytest.raises(GitlabCreateError, match="403"):
        opened(project)


def test_gitlab_refuses(fake_gitlab: FakeGitlab, store: Project, gitlab: Gitlab) -> None:
    project = gitlab.projects.get("acme/tools/shop")
    opened(project)
    with pytest.raises(GitlabCreateError, match=r"409: .*Another open merge request already exists"):
        opened(project)
    with pytest.raises(GitlabError, match="404"):
        gitlab.projects.get("acme/absent")
    store.archived = True
    with pytest.raises(GitlabError, match="403"):
        project.issues.create({"title": "Dashboard"})
    with (
        Gitlab(fake_gitlab.url, private_token="another", timeout=30) as stranger,
        pytest.raises(GitlabAuthenticationError),
    ):
        stranger.projects.get("acme/tools/shop")


def test_gitlab_takes_an_oauth_token(fake_gitlab: FakeGitlab, store: Project) -> None:
    with Gitlab(fake_gitlab.url, oauth_token=TOKEN, timeout=30) as client:
        assert client.projects.get("acme/tools/shop").http_url_to_repo == f"{fake_gitlab.git_url}/acme/tools/shop.git"


def test_gitlab_throttles(fake_gitlab: FakeGitlab, store: Project, gitlab: Gitlab) -> None:
    project = gitlab.projects.get("acme/tools/shop")
    fake_gitlab.throttle(retry_after=1, method="POST")
    begun = monotonic()
    assert opened(project).iid == 1
    assert monotonic() - begun >= 1
    assert len(fake_gitlab.writes) == 2


def test_gitlab_breaks(fake_gitlab: FakeGitlab, store: Project, gitlab: Gitlab) -> None:
    fake_gitlab.fail(500)
    with pytest.raises(GitlabHttpError, match="500"):
        gitlab.http_get("/user")
    fake_gitlab.fail(502)
    assert gitlab.http_get("/user", retry_transient_errors=True)


def test_gitlab_follows_git(fake_gitlab: FakeGitlab, store: Project, gitlab: Gitlab) -> None:
    project = gitlab.projects.get("acme/tools/shop")
    opened(project)
    tip = store.git.commit(BRANCH, {"b.py": ""}, "More")
    assert project.mergerequests.get(1).sha == tip
    store.git.merge("main", tip, "By hand")
    store.git.delete(BRANCH)
    assert project.mergerequests.get(1).state == "opened"
    store.git.git("branch", BRANCH, tip)
    assert project.mergerequests.get(1).state == "merged"
