"""Killed at any moment: every file is old or new, every answer that was taken is kept, and the next run goes on."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from leakfix.cli import main as run_program

pexpect = pytest.importorskip("pexpect", reason="pseudo-terminals need pexpect and a POSIX system")

FILES, KILLS = 20, 6
CHUNKS = {"apply": 6, "branch": 6, "line": 5, "screen": 3}  # of that many kills
WRITING = 0.12  # seconds that writing the files of a review takes at most
LEAK = """\
import sqlite3


def count_{number}(path):
    connection = sqlite3.connect(path)
    row = connection.execute("SELECT {number}").fetchone()
    connection.close()
    return row
"""
IDENTITY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "t"), ("EMAIL", "t@example.org"), ("DATE", "@1700000000 +0000"))
}
Contents = dict[str, tuple[int, bytes]]


@dataclass
class World:
    """A copy of the project, and what else a run can reach."""

    folder: Path
    said: Callable[[], str]

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "XDG_"))}
        own = {"HOME": "home", "XDG_STATE_HOME": "state", "TMPDIR": "temporary"}
        for name in own.values():
            (self.folder / name).mkdir(exist_ok=True)
        places = {variable: str(self.folder / name) for variable, name in own.items()}
        terminal = {"TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
        return {**kept, **places, **terminal, "GIT_CONFIG_NOSYSTEM": "1"}

    def git(self, *arguments: str) -> str:
        command = ["git", "--no-optional-locks", *arguments]
        variables = {**self.variables, **IDENTITY}
        done = subprocess.run(command, cwd=self.project, env=variables, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def contents(self) -> Contents:
        """The modes and bytes of the work tree."""
        files = [path for path in self.project.rglob("*") if path.is_file() and ".git" not in path.parts]
        return {
            path.relative_to(self.project).as_posix(): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
            for path in files
        }

    def left_over(self) -> list[Path]:
        """What no run should leave behind."""
        places = (self.project.rglob(".leakfix-*"), (self.folder / "temporary").glob("*"))
        state = [path for path in (self.folder / "state").rglob("*") if path.is_file() and path.suffix != ".jsonl"]
        return [path for found in (*places, state) for path in found]

    def run(self, *arguments: str) -> tuple[int, str]:
        """An undisturbed run in this process, which saves its start: the exit code, and what was said."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name not in self.variables]:
                patch.delenv(name)
            for name, value in self.variables.items():
                patch.setenv(name, value)
            patch.setattr("tempfile.tempdir", None)
            patch.chdir(self.project)
            code = run_program([arguments[0], "--jobs", "1", *arguments[1:]])
        return code, self.said()

    def old_temporaries(self) -> None:
        """Let what was left look as if some time had passed."""
        for path in (self.folder / "temporary").glob("*"):
            os.utime(path, (0, 0))


@dataclass
class Expected:
    """What is right. seconds: how long each command takes."""

    template: Path
    old: Contents
    new: Contents
    tip: str
    seconds: dict[str, float] = field(default_factory=dict)


def _written(folder: Path, said: Callable[[], str]) -> World:
    world = World(folder, said)
    for number in range(FILES):
        path = world.project / f"package_{number // 10}" / f"module_{number:02}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(LEAK.format(number=number))
        path.chmod(0o755 if number % 3 else 0o640)
    world.git("init", "-q", "--template=", "--initial-branch=main")
    world.git("add", ".")
    world.git("commit", "-q", "-m", "work")
    return world


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """The project before and after, from runs that nobody killed."""
    world = _written(tmp_path_factory.mktemp("killed"), lambda: "")
    template = world.folder / "template"
    shutil.copytree(world.project, template)
    right = Expected(template, world.contents(), {}, "")
    for arguments in (("branch", "fix"), ("apply", "--yes")):
        started = time.monotonic()
        command = [sys.executable, "-m", "leakfix", arguments[0], "--jobs", "1", *arguments[1:]]
        subprocess.run(command, cwd=world.project, env=world.variables, check=True, capture_output=True)
        right.seconds[arguments[0]] = time.monotonic() - started
    right.new, right.tip = world.contents(), world.git("rev-parse", "refs/heads/fix")
    assert all(right.new[name] != right.old[name] for name in right.old)
    return right


@pytest.fixture
def worlds(expected: Expected, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[World]:
    """One copy of the project after the other."""

    def said() -> str:
        told = capsys.readouterr()
        return told.out + told.err

    def copies() -> Iterator[World]:
        for number in range(KILLS):
            folder = tmp_path / str(number)
            shutil.copytree(expected.template, folder / "project")
            yield World(folder, said)
            shutil.rmtree(folder)

    return copies()


def _chunks(command: str) -> list[Any]:
    return [pytest.param(random.Random(f"{command} {chunk}"), id=str(chunk)) for chunk in range(CHUNKS[command])]


def _moment(chance: random.Random, seconds: float) -> float:
    """Some moment of a run, mostly one of its last third, where it writes."""
    return chance.uniform(0.62 if chance.random() < 0.85 else 0.0, 1.03) * seconds


def _killed(world: World, seconds: float, whole_group: bool, *arguments: str) -> None:
    command = [sys.executable, "-m", "leakfix", arguments[0], "--jobs", "1", *arguments[1:]]
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(
        command,
        cwd=world.project,
        env=world.variables,
        stdin=nowhere,
        stdout=nowhere,
        stderr=nowhere,
        start_new_session=True,
    ) as process:
        time.sleep(seconds)
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


def _require_old_or_new(world: World, right: Expected) -> Contents:
    """Every file is there, whole, with its mode; what else there is are temporaries."""
    found = world.contents()
    more = {name for name in found if name not in right.old}
    assert all(re.search(r"(^|/)\.leakfix-[^/]*\.tmp$", name) for name in more)
    wrong = [name for name in right.old if found.get(name) not in (right.old[name], right.new[name])]
    assert wrong == []
    world.git("fsck", "--strict")
    return found


def _require_finished(world: World, right: Expected) -> None:
    """A run that nobody kills repairs what is left, and removes what was left behind."""
    world.old_temporaries()
    code, said = world.run("apply", "--yes")
    assert code == 0, said
    assert world.contents() == right.new
    assert [path for path in world.left_over() if path.parent.name != "temporary"] == []


@pytest.mark.parametrize("chance", _chunks("apply"))
def test_apply(expected: Expected, worlds: Iterator[World], chance: random.Random) -> None:
    for world in worlds:
        _killed(world, _moment(chance, expected.seconds["apply"]), False, "apply", "--yes")
        _require_old_or_new(world, expected)
        _require_finished(world, expected)


@pytest.mark.parametrize("chance", _chunks("branch"))
def test_branch(expected: Expected, worlds: Iterator[World], chance: random.Random) -> None:
    for world in worlds:
        untouched = [(world.project / ".git" / name).read_bytes() for name in ("HEAD", "index", "config")]
        moment, whole_group = _moment(chance, expected.seconds["branch"]), chance.random() < 0.5
        _killed(world, moment, whole_group, "branch", "fix")
        assert _require_old_or_new(world, expected) == expected.old
        refs = world.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        assert refs[:-1] in ([], [f"refs/heads/fix {expected.tip}"])
        for lock in list((world.project / ".git").rglob("*.lock")):  # git itself was killed, and says what to do
            code, said = world.run("branch", "fix")
            assert (code, lock.name in said) == (2, True)
            lock.unlink()
        world.old_temporaries()
        code, said = world.run("branch", "fix")
        assert code == 0, said
        assert world.git("rev-parse", "refs/heads/fix") == expected.tip
        assert [(world.project / ".git" / name).read_bytes() for name in ("HEAD", "index", "config")] == untouched
        assert world.left_over() == []
        assert world.contents() == expected.old
        world.git("fsck", "--strict")


@dataclass
class Session:
    """A review that somebody has begun. taken: the answers after which the prompt moved on."""

    child: Any
    progress: Callable[[int], str]
    taken: str = ""
    given: str = ""

    def answer(self, keys: str, until: float) -> None:
        """Give answers one by one, as long as there is time."""
        for key in keys:
            self.child.send(key)
            self.given += key
            left = until - time.monotonic()
            if left <= 0 or self.child.expect([self.progress(len(self.given)), pexpect.TIMEOUT], timeout=left):
                return
            self.taken += key


def _reviewed(world: World, chance: random.Random, command: str, progress: Callable[[int], str]) -> Session:
    """A review that is killed: while it starts, while it is answered, or while it writes."""
    arguments = ["-m", "leakfix", command, "--jobs", "1"]
    place = {"cwd": str(world.project), "env": world.variables}
    child = pexpect.spawn(sys.executable, arguments, encoding="utf-8", dimensions=(40, 160), timeout=30, **place)
    child.delaybeforesend = child.ptyproc.delayafterclose = child.ptyproc.delayafterterminate = 0
    session, phase = Session(child, progress), chance.random()
    keys = "".join(chance.choice("yyyn") for _ in range(chance.randint(1, 8)))
    try:
        if phase < 0.1:
            child.expect([progress(0), pexpect.TIMEOUT], timeout=chance.uniform(0.05, 0.6))
            return session
        child.expect(progress(0))
        writes = phase > 0.45
        session.answer(keys, time.monotonic() + (30 if writes else chance.uniform(0, 0.3)))
        if writes:
            child.send("q")
            time.sleep(chance.uniform(0, WRITING))
        return session
    finally:
        child.kill(signal.SIGKILL)
        child.wait()
        child.close(force=True)


def _require_kept(world: World, right: Expected, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A next review, ended at once, does what was answered before the kill, and nothing else."""
    with monkeypatch.context() as patched:
        patched.setattr("leakfix.cli.apply.can_ask", lambda: True)
        patched.setattr("leakfix.cli.apply.Keyboard", Nobody)
        code, said = world.run("apply")
    assert code == 1, said
    found, names = world.contents(), sorted(right.old)
    for name, key in zip(names, session.taken, strict=False):
        assert found[name] == (right.new if key == "y" else right.old)[name], (name, session, said)
    assert [name for name in names[len(session.given) :] if found[name] != right.old[name]] == []
    assert world.left_over() == []


class Nobody:
    """The end of input."""

    def __enter__(self) -> Nobody:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def key(self) -> str:
        raise EOFError


def _line(done: int) -> str:
    return rf"Fix {done + 1} of {FILES}\b[^\n]*write it\?"


def _screen(done: int) -> str:
    return rf"(?<!\d){done} of {FILES} decided"


@pytest.mark.parametrize("chance", _chunks("line"))
def test_review_in_the_line(
    expected: Expected, worlds: Iterator[World], chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    for world in worlds:
        session = _reviewed(world, chance, "apply", _line)
        _require_old_or_new(world, expected)
        _require_kept(world, expected, session, monkeypatch)
        _require_finished(world, expected)


@pytest.mark.parametrize("chance", _chunks("screen"))
def test_review_on_the_screen(
    expected: Expected, worlds: Iterator[World], chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("textual", reason="the full-screen review needs Textual")
    for world in worlds:
        session = _reviewed(world, chance, "review", _screen)
        _require_old_or_new(world, expected)
        _require_kept(world, expected, session, monkeypatch)
        _require_finished(world, expected)
