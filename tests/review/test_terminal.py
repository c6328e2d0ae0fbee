"""The review in the line, in a real pseudo-terminal."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="pseudo-terminals need pexpect and a POSIX system")

Spawn = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def spawn(project: Path) -> Iterator[Spawn]:
    """Start leakfix in the project on a terminal."""
    started = []

    def start(*arguments: str, **environment: str) -> pexpect.spawn[str]:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "leakfix", *arguments],
            cwd=str(project),
            env={**os.environ, "TERM": "xterm-256color", **environment},
            encoding="utf-8",
            dimensions=(40, 160),
            timeout=30,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def _ended(child: pexpect.spawn[str]) -> int:
    child.expect(pexpect.EOF)
    child.wait() if child.isalive() else None
    return int(child.exitstatus if child.exitstatus is not None else -child.signalstatus)


def test_single_keys_decide(spawn: Spawn, project: Path) -> None:
    before = (project / "shop/orders.py").read_text()
    child = spawn("apply")
    child.expect("Fix 1 of 3: write it")
    child.send("?")
    child.expect("Ctrl-C leaves at once and writes nothing")
    child.send("y")
    child.expect("Fix 2 of 3 ")
    child.send("u")
    child.expect("Fix 1 of 3: write it")
    child.send("n")
    child.expect("Fix 2 of 3: write it")
    child.send("/")
    child.expect("search: ")
    child.send("prices\r")
    child.expect("Fix 3 of 3: write it")
    child.send("y")
    child.expect("Fix 2 of 3 ")
    child.send("q")
    assert _ended(child) == 1
    assert (project / "shop/orders.py").read_text() == before
    assert "with closing(" in (project / "shop/prices.py").read_text()


def test_keys_typed_ahead_are_not_lost(spawn: Spawn, project: Path) -> None:
    child = spawn("apply")
    child.send("nny")
    assert _ended(child) == 1
    assert "with closing(" in (project / "shop/prices.py").read_text()
    assert "with closing(" not in (project / "shop/orders.py").read_text()


@pytest.mark.parametrize("how", ["key", "signal"])
def test_ctrl_c_writes_nothing_and_the_answers_are_kept(spawn: Spawn, project: Path, how: str) -> None:
    texts = [(project / name).read_text() for name in ("shop/orders.py", "shop/prices.py")]
    child = spawn("apply")
    child.expect("Fix 1 of 3: write it")
    child.send("y")
    child.expect("Fix 2 of 3 .*: write it")
    child.send("\x03") if how == "key" else child.kill(signal.SIGINT)
    assert _ended(child) == 130
    assert [(project / name).read_text() for name in ("shop/orders.py", "shop/prices.py")] == texts
    child = spawn("apply")
    child.expect("answers of an earlier review that are kept: 1")
    child.expect("Fix 2 of 3 .*: write it")
    child.send("\x04")
    assert _ended(child) == 1
    assert "with closing(" in (project / "shop/orders.py").read_text()


def test_the_editor_gets_the_repaired_file(spawn: Spawn, project: Path, tmp_path: Path) -> None:
    editor = tmp_path / "my editor.py"
    editor.write_text("import sys\nwith open(sys.argv[1], 'a') as stream:\n    stream.write('# by hand\\n')\n")
    child = spawn("apply", VISUAL=f"{sys.executable} '{editor}'")
    child.expect("Fix 1 of 3: write it")
    child.send("e")
    child.expect("Fix 2 of 3")
    child.send("q")
    assert _ended(child) == 1
    text = (project / "shop/orders.py").read_text()
    assert text.endswith("# by hand\n")
    assert "with closing(" in text


def test_the_screen_opens_decides_and_writes(spawn: Spawn, project: Path) -> None:
    pytest.importorskip("textual", reason="the full-screen review needs Textual")
    child = spawn("review", TEXTUAL_ANIMATIONS="none")
    child.expect("0 of 5 decided")
    child.send("y")
    child.expect("1 accepted")
    child.send("q")
    assert _ended(child) == 1
    assert "with closing(" in (project / "shop/orders.py").read_text()


def test_the_screen_left_by_ctrl_c_writes_nothing(spawn: Spawn, project: Path) -> None:
    pytest.importorskip("textual", reason="the full-screen review needs Textual")
    before = (project / "shop/orders.py").read_text()
    child = spawn("review", TEXTUAL_ANIMATIONS="none")
    child.expect("0 of 5 decided")
    child.send("y")
    child.expect("1 accepted")
    child.send("\x03")
    assert _ended(child) == 130
    assert (project / "shop/orders.py").read_text() == before
    child = spawn("review", TEXTUAL_ANIMATIONS="none")
    child.expect("answers of an earlier review that are kept: 1")
    child.expect("1 accepted")
    child.send("q")
    assert _ended(child) == 1
    assert (project / "shop/orders.py").read_text() != before


def test_without_a_terminal_the_review_says_what_to_do(leakfix: Callable[..., object], tree: Path) -> None:
    done = leakfix("review")
    assert done.returncode == 1 or done.returncode == 2  # type: ignore[attr-defined]
    assert b"leakfix apply --yes" in done.stderr  # type: ignore[attr-defined]
