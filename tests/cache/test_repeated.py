"""A command line that is given again: what was said is said once more, unless anything changed."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from leakfix.cli import main, repeated

from ..conftest import imported
from .conftest import Shop
from .test_memory import RANDOM

LEAK = "import sqlite3\n\n\ndef f(p):\n    c = sqlite3.connect(p)\n    print(c.execute('x').fetchone())\n"
SETTINGS = '[tool.leakfix]\nignore = ["psycopg2/*"]\n'
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(tree: Path) -> Path:
    """A project whose files were all written a while ago."""
    (tree / "project").mkdir()
    os.chdir(tree / "project")
    Path("pyproject.toml").write_text(SETTINGS)
    Path("shop.py").write_text(LEAK)
    Path("broken.py").write_text("import sqlite3\nsqlite3.connect(\n")
    return tree / "project"


@pytest.fixture
def call(project: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command line; code, stdout without its times, stderr. Each call comes some time after the one before."""
    now, ahead = time.time_ns, [0]
    monkeypatch.setattr("leakfix.project.stamps.time.time_ns", lambda: now() + ahead[0])

    def run(*arguments: str) -> tuple[int, str, str]:
        ahead[0] += 5_000_000_000
        code = main(arguments)
        out, err = capfdbinary.readouterr()
        return code, re.sub(rb'\d+\.\d+( s\b)|(seconds": |time=")[\d.]+', rb"\1\2", out).decode(), err.decode()

    return run


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch, call: Call) -> Callable[..., bool]:
    """Whether a command line was answered with what was said before; it says the same as one that is worked out."""

    def run(*arguments: str) -> bool:
        answered = []
        repeat = repeated.repeat
        with monkeypatch.context() as patch:
            patch.setattr("leakfix.cli.repeat", lambda given: answered.append(repeat(given)) or answered[-1])
            said = call(*arguments)
        with monkeypatch.context() as patch:
            patch.setattr("leakfix.cli.repeat", lambda given: None)
            assert call(*arguments[:1], "--no-cache", *arguments[1:]) == said
        return answered[-1] is not None

    return run


@pytest.mark.parametrize(
    "options",
    [(), ("--output-format", "json"), ("--output-format", "junit"), ("--output-format", "html"), ("--exit-zero",)],
)
def test_what_was_said_is_said_again(again: Callable[..., bool], options: tuple[str, ...]) -> None:
    assert not again("check", *options)
    assert again("check", *options)
    assert not again("check", ".", *options)


def test_times_are_those_of_this_run(
    call: Call, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    call("check", "--output-format", "json")
    clock = iter((100.0, 102.25))
    monkeypatch.setattr("leakfix.cli.repeated.time.monotonic", lambda: next(clock))
    main(["check", "--output-format", "json"])
    assert json.loads(capfdbinary.readouterr().out)["summary"]["seconds"] == 2.25


def test_a_keystroke_ends_it(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(said: repeated.Said, seconds: float) -> None:
        raise KeyboardInterrupt

    call("check")
    monkeypatch.setattr(repeated.Said, "say", interrupted)
    assert main(["check"]) == 130


CHANGES: dict[str, Callable[[], object]] = {
    "a file": lambda: Path("shop.py").write_text("\n" + LEAK),
    "a file of the same size": lambda: Path("shop.py").write_text(LEAK.replace("fetchone", "fetchall")),
    "a new file": lambda: Path("new.py").write_text(LEAK),
    "a file that is gone": lambda: Path("broken.py").unlink(),
    "the settings": lambda: Path("pyproject.toml").write_text('[tool.leakfix]\nignore = ["sqlite3/*"]\n'),
    "settings of their own": lambda: Path("leakfix.toml").write_text('ignore = ["sqlite3/*"]\n'),
    "settings above": lambda: Path("../leakfix.toml").write_text('ignore = ["sqlite3/*"]\n'),
    "a baseline": lambda: main(["baseline", "create"]),
    "a file that cannot be read": lambda: (Path("shop.py").unlink(), Path("shop.py").mkdir()),
    "a module that hides a library": lambda: Path("sqlite3.py").write_text("def connect(path):\n    return 1\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_noticed(
    again: Callable[..., bool], call: Call, capfdbinary: pytest.CaptureFixture[bytes], change: str
) -> None:
    call("check")
    assert again("check")
    CHANGES[change]()
    capfdbinary.readouterr()
    assert not again("check")
    if change == "settings above":
        Path("../leakfix.toml").unlink()


def test_a_change_beside_the_project_is_none(again: Callable[..., bool], call: Call, project: Path) -> None:
    call("check")
    assert again("check")
    (project.parent / "other.txt").write_text("")
    assert again("check")


def test_what_is_listed_by_git(again: Callable[..., bool], git: Callable[..., None]) -> None:
    git("add", "-A")
    git("commit", "-qm", "shop")
    assert not again("check")
    assert again("check")
    Path(".gitignore").write_text("shop.py\n")
    git("rm", "-q", "--cached", "project/shop.py")
    assert not again("check")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("listed", [False, True])
def test_any_sequence_of_changes(
    shop: Shop, again: Callable[..., bool], git: Callable[..., None], tree: Path, seed: int, listed: bool
) -> None:
    os.chdir(tree)
    chance, repeated_at = random.Random(seed), 0
    if not listed:
        shutil.rmtree(tree / ".git")
    for _ in range(8):
        if chance.random() < 0.6:
            file = chance.choice(sorted(file for file in tree.rglob("*") if file.suffix in (".py", ".go")))
            chance.choice(RANDOM)(shop, chance, file)
        repeated_at += again("check", "--output-format", "json")
    assert repeated_at


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "--no-cache"),
        ("check", "absent.py"),
        ("check", "--output-format", "diff"),
        ("check", "--output-file", "report.txt"),
        ("check", "--statistics"),
        ("rules",),
    ],
)
def test_what_is_not_kept(call: Call, arguments: tuple[str, ...]) -> None:
    first = call(*arguments)
    assert repeated.repeat(arguments) is None
    assert call(*arguments) == first


def test_settings_that_ask_the_environment_are_asked_again(
    project: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("common.toml").write_text('ignore = ["sqlite3/*"]\n')
    Path("other.toml").write_text("")
    Path("leakfix.toml").write_text('extend = "$COMMON.toml"\n')
    monkeypatch.setenv("COMMON", "common")
    assert call("check")[0] == 0
    monkeypatch.setenv("COMMON", "other")
    assert call("check")[0] == 1


def test_colour_is_another_matter(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = call("check")
    with monkeypatch.context() as patch:
        patch.setattr("leakfix.cli.output.has_colour", lambda stream: True)
        patch.setattr("leakfix.cli.repeated.has_colour", lambda stream: True)
        coloured = call("check")
        assert "\x1b[" in coloured[1]
        assert call("check") == coloured
    assert call("check") == plain


def test_a_reader_that_goes_away_is_no_reason_to_begin_anew(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(said: repeated.Said, seconds: float) -> None:
        raise BrokenPipeError

    call("check")
    assert repeated.repeat(("check",)) is not None
    monkeypatch.setattr(repeated.Said, "say", gone)
    with pytest.raises(BrokenPipeError):
        repeated.repeat(("check",))


def test_neither_click_nor_settings_are_imported(project: Path) -> None:
    names = "click", "dataclasses", "inspect", "leakfix.config", "leakfix.finding"
    time.sleep(2.1)  # until no file system's clock can take a later change for the one before
    said, at_first = imported(["check", "--exit-zero"], names, project)
    assert "click" in at_first
    again, later = imported(["check", "--exit-zero"], names, project)
    assert later == set()
    assert b"shop.py:5" in again
    assert again.splitlines()[:-1] == said.splitlines()[:-1]
