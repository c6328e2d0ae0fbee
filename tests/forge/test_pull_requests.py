"""Pull requests from the first run to the last, on each forge: what is opened, left, updated, closed, never again."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from leakfix.cli import main as run_program
from leakfix.forge import github, gitlab
from leakfix.forge.patience import Patience

from .fakes import prism as description
from .fakes.git_http import GitHttp
from .fakes.repository import clean_environment
from .worlds import BOT, CACHE, LEAK, TOKEN, World, github_world, gitlab_world

UP_TO_DATE = "leave: is up to date"


@pytest.fixture(params=["github", "gitlab"])
def world(
    request: pytest.FixtureRequest,
    git_http: GitHttp,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> World:
    """A project with one leak in each of its two packages, seen by a job that has no clone of it.

    GitHub is asked through its published description, where that is at hand.
    """
    monkeypatch.setattr(github, "BETWEEN_WRITES", 0)
    monkeypatch.setattr(gitlab, "BETWEEN_WRITES", 0)
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "GITHUB_STEP_SUMMARY", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LEAKFIX_TOKEN", TOKEN)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "job").mkdir()
    monkeypatch.chdir(tmp_path / "job")
    if request.param == "gitlab":
        return gitlab_world(request.getfixturevalue("fake_gitlab"), git_http, capfd)
    forge = request.getfixturevalue("fake_github")
    api_url = forge.url if description.missing() else request.getfixturevalue("prism")
    return github_world(forge, git_http, api_url, capfd)


def _opened(world: World) -> None:
    done = world.run()
    assert done.code == 0, done
    assert done.steps == ["open: is new"] * 2


def _shown(world: World) -> list[tuple[str, str]]:
    return [(seen.state, seen.title) for seen in world.seen()]


def test_the_first_run_opens_one_for_each_rule_and_package(world: World) -> None:
    before = world.git.head("main")
    _opened(world)
    first, second = sorted(world.seen(), key=lambda seen: seen.title)
    assert first.title == "Repair sqlite3/unclosed-connection"
    assert second.title == "Repair sqlite3/unclosed-connection in billing"
    for seen, path, name in ((first, "orders.py", "orders"), (second, "billing/bills.py", "bills")):
        assert (seen.state, seen.base, seen.draft, seen.labels) == ("open", "main", False, ("leakfix",))
        files = world.git.files(seen.branch)
        assert "with closing(sqlite3.connect(path)) as connection:" in files[path]
        changed = [path for path, text in files.items() if text != world.git.files("main").get(path)]
        assert changed == [path]
        for text in (path, name, "may raise", "+    with closing(", "Why it hurts", "safe", "# leakfix: allow["):
            assert text in seen.body, text
    assert world.git.head("main") == before
    assert "Repair sqlite3/unclosed\\-connection" in world.dashboard().body


def test_ten_runs_leave_everything_as_it_is(world: World) -> None:
    _opened(world)
    picture = world.picture()
    writes = len(world.forge.writes), len(world.git_http.writes)
    for _ in range(9):
        done = world.run()
        assert (done.code, done.steps) == (0, [UP_TO_DATE] * 2)
    assert world.picture() == picture
    assert (len(world.forge.writes), len(world.git_http.writes)) == writes


def test_other_commits_on_the_default_branch_change_nothing(world: World) -> None:
    _opened(world)
    seen, branches = world.seen(), world.git.branches()
    world.commit({"orders.py": "import os  # moved\n" + LEAK.format(name="orders"), "README.md": "more\n"})
    assert world.run().steps == [UP_TO_DATE] * 2
    assert world.seen() == seen
    assert {**world.git.branches(), "main": ""} == {**branches, "main": ""}


def test_a_dry_run_tells_all_and_does_nothing(world: World) -> None:
    picture = world.picture()
    done = world.run("--dry-run")
    assert done.code == 0
    assert "would open: Repair sqlite3/unclosed-connection (is new)" in done.out
    assert "  changes billing/bills.py\n" in done.out
    assert "  | +    with closing(sqlite3.connect(path)) as connection:" in done.out
    assert world.picture() == picture
    assert not world.forge.writes
    assert not world.git_http.writes


def test_more_to_repair_updates(world: World) -> None:
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    world.commit({"more.py": LEAK.format(name="more")})
    assert world.run().steps == ["update: its repairs are others now", UP_TO_DATE]
    seen = next(seen for seen in world.seen() if seen.number == first.number)
    assert seen.title == "Repair sqlite3/unclosed-connection (2 places)"
    assert "closing" in world.git.files(seen.branch)["more.py"]
    assert "more.py:5" in seen.body
    assert world.run().steps == [UP_TO_DATE] * 2


def test_nothing_left_closes_and_a_later_leak_opens_again(world: World) -> None:
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    world.commit({"orders.py": "x = 1\n"})
    assert world.run().steps == ["close: nothing is left to repair", UP_TO_DATE]
    seen = next(seen for seen in world.seen() if seen.number == first.number)
    assert (seen.state, seen.comments) == ("closed", 1)
    assert first.branch not in world.git.branches()
    assert world.run().steps == [UP_TO_DATE]
    world.commit({"orders.py": LEAK.format(name="orders")})
    assert world.run("--most-hourly", "0").steps == [UP_TO_DATE, "open: is new"]


def test_what_a_run_did_not_look_at_stays(world: World) -> None:
    _opened(world)
    done = world.run("--select", "growth")
    assert done.steps == ["leave: is about something this run did not look at"] * 2
    world.commit({"billing/bills.py": LEAK.format(name="bills") + "def (\n", "orders.py": "x = 1\n"})
    assert sorted(world.run().steps) == ["leave: is about something this run did not look at"] * 2
    assert [seen.state for seen in world.seen()] == ["open", "open"]


def test_closed_without_being_merged_means_never_again(world: World) -> None:
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    world.close(first.number)
    for _ in range(2):
        assert world.run("--most-hourly", "0").steps == [
            UP_TO_DATE,
            f"never: #{first.number} was closed without being merged",
        ]
    world.unlabel(first.number)
    assert f"never: #{first.number} was closed without being merged" in world.run("--most-hourly", "0").steps
    assert len(world.seen()) == 2


def test_unless_it_is_ticked_on_the_dashboard(world: World) -> None:
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    world.close(first.number)
    world.run()
    world.tick("Repair sqlite3/unclosed-connection")
    assert any(step.startswith("wait: 2 were opened") for step in world.run().steps)
    assert "[x]" in world.dashboard().body
    assert world.run("--most-hourly", "0").steps == [UP_TO_DATE, "open: was asked for again"]
    assert "[x]" not in world.dashboard().body
    assert len(world.seen()) == 3
    assert world.run("--most-hourly", "0").steps == [UP_TO_DATE] * 2


def test_merged_is_done(world: World) -> None:
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    world.merge(first.number)
    assert world.run().steps == [UP_TO_DATE]
    assert sorted(_shown(world))[0][0] == "merged"


def test_peoples_commits_are_never_overwritten(world: World) -> None:
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    theirs = world.commit({"notes.txt": "mine\n"}, branch=first.branch)
    world.commit({"more.py": LEAK.format(name="more")})
    assert "leave: the branch has commits of others" in world.run().steps
    assert world.git.head(first.branch) == theirs
    world.commit({"orders.py": "x = 1\n", "more.py": None})
    assert "leave: the branch has commits of others" in world.run().steps
    assert world.git.head(first.branch) == theirs
    world.commit({"orders.py": LEAK.format(name="orders")})
    world.label(first.number, "leakfix:rebase")
    assert "update: has the label leakfix:rebase" in world.run().steps
    assert "notes.txt" not in world.git.files(first.branch)
    assert "leakfix:rebase" not in next(s for s in world.seen() if s.number == first.number).labels
    assert world.run().steps == [UP_TO_DATE] * 2


def test_an_amended_commit_is_somebodys(world: World) -> None:
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    tip, main = world.git.head(first.branch), world.git.head("main")
    message = world.git.git("log", "-1", "--format=%B", str(tip))
    world.git.git("update-ref", f"refs/heads/{first.branch}", str(main))
    amended = world.commit({"orders.py": "changed = 1\n"}, branch=first.branch, message=message)
    world.commit({"more.py": LEAK.format(name="more")})
    assert "leave: the branch has commits of others" in world.run().steps
    assert world.git.head(first.branch) == amended


def test_a_label_stops_updates(world: World) -> None:
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    world.label(first.number, "leakfix:stop-updating")
    world.commit({"more.py": LEAK.format(name="more")})
    assert "leave: has the label leakfix:stop-updating" in world.run().steps
    world.commit({"more.py": None, "orders.py": "x = 1\n"})
    assert "leave: has the label leakfix:stop-updating" in world.run().steps


def test_a_deleted_branch_is_made_again(world: World) -> None:
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    world.git.delete(first.branch)
    if world.kind == "github":  # which closes it
        assert f"never: #{first.number} was closed without being merged" in world.run().steps
    else:
        assert "update: its branch is gone" in world.run().steps
        assert first.branch in world.git.branches()


def test_limits(world: World) -> None:
    world.commit({"prices.py": CACHE})
    options = ("--unsafe-fixes", "--most-hourly", "1")
    steps = world.run(*options).steps
    assert steps[0] == "open: is new"
    assert all(step.startswith("wait: 1 were opened within an hour") for step in steps[1:])
    assert len(steps) == 3
    former = world.forge.clock
    world.forge.clock = lambda: former() - timedelta(hours=2)
    for thread in world.project.pulls if world.kind == "github" else world.project.merge_requests.values():
        thread.created = world.forge.clock()
    steps = world.run("--unsafe-fixes", "--most-open", "2").steps
    assert sorted(step.partition(":")[0] for step in steps) == ["leave", "open", "wait"]
    assert "Waiting for room" in world.dashboard().body


def test_a_run_that_ended_half_way_is_finished(world: World) -> None:
    path = "/pulls$" if world.kind == "github" else "/merge_requests$"
    world.forge.fail(403, times=2, method="POST", path=path, document={"message": "Not yours"})
    done = world.run()
    assert (done.code, len(done.errors)) == (2, 2)
    assert len(world.git.branches()) == 3
    assert not world.seen()
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    world.commit({"more.py": LEAK.format(name="more")})
    method = "PATCH" if world.kind == "github" else "PUT"
    document = {"message": "Not yours"}
    world.forge.fail(403, times=1, method=method, path=f"/{first.number}$", document=document)
    assert world.run().code == 2
    assert world.run().steps == ["update: its repairs are others now", UP_TO_DATE]
    assert world.run().steps == [UP_TO_DATE] * 2


def test_a_lost_answer_opens_nothing_twice(world: World) -> None:
    path = "/pulls$" if world.kind == "github" else "/merge_requests$"
    world.forge.fail(502, method="POST", path=path, done=True)
    _opened(world)
    assert len(world.seen()) == 2


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a forge was given, which pass at once."""
    passed: list[float] = []
    monkeypatch.setattr(Patience, "sleep", lambda self, seconds: passed.append(seconds))
    return passed


def test_throttling_is_waited_for(world: World, waited: list[float]) -> None:
    world.forge.throttle(retry_after=1, times=2)
    _opened(world)
    assert waited == ([1.0, 1.0] if world.kind == "github" else [])  # python-gitlab waits by itself


def test_but_not_for_ever(world: World) -> None:
    if world.kind == "gitlab":
        pytest.skip("python-gitlab waits by itself, as long as GitLab asks for")
    world.forge.throttle(403, retry_after=3600, method="POST", path="/pulls$")
    done = world.run()
    assert done.code == 2
    assert done.errors[0].startswith("GitHub answered 403")
    assert done.errors[1].startswith("not tried: ")
    assert not world.seen()
    _opened(world)


def test_a_server_that_is_ill_is_asked_again(world: World, waited: list[float]) -> None:
    world.forge.fail(503, times=2)
    world.git_http.fail(503, times=1)
    _opened(world)
    assert waited == [1.0, 2.0, 1.0]


def test_a_server_that_stays_ill_ends_the_run(world: World) -> None:
    world.forge.fail(503, times=99)
    done = world.run("--patience", "0")
    assert done.code == 2
    assert "503" in done.err
    assert not world.git_http.writes


def test_an_expired_token(world: World) -> None:
    world.forge.tokens.clear()
    done = world.run()
    assert done.code == 2
    assert "has expired" in done.err
    assert TOKEN not in done.out + done.err


def test_a_token_that_git_does_not_take(world: World) -> None:
    world.git_http.tokens.clear()
    done = world.run()
    assert done.code == 2
    assert "has expired" in done.err
    assert TOKEN not in done.out + done.err


def test_no_token(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEAKFIX_TOKEN")
    done = world.run()
    assert done.code == 2
    assert "set one of LEAKFIX_TOKEN" in done.err


def test_protected_branches(world: World) -> None:
    world.git_http.protect("acme/shop", "refs/heads/leakfix/*")
    done = world.run()
    assert done.code == 2
    assert all("the server refuses the branch" in error for error in done.errors[:2])
    assert not world.seen()


def test_a_race_with_a_push(world: World) -> None:
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    theirs: list[str] = []
    world.git_http.before_push(lambda: theirs.append(world.commit({"n.txt": "mine\n"}, branch=first.branch)))
    world.commit({"more.py": LEAK.format(name="more")})
    done = world.run()
    assert done.code == 2
    assert "somebody pushed in between" in done.errors[0]
    assert world.git.head(first.branch) == theirs[0]


def test_a_renamed_default_branch(world: World) -> None:
    _opened(world)
    world.forge.rename_branch(world.project, "main", "trunk")
    steps = world.run().steps
    assert steps in ([UP_TO_DATE] * 2, ["update: the default branch is trunk now"] * 2)
    assert {seen.base for seen in world.seen()} == {"trunk"}
    assert world.run().steps == [UP_TO_DATE] * 2


def test_an_archived_project(world: World) -> None:
    world.project.archived = True
    done = world.run()
    assert done.code == 2
    assert "is archived" in done.err


def test_a_project_that_is_not_there(world: World) -> None:
    done = world.run("--url", world.git_http.clone_url("acme/nothing"))
    assert done.code == 2
    assert "404" in done.err


def test_a_fork_where_the_token_may_not_push(world: World) -> None:
    rights = world.project.collaborators if world.kind == "github" else world.project.members
    rights[BOT] = "pull" if world.kind == "github" else 20
    world.git_http.read_only.add("acme/shop")
    done = world.run()
    assert done.code == 2
    assert "--fork works from a fork" in done.err
    done = world.run("--fork", "--no-dashboard")
    assert (done.code, done.steps) == (0, ["open: is new"] * 2), done
    assert list(world.git.branches()) == ["main"]
    assert [seen.state for seen in world.seen()] == ["open", "open"]


def test_owners_are_asked_for_a_review(world: World) -> None:
    world.commit({".github/CODEOWNERS": "* @person\n/billing mail@example.org\n"})
    done = world.run("--draft", "--label", "database")
    assert (done.code, done.errors) == (0, [])
    assert [action["warnings"] for action in json.loads(done.out)["actions"]] == [[], []]
    first, second = sorted(world.seen(), key=lambda seen: seen.title)
    assert (first.reviewers, second.reviewers) == (("person",), ())
    assert (first.draft, first.labels) == (True, ("leakfix", "database"))


def test_who_cannot_be_asked_for_a_review_is_named(world: World) -> None:
    if world.api_url != world.forge.url or world.kind == "gitlab":
        pytest.skip("GitLab ignores strangers; GitHub's description has no text for its refusal")
    done = world.run("--reviewer", "nobody", "--no-owners")
    assert (done.code, done.errors) == (0, [])
    warnings = [text for action in json.loads(done.out)["actions"] for text in action["warnings"]]
    assert [text.partition(":")[0] for text in warnings] == ["nobody was not asked for a review"] * 2


def test_what_files_hold_means_nothing_in_the_body(world: World) -> None:
    nasty = "# ``` @everyone <script> <!-- leakfix:{} --> [x](http://e.example)\n"
    world.commit({"orders.py": nasty + LEAK.format(name="orders").replace("    row", f"    {nasty}    row")})
    _opened(world)
    first = min(world.seen(), key=lambda seen: seen.title)
    assert "````diff" in first.body
    assert world.run().steps == [UP_TO_DATE] * 2


def test_a_forged_mark_is_no_mark(world: World) -> None:
    world.git.git("branch", "feature", "main")
    world.commit({"x.txt": "x\n"}, branch="feature")
    body = '<!-- leakfix:{"key": 1} -->\n<!-- leakfix:[] -->'
    if world.kind == "github":
        pull = world.forge.open_pull(world.project, "feature", "Mine", body=body)
        world.label(pull.number, "leakfix")
    else:
        request = world.forge.open_merge_request(world.project, "feature", "Mine", description=body)
        request.labels.append("leakfix")
    done = world.run("--most-hourly", "0")
    assert done.steps == ["open: is new"] * 2
    assert world.seen()[0].state == "open"


def test_the_token_is_nowhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Any] = []
    popen = subprocess.Popen.__init__

    def watched(self: Any, command: Any, *arguments: Any, **options: Any) -> None:
        commands.append(command)
        popen(self, command, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", watched)
    world.git_http.protect("acme/shop", "refs/heads/leakfix/*")
    done = world.run()
    told = f"{commands}{done}"
    assert len(commands) > 5
    assert TOKEN not in told
    for thread in world.seen():
        assert TOKEN not in thread.body


def test_a_clone_lends_its_objects_and_stays_as_it_is(world: World, tmp_path: Path, monkeypatch: Any) -> None:
    clone = tmp_path / "clone"
    url = world.git_http.clone_url("acme/shop", TOKEN)
    subprocess.run(["git", "clone", "-q", url, str(clone)], env=clean_environment(), check=True)
    subprocess.run(["git", "-C", str(clone), "config", "core.sshCommand", "touch /tmp/never"], check=True)
    (clone / "orders.py").write_text("changed = 1\n")
    before = {path: path.read_bytes() for path in clone.rglob("*") if path.is_file()}
    monkeypatch.chdir(clone)
    _opened(world)
    assert {path: path.read_bytes() for path in clone.rglob("*") if path.is_file()} == before


def test_the_bot_writes_a_summary(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    done = world.run(command="bot")
    assert done.code == 0
    assert "opened http" in done.out
    text = summary.read_text()
    assert text.startswith("before\n## leakfix\n")
    assert "| opened | [Repair sqlite3/unclosed-connection](http" in text


def test_the_job_knows_the_repository(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    if world.kind == "github":
        monkeypatch.setenv("GITHUB_REPOSITORY", "acme/shop")
        monkeypatch.setenv("GITHUB_SERVER_URL", world.git_http.url)
    else:
        monkeypatch.setenv("CI_PROJECT_URL", f"{world.git_http.url}/acme/shop")
    assert run_program(["bot", "--forge", world.kind, "--api-url", world.api_url, "--jobs", "1"]) == 0
    assert len(world.seen()) == 2


def test_through_git_and_github_without_a_clone_of_history(world: World) -> None:
    """A long history is not fetched: one commit is enough."""
    for number in range(5):
        world.commit({"README.md": f"{number}\n"})
    _opened(world)
    assert world.git_http.depths == {1}


def test_what_repairs_need_is_declared_in_their_pull_request(world: World) -> None:
    cached = "_known = {}\n\n\nasync def known(user_id, ask):\n    if user_id not in _known:\n"
    cached += "        _known[user_id] = await ask(user_id)\n    return _known[user_id]\n"
    manifest = '[project]\nname = "shop"\nversion = "1"\ndependencies = []\n'
    allowed = 'allow-dependencies = ["cachetools"]\n'
    world.commit({"known.py": cached, "pyproject.toml": manifest, "leakfix.toml": allowed})
    world.run("--unsafe-fixes", "--select", "growth")
    (opened,) = [seen for seen in world.seen() if "unbounded-cache" in seen.title]
    pushed = world.git.files(str(world.git.head(opened.branch)))
    assert 'dependencies = ["cachetools>=5"]' in pushed["pyproject.toml"]
    assert "LRUCache(maxsize=4096)" in pushed["known.py"]
