"""One repository: fetched and checked, whatever it and its check are like."""

from __future__ import annotations

import fcntl
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leakfix import __version__
from leakfix.fleet import checkout, children, workspace
from leakfix.fleet.result import Result, Status
from leakfix.fleet.task import Task, examine

from .conftest import LEAKY, REPORT, TIDY, MakeRepository, shell, wait_for

pytestmark = pytest.mark.usefixtures("private_temporary")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids_in(file: Path, number: int) -> list[int]:
    """The process numbers that a command has written to a file."""
    wait_for(lambda: file.exists() and len(file.read_text().split()) >= number)
    return [int(word) for word in file.read_text().split()]


def test_a_leak_is_found(repository: MakeRepository, git: Callable[..., str], private_temporary: Path) -> None:
    url = repository("leaky", {"a.py": LEAKY, "b.py": TIDY})
    result = examine(pickle.loads(pickle.dumps(Task(url))))
    assert (result.status, result.message, result.leakfix) == (Status.CHECKED, "", __version__)
    assert result.commit == git(url, "rev-parse", "main")
    assert [(one["path"], one["rule"]) for one in result.findings] == [("a.py", "sqlite3/unclosed-connection")]
    assert result.summary is not None
    assert result.summary["files"] == 2
    assert Result.from_line(result.line()) == result
    assert os.listdir(private_temporary) == []


def test_rules_are_passed_on(repository: MakeRepository) -> None:
    url = repository("leaky", {"a.py": LEAKY})
    assert examine(Task(url, options=("--ignore=sqlite3/*",))).findings == ()
    refused = examine(Task(url, options=("--select=no/such",)))
    assert (refused.status, "no/such" in refused.message) == (Status.FAILED, True)


def test_refs(repository: MakeRepository, git: Callable[..., str]) -> None:
    url = repository("refs", {"a.py": TIDY})
    first = git(url, "rev-parse", "main")
    git(url, "tag", "-a", "-m", "x", "v1", first)
    second = git(url, "commit-tree", "-m", "second", "-p", first, f"{first}^{{tree}}")
    git(url, "update-ref", "refs/heads/next", second)
    git(url, "update-ref", "refs/pull/7/head", second)
    git(url, "update-ref", "refs/heads/v1", second)
    like = {"command": shell(f"echo '{REPORT}'")}
    wanted = {None: first, "main": first, "v1": first, "next": second, "refs/heads/next": second, "pull/7/head": second}
    for ref, commit in {**wanted, first: first, second: second}.items():
        result = examine(Task(url, ref, **like))  # type: ignore[arg-type]
        assert (result.status, result.commit) == (Status.CHECKED, commit), (ref, result.message)
    for ref, reason in {"gone": "no branch or tag 'gone'", "0" * 40: "", first[:10]: "all of its digits"}.items():
        result = examine(Task(url, ref, **like))  # type: ignore[arg-type]
        assert result.status == Status.FAILED
        assert reason in result.message


def test_a_known_commit_is_not_fetched(repository: MakeRepository, git: Callable[..., str]) -> None:
    url = repository("known", {"a.py": TIDY})
    known = frozenset({git(url, "rev-parse", "main")})
    assert examine(Task(url, known=known, command=shell("exit 9"))).status == Status.KNOWN


def test_what_cannot_be_fetched_fails_with_a_reason(tmp_path: Path, git: Callable[..., str]) -> None:
    git(tmp_path, "init", "--quiet", "empty")
    reasons = {
        str(tmp_path / "empty"): "no commit yet",
        str(tmp_path / "gone"): "does not appear to be a git repository",
    }
    for url, reason in reasons.items():
        result = examine(Task(url))
        assert (result.status, result.commit) == (Status.FAILED, None)
        assert reason in result.message
    assert "leakfix 0" in examine(Task(str(tmp_path), version="0")).message.replace(", not ", " leakfix ")


@pytest.mark.parametrize("url", ["ext::sh -c 'touch {}'", "--upload-pack=touch {}", "-x", "ext::touch% {}"])
def test_git_runs_nothing_for_a_hostile_address(url: str, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    assert examine(Task(url.format(trap))).status == Status.FAILED
    assert not trap.exists()


def test_a_hostile_repository_runs_nothing_and_reaches_nothing(
    repository: MakeRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap, secret = tmp_path / "trap", tmp_path / "secret.py"
    secret.write_text(LEAKY)
    home = tmp_path / "home"
    home.mkdir()
    steps = "".join(f'\t{step} = "touch {trap}"\n' for step in ("clean", "smudge", "process"))
    (home / ".gitconfig").write_text(
        f'[filter "trap"]\n{steps}[core]\n\thooksPath = {home}\n\tfsmonitor = touch {trap}\n'
    )
    (home / "post-checkout").write_text(f"#!/bin/sh\ntouch {trap}\n")
    (home / "post-checkout").chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {trap}")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'core.fsmonitor'='touch {trap}'")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("", ".", os.environ.get("PYTHONPATH", ""))))
    poison = f"open({str(trap)!r}, 'w')\n"
    url = repository(
        "hostile",
        {
            "a.py": LEAKY,
            "json.py": poison,
            "click.py": poison,
            "sitecustomize.py": poison,
            "leakfix/__init__.py": poison,
            ".gitattributes": "* filter=trap diff=trap merge=trap\n",
            ".gitmodules": f'[submodule "m"]\n\tpath = m\n\turl = {tmp_path}\n\tupdate = !touch {trap}\n',
            "m": b"1" * 40,
            "link.py": str(secret),
            "folder": str(tmp_path),
            "hooks/post-checkout": f"#!/bin/sh\ntouch {trap}\n",
            "pyproject.toml": '[tool.leakfix]\njobs = 200\nextend-exclude = ["docs"]\n',
            "big.py": b"x = 1  # " + b"a" * 30_000_000,
        },
        {"link.py": "120000", "folder": "120000", "m": "160000", "hooks/post-checkout": "100755"},
    )
    result = examine(Task(url))
    assert (result.status, result.message) == (Status.CHECKED, "")
    assert [one["path"] for one in result.findings] == ["a.py"]
    assert not trap.exists()


def test_settings_above_the_temporary_files_do_not_count(repository: MakeRepository, private_temporary: Path) -> None:
    (private_temporary / "leakfix.toml").write_text('ignore = ["sqlite3/*"]')
    assert len(examine(Task(repository("leaky", {"a.py": LEAKY}))).findings) == 1


def test_tokens_go_to_their_forge_alone(repository: MakeRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKFIX_TOKEN", "very-secret")
    monkeypatch.setenv("GITHUB_TOKEN", "very-secret")
    settings = checkout._environment("https://github.com/some/where")
    keys = [value for name, value in settings.items() if name.startswith("GIT_CONFIG_KEY_") and "xtraHeader" in value]
    assert keys == ["http.https://github.com/.extraHeader"]
    assert "very-secret" not in str(settings)
    script = f"env | grep -q very-secret && exit 7; echo '{REPORT}'"
    assert examine(Task(repository("a", {"a.py": TIDY}), command=shell(script))).status == Status.CHECKED


def test_a_hanging_check_is_killed_with_all_it_started(
    repository: MakeRepository, tmp_path: Path, private_temporary: Path
) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! >> {pids}; echo $$ >> {pids}; trap '' TERM; sleep 600"
    result = examine(Task(repository("hang", {"a.py": TIDY}), timeout=5, command=shell(script)))
    assert (result.status, result.message) == (Status.TIMED_OUT, "took longer than 5 s")
    assert result.commit is not None
    assert result.seconds > 4.9
    background, leader = pids_in(pids, 2)
    assert not is_running(leader)
    wait_for(lambda: not is_running(background))  # killed, but nobody here waits for it: the kernel takes its moment
    assert os.listdir(private_temporary) == []


CRASHES = {
    "kill -9 $$": (Status.CRASHED, "killed by signal 9"),
    "kill -11 $$": (Status.CRASHED, "killed by signal 11"),
    "exit 3": (Status.CRASHED, "ended with 3"),
    "echo nonsense": (Status.CRASHED, "something else than a report"),
    "echo '[]'": (Status.CRASHED, "something else than a report"),
    """echo '{"findings": 1}'""": (Status.CRASHED, "something else than a report"),
    "echo 'error: leakfix.toml: no' >&2; exit 2": (Status.FAILED, "leakfix.toml: no"),
    "printf 'KeyError: 1\\nerror: this is a fault of leakfix\\n' >&2; exit 2": (Status.CRASHED, "KeyError: 1"),
}


@pytest.mark.parametrize("script", CRASHES)
def test_a_check_that_ends_badly(repository: MakeRepository, script: str) -> None:
    result = examine(Task(repository("crash", {"a.py": TIDY}), command=shell(script)))
    assert result.status == CRASHES[script][0]
    assert CRASHES[script][1] in result.message
    assert result.commit is not None


def test_a_check_gets_no_more_memory_than_allowed(repository: MakeRepository) -> None:
    url = repository("big", {"a.py": LEAKY})
    greedy = (children.sys.executable, "-c", "x = bytearray(1 << 30)")
    result = examine(Task(url, memory=256, command=greedy))
    assert (result.status, result.message) == (Status.CRASHED, "leakfix ran out of memory (256 MB)")
    assert examine(Task(url, memory=512)).status == Status.CHECKED


def test_stopping_kills_what_runs(repository: MakeRepository, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    task = Task(repository("hang", {"a.py": TIDY}), command=shell(f"echo $$ > {pids}; sleep 600"))
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(examine, task)
        (pid,) = pids_in(pids, 1)
        with children.stopped():
            assert future.result(20).message == "the run was stopped"
    assert not is_running(pid)


def test_folders_of_killed_processes_are_removed(private_temporary: Path) -> None:
    abandoned, foreign = private_temporary / "leakfix-fleet-x", private_temporary / "leakfix-fleet-y"
    (abandoned / "checkout").mkdir(parents=True)
    (abandoned / "lock").touch()
    foreign.mkdir()
    seen: list[list[str]] = []

    def other() -> None:
        with workspace.workspace():
            seen.append(sorted(os.listdir(private_temporary)))

    with workspace.workspace() as mine:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert os.path.basename(mine) in seen[0]
    assert len(seen[0]) == 3
    assert os.listdir(private_temporary) == [foreign.name]


def test_a_folder_taken_for_abandoned_before_it_is_locked_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fcntl.flock
    taken: list[str] = []

    def late(descriptor: int, how: int) -> None:
        if not taken:
            taken.append(os.path.dirname(os.readlink(f"/proc/self/fd/{descriptor}")))
            workspace._remove_if_abandoned(taken[0])
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with workspace.workspace() as folder:
        assert not os.path.exists(taken[0])
        assert os.listdir(folder) == ["lock"]
    assert not os.path.exists(folder)
