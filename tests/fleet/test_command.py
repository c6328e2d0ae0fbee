"""The command: its exit codes, resuming, and being stopped and killed at any time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from leakfix.cli.fleet import command

from .conftest import LEAKY, TIDY, MakeRepository, names, wait_for

OUTPUT = "leakfix-fleet.jsonl"
PROGRAM = "import sys; from leakfix.cli.fleet import command; sys.exit(command.main(standalone_mode=False))"
Listed = Callable[[Iterable[str]], str]
Started = Callable[..., subprocess.Popen[bytes]]


def fleet(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, standalone_mode=False)


@pytest.fixture
def started() -> Iterator[Started]:
    """Starts the command in a process of its own, which does not outlive the test, however that ends."""
    with ExitStack() as processes:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            process = processes.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, *arguments],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    process_group=0,
                )
            )
            processes.callback(process.kill)
            return process

        yield start


def lines() -> list[bytes]:
    """Every line that has its end."""
    data = Path(OUTPUT).read_bytes() if Path(OUTPUT).exists() else b""
    return data[: data.rfind(b"\n") + 1].splitlines()


def wait_for_lines(number: int) -> None:
    wait_for(lambda: len(lines()) >= number)


def children_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if path.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(path.parent.name))
    return found


pytestmark = pytest.mark.usefixtures("tree", "private_temporary")


def test_exit_codes(repository: MakeRepository, listed: Listed) -> None:
    leaky, tidy = repository("leaky", {"a.py": LEAKY}), repository("tidy", {"a.py": TIDY})
    assert fleet(listed([tidy])).return_value == 0
    assert fleet(listed([tidy, leaky])).return_value == 1
    assert fleet(listed([tidy, leaky]), "--exit-zero").return_value == 0
    assert fleet(listed([leaky, "/no/such"]), "--exit-zero").return_value == 2
    assert sorted(names(lines())) == sorted([leaky, tidy, "/no/such"])


def test_bad_usage_is_told(listed: Listed) -> None:
    with pytest.raises(Exception, match="--org"):
        raise fleet().exception or AssertionError
    refused = fleet(listed(["/a", "ext::sh -c x"]))
    assert (refused.return_value, "repositories.txt:2:" in refused.stderr) == (2, True)
    refused = fleet(listed(["/a"]), "--cluster", "http://x")
    assert (refused.return_value, "dask://HOST:PORT" in refused.stderr) == (2, True)
    with pytest.raises(Exception, match="no rule 'sqlite3/none'"):
        raise fleet(listed(["/a"]), "--select", "sqlite3/none").exception or AssertionError
    Path("mine.txt").write_text("mine")
    assert "another file" in fleet(listed(["/a"]), "--output", "mine.txt").stderr
    assert Path("mine.txt").read_text() == "mine"


def test_a_moved_branch_is_checked_again_and_nothing_else(
    repository: MakeRepository, listed: Listed, git: Callable[..., str]
) -> None:
    still, moving = repository("still", {"a.py": LEAKY}), repository("moving", {"a.py": LEAKY})
    repos = listed([still, f"{moving} main"])
    fleet(repos)
    before = lines()
    commit = git(moving, "rev-parse", "main")
    git(
        moving,
        "update-ref",
        "refs/heads/main",
        git(moving, "commit-tree", "-m", "y", "-p", commit, f"{commit}^{{tree}}"),
    )
    again = fleet(repos, "--html", "page.html")
    assert lines()[:2] == before
    assert names(lines()[2:]) == [moving]
    assert "2 of 2 repositories" in again.stdout
    assert "2 findings" in Path("page.html").read_text()
    assert fleet(repos).return_value == 1
    assert len(lines()) == 3


def test_only_what_failed_is_tried_again(repository: MakeRepository, listed: Listed, tmp_path: Path) -> None:
    tidy, late = repository("tidy", {"a.py": TIDY}), tmp_path / "repositories" / "late"
    assert fleet(listed([tidy, str(late)])).return_value == 2
    assert fleet("--retry-failed").return_value == 2
    assert len(lines()) == 2
    assert repository("late", {"a.py": LEAKY}) == str(late)
    again = fleet("--retry-failed")
    assert (again.return_value, "Checked 2 of 2" in again.stdout) == (1, True)
    assert Counter(names(lines())) == {tidy: 1, str(late): 1}


def test_killed_at_any_time_each_is_reported_once(repository: MakeRepository, listed: Listed, started: Started) -> None:
    urls = [repository(f"r{number}", {"a.py": LEAKY if number % 2 else TIDY}) for number in range(14)]
    repos = listed([*urls, "/no/such"])
    for number in (1, 4, 8):
        process = started(repos, "--jobs", "3")
        wait_for_lines(number)
        process.kill()
        process.communicate()
    assert len(lines()) < 15
    with open(OUTPUT, "ab") as stream:
        stream.write(b'{"repository":"/torn","ref"')
    assert fleet(repos).return_value == 2
    assert Counter(names(lines())) == dict.fromkeys([*urls, "/no/such"], 1)
    assert [json.loads(line)["status"] for line in lines()].count("checked") == 14
    # killed between making a folder and locking it, a run leaves an empty one
    assert [name for name in os.listdir(os.environ["TMPDIR"]) if os.listdir(Path(os.environ["TMPDIR"], name))] == []


@pytest.mark.parametrize("signals", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_keeps_what_is_done_and_leaves_nothing_running(
    repository: MakeRepository, listed: Listed, started: Started, signals: signal.Signals
) -> None:
    urls = [repository(f"r{number}", {"a.py": TIDY}) for number in range(12)]
    process = started(listed(urls), "--jobs", "2")
    wait_for_lines(2)
    # each job runs one process after the other: there may be none for a moment
    running = wait_for(lambda: children_of(process.pid))
    process.send_signal(signals)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"goes on from there" in told
    assert b"Traceback" not in told
    assert [pid for pid in running if Path(f"/proc/{pid}").exists()] == []
    assert os.listdir(os.environ["TMPDIR"]) == []
    done = names(lines())
    assert 2 <= len(done) < 12
    assert fleet(listed(urls)).return_value == 0
    assert set(done) <= set(names(lines()))
    assert Counter(names(lines())) == dict.fromkeys(urls, 1)


def test_the_command_imports_nothing_heavy() -> None:
    heavy = "rich", "dask", "distributed", "github", "leakfix.engine"
    script = f"import sys, leakfix.cli.fleet\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
