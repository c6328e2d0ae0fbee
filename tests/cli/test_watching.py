"""``check --watch``: again after every change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pexpect = pytest.importorskip("pexpect", reason="needs pexpect")

LEAK = "import sqlite3\n\n\ndef use(path):\n    one = sqlite3.connect(path)\n    return 3\n"
COMMAND = [sys.executable, "-m", "leakfix", "check", "--watch", "--no-cache"]


def _until(file: Path, text: str) -> str:
    for _ in range(600):
        told = file.read_text()
        if text in told:
            return told
        time.sleep(0.1)
    raise AssertionError(file.read_text())


def test_each_change_is_checked_and_ctrl_c_ends_it(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (tree / "a.py").write_text("")
    told = tmp_path_factory.mktemp("told") / "out"
    with told.open("wb") as stream:
        process = subprocess.Popen(COMMAND, cwd=tree, stdout=stream, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _until(told, "No leaks found: 1 file")
        (tree / "a.py").write_text(LEAK)
        _until(told, "Found 1 leak in 1 file")
        (tree / "b.py").write_text(LEAK)
        _until(told, "Found 2 leaks in 2 files")
        (tree / "leakfix.toml").write_text("ignore = ['leak']")
        assert _until(told, "No leaks found: 2 files").isprintable() is False
        assert "\x1b" not in told.read_text()  # no terminal: nothing is cleared
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()


def test_a_terminal_is_cleared(tree: Path) -> None:
    (tree / "a.py").write_text("")
    child = pexpect.spawn(COMMAND[0], COMMAND[1:], cwd=str(tree), env=os.environ | {"TERM": "xterm"}, timeout=60)
    try:
        child.expect_exact("\x1b[2J")
        child.expect("No leaks found: 1 file")
        child.expect("Waiting for changes; Ctrl-C ends it")
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
    finally:
        child.close(force=True)


@pytest.mark.parametrize("option", ["--add-suppressions", "--show-settings"])
def test_it_only_looks(leakfix: Callable[..., Any], option: str) -> None:
    done = leakfix("check", "--watch", option)
    assert done.returncode == 2
    assert f"--watch and {option} do not go together".encode() in done.stderr
