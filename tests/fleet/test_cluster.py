"""A hundred repositories on a cluster whose workers are killed: every one is reported once."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from leakfix.fleet import FleetError, workspace
from leakfix.fleet.cluster import connected
from leakfix.fleet.result import Result
from leakfix.fleet.results import Results
from leakfix.fleet.run import run
from leakfix.fleet.task import Task

from .conftest import LEAKY, REPORT, TIDY, shell, stream

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(
        importlib.util.find_spec("distributed") is None, reason="needs pip install 'leakfix[fleet]' (Dask distributed)"
    ),
]

REPOSITORIES = 100
KILLED_AFTER = (5, 20, 40, 60, 80)
CONTENTS: tuple[dict[str, str | bytes], ...] = (
    {"a.py": LEAKY},
    {"a.py": TIDY},
    {"a.py": LEAKY, "b.py": LEAKY},
    {"a.py": "def broken(:\n    import sqlite3\n    sqlite3.connect('x')\n"},
    {"README": "no code"},
)
FINDINGS = (1, 0, 2, 0, 0)
CHECKED = 15
"""How many of the repositories leakfix checks; each of the others holds what it would say of it."""


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Repositories that share a handful of contents."""
    folder = tmp_path_factory.mktemp("repositories")
    originals = []
    for number, content in enumerate(CONTENTS):
        original = folder / f"content{number}"
        (original / "refs").mkdir(parents=True)
        (original / "objects").mkdir()
        (original / "HEAD").write_text("ref: refs/heads/main\n")
        (original / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
        told = {**json.loads(REPORT), "findings": [{}] * FINDINGS[number]}
        data = stream({**content, "report.json": json.dumps(told)})
        subprocess.run(["git", "fast-import", "--quiet"], cwd=original, input=data, check=True, capture_output=True)
        originals.append(original)
    for number in range(REPOSITORIES):
        shutil.copytree(originals[number % len(CONTENTS)], folder / str(number))
    return [str(folder / str(number)) for number in range(REPOSITORIES)]


@contextmanager
def scheduler_and_worker() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and a worker as they are started on machines: by their programs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    scheduler = ["scheduler", "--host", address, "--no-dashboard", "--no-show"]
    worker = ["worker", address, "--nworkers", "1", "--nthreads", "2", "--no-dashboard"]
    processes = [
        subprocess.Popen([sys.executable, "-m", "dask", *part], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for part in (scheduler, worker)
    ]
    try:
        yield address, processes
    finally:
        for process in processes:
            process.terminate()
            process.wait()


@pytest.fixture
def cluster(private_temporary: Path) -> Iterator[Any]:
    """A scheduler and two workers, each a process with a nurse that starts it again."""
    import dask
    import distributed

    patience = dask.config.set({"distributed.scheduler.allowed-failures": 1})
    with (
        patience,
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as made,
    ):
        yield made


def kill_one(cluster: Any) -> int | None:
    """Kill a worker; None where none is running just now."""
    running = [worker.pid for worker in cluster.workers.values() if worker.pid is not None]
    if not running:
        return None
    pid: int = random.choice(running)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return pid


def test_every_repository_is_reported_once(
    cluster: Any, urls: list[str], tmp_path: Path, private_temporary: Path
) -> None:
    killed: set[int] = set()
    told: list[str] = []

    def progress(result: Result) -> None:
        told.append(result.repository)
        if len(killed) < len(KILLED_AFTER) and len(told) >= KILLED_AFTER[len(killed)]:
            killed.update(filter(None, [kill_one(cluster)]))

    path, numbered = tmp_path / "results.jsonl", list(enumerate(urls))
    with connected(f"dask://{cluster.scheduler_address.partition('://')[2]}") as found, Results(str(path)) as results:
        assert found.threads == 2
        tasks = [Task(url, command=() if number < CHECKED else shell("cat report.json")) for number, url in numbered]
        random.Random(1).shuffle(tasks)
        run(tasks, found.executor, results, progress, at_once=8, alive=found.alive)
    lines = [Result.from_line(line) for line in path.read_bytes().splitlines()]
    assert Counter(told) == Counter(line.repository for line in lines) == dict.fromkeys(urls, 1)
    assert {line.status for line in lines} == {"checked"}
    expected = {url: FINDINGS[number % len(FINDINGS)] for number, url in numbered}
    assert {line.repository: len(line.findings) for line in lines} == expected
    assert len(killed) == len(KILLED_AFTER)
    assert _left_for_good(private_temporary) == []


def _left_for_good(temporary: Path) -> list[Path]:
    """What killed workers left that the next to come does not remove; killed before its lock, one leaves it empty."""
    until = time.monotonic() + 30
    while left := [folder for folder in temporary.glob("leakfix-fleet-*") if list(folder.iterdir())]:
        if time.monotonic() > until:
            break
        with workspace.workspace():
            time.sleep(0.05)
    return left


def test_a_task_that_takes_its_worker_along_is_recorded(cluster: Any, urls: list[str], tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    tasks = [Task(urls[0], command=shell("kill -9 $PPID; sleep 1")), *map(Task, urls[1:4])]
    with connected(cluster.scheduler_address) as found, Results(str(path)) as results:
        run(tasks, found.executor, results, lambda result: None, alive=found.alive)
    lines = {line.repository: line for line in map(Result.from_line, path.read_bytes().splitlines())}
    assert [str(lines[url].status) for url in urls[:4]] == ["crashed", "checked", "checked", "checked"]
    assert "KilledWorker" in lines[urls[0]].message


def test_a_scheduler_that_is_gone_ends_the_run(urls: list[str], tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with (
        scheduler_and_worker() as (address, processes),
        connected(address) as found,
        Results(str(path)) as results,
        pytest.raises(FleetError, match="goes on"),
    ):
        run(map(Task, urls), found.executor, results, lambda result: processes[0].kill(), alive=found.alive)
    lines = [Result.from_line(line) for line in path.read_bytes().splitlines()]
    assert lines
    assert {line.status for line in lines} == {"checked"}


def test_no_scheduler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakfix.fleet.cluster._SECONDS", 1)
    with pytest.raises(FleetError, match="no scheduler answers"), connected("dask://127.0.0.1:1"):
        pass
