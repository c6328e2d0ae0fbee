"""Small repositories, made quickly, and a list of them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from leakfix.fleet import task
from leakfix.fleet.result import Result, Status
from leakfix.fleet.task import Task

LEAKY = "import sqlite3\n\n\ndef rows(path):\n    connection = sqlite3.connect(path)\n    return list(connection)\n"
TIDY = (
    "import sqlite3\nfrom contextlib import closing\n\n\n"
    "def rows(path):\n    with closing(sqlite3.connect(path)) as connection:\n        return list(connection)\n"
)
REPORT = '{"findings": [], "errors": [], "summary": {"files": 1, "fixable": 0}}'

MakeRepository = Callable[..., str]
Awaited = TypeVar("Awaited")


def wait_for(what: Callable[[], Awaited]) -> Awaited:
    """The first answer that is not empty."""
    until = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def _git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    settings = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main")
    command = ["git", *settings, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, input=stdin, check=True, capture_output=True)
    return done.stdout.decode().strip()


def stream(files: dict[str, str | bytes], modes: dict[str, str] | None = None) -> bytes:
    """A commit of some files as ``git fast-import`` reads it; a mode of 160000 takes a commit instead of bytes."""
    lines = [b"commit refs/heads/main\ncommitter test <test@example.org> 1700000000 +0000\ndata 1\nx\n"]
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        mode = (modes or {}).get(name, "100644")
        if mode == "160000":
            lines.append(f"M {mode} ".encode() + data + f" {name}\n".encode())
        else:
            lines.append(f"M {mode} inline {name}\ndata {len(data)}\n".encode() + data + b"\n")
    return b"".join(lines)


@pytest.fixture
def repository(tmp_path: Path) -> MakeRepository:
    """Make a bare repository with one commit on main, and return its path."""

    def make(name: str, files: dict[str, str | bytes], modes: dict[str, str] | None = None) -> str:
        folder = tmp_path / "repositories" / name
        folder.mkdir(parents=True)
        _git(folder, "init", "--quiet", "--bare", "--template=")
        _git(folder, "fast-import", "--quiet", stdin=stream(files, modes))
        return str(folder)

    return make


@pytest.fixture
def git() -> Callable[..., str]:
    """Run git in a folder."""
    return lambda folder, *arguments: _git(Path(folder), *arguments)


@pytest.fixture
def private_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that no other test uses."""
    import tempfile

    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[Iterable[str]], str]:
    """Write a list of repositories."""

    def write(lines: Iterable[str]) -> str:
        path = tmp_path / "repositories.txt"
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        return str(path)

    return write


def shell(script: str) -> tuple[str, ...]:
    """A command for a task that runs a few lines of shell in the checkout."""
    return "/bin/sh", "-c", script


def checked(name: str, commit: str = "1" * 40, **changes: object) -> Result:
    """A result as ``examine`` makes it."""
    made = Task(name).result(Status.CHECKED, commit=commit, seconds=1)
    values = {"summary": {"files": 1, "fixable": 0}, **changes}
    return task.replace(made, **values)  # type: ignore[arg-type]


def names(lines: Sequence[bytes]) -> list[str]:
    """The repositories of some lines of results."""
    return [Result.from_line(line).repository for line in lines]
