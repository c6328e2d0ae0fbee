"""The whole program on real files: exit codes, terminals, pipes, and what a hostile tree may not do."""

from __future__ import annotations

import errno
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., subprocess.CompletedProcess[bytes]]
LEAK = b"""\
from sqlmodel import Session


def load(engine, key):
    session = Session(engine)
    return session.query(key).count()
"""


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        child, self._terminal = pty.fork()
        if child == 0:
            os.execv(sys.executable, [sys.executable, "-m", "leakfix", *arguments])
        self.child = child
        self.shown = b""

    def wait_for(self, text: bytes) -> None:
        """Read until the text appears after what was read before."""
        start, until = len(self.shown), time.monotonic() + 30
        while text not in self.shown[start:]:
            assert time.monotonic() < until, self.shown
            self.shown += self._read()

    def _read(self) -> bytes:
        if not select.select([self._terminal], [], [], 30)[0]:
            os.kill(self.child, signal.SIGKILL)
            raise TimeoutError(self.shown)
        return os.read(self._terminal, 4096)

    def say(self, text: bytes) -> None:
        """Type something."""
        os.write(self._terminal, text)

    def end(self) -> int:
        """Read the rest and return the exit code."""
        try:
            while block := self._read():
                self.shown += block
        except OSError as error:
            if error.errno != errno.EIO:  # which says that the other end is gone
                raise
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


@pytest.fixture
def leaky(tree: Path) -> Path:
    """A tree with two leaky files."""
    (tree / "a.py").write_bytes(LEAK)
    (tree / "b.py").write_bytes(LEAK)
    return tree


def _is_repaired(path: Path) -> bool:
    return b"with Session(engine) as session" in path.read_bytes()


def test_check_apply_check(leaky: Path, leakfix: Program) -> None:
    found = leakfix("check", "--output-format", "json")
    assert found.returncode == 1
    document = json.loads(found.stdout)
    assert [finding["path"] for finding in document["findings"]] == ["a.py", "b.py"]
    assert leakfix("apply", "--yes").returncode == 0
    assert _is_repaired(leaky / "a.py")
    assert leakfix("check").returncode == 0
    again = leakfix("apply", "--yes")
    assert (again.returncode, again.stdout) == (0, b"No leaks found.\n")


def test_the_diff_is_what_would_be_written(leaky: Path, leakfix: Program, git: Callable[..., None]) -> None:
    done = leakfix("apply", "--diff")
    assert done.returncode == 1
    assert (leaky / "a.py").read_bytes() == LEAK
    (leaky / "fix.patch").write_bytes(done.stdout)
    git("apply", "fix.patch")
    assert leakfix("apply", "--diff").returncode == 0


@pytest.mark.parametrize("place", ["session = Session(engine)", "def load(engine, key):"])
def test_an_allowed_leak_is_silent(tree: Path, leakfix: Program, place: str) -> None:
    comment = "  # leakfix: allow[sqlalchemy/unclosed-session] closed by the framework"
    (tree / "a.py").write_text(LEAK.decode().replace(place, place + comment))
    assert leakfix("check").returncode == 0


def test_a_comment_that_allows_nothing_is_told(tree: Path, leakfix: Program) -> None:
    (tree / "a.py").write_bytes(LEAK.replace(b"(engine)\n", b"(engine)  # leakfix: allow[sqlalchemy/unclosd]\n"))
    done = leakfix("check")
    assert done.returncode == 1
    assert b"there is no rule 'sqlalchemy/unclosd'" in done.stderr


def test_files_that_do_not_parse_are_told_and_not_fatal(leaky: Path, leakfix: Program) -> None:
    (leaky / "broken.py").write_bytes(b"from sqlmodel import Session\nSession(\n")
    (leaky / "undecodable.py").write_bytes(b"from sqlmodel import Session\nSession('\xff')\n")
    done = leakfix("check", "--output-format", "json")
    assert done.returncode == 1
    assert [error["path"] for error in json.loads(done.stdout)["errors"]] == ["broken.py", "undecodable.py"]


def test_a_fifo_in_the_tree_does_not_stop_anything(leaky: Path, leakfix: Program) -> None:
    os.mkfifo(leaky / "pipe.py")
    assert leakfix("check", timeout=30).returncode == 1
    assert leakfix("check", "pipe.py", timeout=30).returncode == 2


def test_a_closed_pipe_ends_quietly(leaky: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [sys.executable, "-m", "leakfix"]
    for command in (["check"], ["check", "--output-format", "json"], ["apply", "--diff"]):
        done = subprocess.run([*arguments, *command], stdout=writing, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr) == (141, b"")
    os.close(writing)


def test_modules_of_the_tree_are_not_imported(leaky: Path, leakfix: Program) -> None:
    for name in ("ast", "json", "rich", "multiprocessing", "concurrent", "leakfix"):
        (leaky / f"{name}.py").write_text("open('owned', 'w')\n")
    source = Path(__file__).parent.parent / "src"
    safe = f"import sys; sys.path.insert(0, {str(source)!r}); from leakfix.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", safe, "check", "--jobs", "2"],
        cwd=leaky,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert not (leaky / "owned").exists()


def test_answers_on_a_terminal(leaky: Path) -> None:
    terminal = Terminal("apply")
    terminal.wait_for(b"Fix 1 of 2")
    terminal.say(b"y\n")
    terminal.wait_for(b"Fix 2 of 2")
    assert (leaky / "a.py").read_bytes() == LEAK
    terminal.say(b"n\n")
    assert terminal.end() == 1
    assert _is_repaired(leaky / "a.py")
    assert (leaky / "b.py").read_bytes() == LEAK


def test_answers_may_be_typed_ahead(leaky: Path) -> None:
    terminal = Terminal("apply")
    terminal.say(b"y\ny\n")
    assert terminal.end() == 0
    assert _is_repaired(leaky / "b.py")


@pytest.mark.parametrize("leave", [b"q\n", b"\x04"])
def test_leaving_a_terminal_writes_what_was_accepted(leaky: Path, leave: bytes) -> None:
    terminal = Terminal("apply")
    terminal.wait_for(b"Fix 1 of 2")
    terminal.say(b"y\n")
    terminal.wait_for(b"Fix 2 of 2")
    terminal.say(leave)
    assert terminal.end() == 1
    assert _is_repaired(leaky / "a.py")
    assert (leaky / "b.py").read_bytes() == LEAK


def test_ctrl_c_on_a_terminal_writes_nothing(leaky: Path) -> None:
    terminal = Terminal("apply")
    terminal.wait_for(b"Fix 1 of 2")
    terminal.say(b"y\n")
    terminal.wait_for(b"Fix 2 of 2")
    terminal.say(b"\x03")
    assert terminal.end() == 130
    assert (leaky / "a.py").read_bytes() == LEAK
    assert b"Traceback" not in terminal.shown


def test_colour_on_a_terminal_unless_unwanted(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal("check")
    assert terminal.end() == 1
    assert b"\x1b[1;31m" in terminal.shown
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal("check")
    assert terminal.end() == 1
    assert b"\x1b[1;31m" not in terminal.shown


def test_an_interrupt_while_checking(leaky: Path) -> None:
    for number in range(400):
        (leaky / f"m{number}.py").write_bytes(LEAK)
    running = subprocess.Popen(
        [sys.executable, "-m", "leakfix", "check"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(0.35)
    running.send_signal(signal.SIGINT)
    _, complaints = running.communicate(timeout=30)
    assert running.returncode in (130, 1)
    assert b"Traceback" not in complaints


CACHED = b"""\
_profiles = {}


async def profile(user_id, fetch):
    if user_id not in _profiles:
        _profiles[user_id] = await fetch(user_id)
    return _profiles[user_id]
"""
MANIFEST = '[project]\nname = "shop"\ndependencies = []\n\n[tool.leakfix]\nallow-dependencies = ["cachetools"]\n'


@pytest.fixture
def cached(tree: Path, git: Callable[..., None]) -> Path:
    """A committed project with a cache that a library of others may bound."""
    (tree / "src").mkdir()
    (tree / "src" / "profiles.py").write_bytes(CACHED)
    (tree / "pyproject.toml").write_text(MANIFEST)
    git("add", "-A")
    git("commit", "-qm", "work")
    return tree


def _declares(text: str) -> bool:
    return 'dependencies = ["cachetools>=5"]' in text


def test_what_a_repair_needs_is_declared(cached: Path, leakfix: Program, git: Callable[..., None]) -> None:
    before = leakfix("apply", "--diff", "--unsafe-fixes", "src")
    assert b"+++ b/pyproject.toml" in before.stdout
    done = leakfix("apply", "--yes", "--unsafe-fixes", "src")
    assert done.returncode == 0, done.stderr
    assert b"LRUCache(maxsize=4096)" in (cached / "src" / "profiles.py").read_bytes()
    assert _declares((cached / "pyproject.toml").read_text())
    (cached / "src" / "profiles.py").write_bytes(CACHED)
    (cached / "pyproject.toml").write_text(MANIFEST)
    (cached / "fix.patch").write_bytes(before.stdout)
    git("apply", "--check", "fix.patch")


def test_what_a_repair_needs_is_in_its_commit(cached: Path, leakfix: Program) -> None:
    done = leakfix("branch", "fix", "--unsafe-fixes")
    assert done.returncode in (0, 1), done.stderr
    shown = subprocess.run(["git", "show", "fix"], cwd=cached, capture_output=True, text=True, check=True).stdout
    assert '+dependencies = ["cachetools>=5"]' in shown
    assert "+_profiles = LRUCache(maxsize=4096)" in shown
    assert (cached / "pyproject.toml").read_text() == MANIFEST


def test_what_an_accepted_repair_needs_is_declared(cached: Path) -> None:
    terminal = Terminal("apply", "--unsafe-fixes")
    terminal.wait_for(b"Fix 1 of 1")
    terminal.say(b"y\n")
    assert terminal.end() == 0
    assert _declares((cached / "pyproject.toml").read_text())


def test_what_nobody_allowed_is_not_brought_in(cached: Path, leakfix: Program) -> None:
    (cached / "pyproject.toml").write_text(MANIFEST.partition("[tool")[0])
    leakfix("apply", "--yes", "--unsafe-fixes")
    assert b"while len(_profiles) >= 4096:" in (cached / "src" / "profiles.py").read_bytes()
    assert (cached / "pyproject.toml").read_text() == MANIFEST.partition("[tool")[0]


def test_an_unknown_dependency_is_told(cached: Path, leakfix: Program) -> None:
    (cached / "pyproject.toml").write_text(MANIFEST.replace('"cachetools"', '"cachetool"'))
    done = leakfix("check")
    assert done.returncode == 2
    assert b"did you mean 'cachetools'?" in done.stderr
