"""``leakfix apply``: what is written when, and the exit codes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., Any]


def test_yes_writes_safe_fixes(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_bytes(b"x = leak()\r\n")
    result = invoke("apply", "--yes")
    assert result.code == 0
    assert (tree / "a.py").read_bytes() == b"x = safe()\r\n"
    assert "a.py:1:5 fixed[toy/leak] make leak safe" in result.out
    assert result.out.endswith("Fixed 1 leak in 1 file.\n")


def test_nothing_to_do_exits_with_zero(tree: Path, invoke: Invoke) -> None:
    assert invoke("apply", "--yes").code == 0
    assert invoke("apply").code == 0
    assert invoke("apply", "--diff").code == 0


def test_findings_that_remain_exit_with_one(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("leak()\nstuck()\n")
    result = invoke("apply", "--yes")
    assert result.code == 1
    assert (tree / "a.py").read_text() == "safe()\nstuck()\n"
    assert "no fix: it is stuck" in result.out
    assert "Fixed 1 leak in 1 file; 1 leak left (1 without a fix)." in result.out


def test_reviewed_fixes_need_the_flag(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("drip()\n")
    assert invoke("apply", "--yes").code == 1
    assert (tree / "a.py").read_text() == "drip()\n"
    assert invoke("apply", "--yes", "--unsafe-fixes").code == 0
    assert (tree / "a.py").read_text() == "safe()\n"


def test_without_a_terminal_the_diff_is_printed_and_nothing_written(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("leak()\n")
    result = invoke("apply")
    assert result.code == 1
    assert result.out == "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-leak()\n+safe()\n"
    assert "nothing was written" in result.err
    assert (tree / "a.py").read_text() == "leak()\n"


@pytest.mark.parametrize("content", [b"leak()\r\nx\r\n", b"\xef\xbb\xbfleak()", b"# coding: latin-1\nleak() # \xe9\n"])
@pytest.mark.parametrize("name", ["a.py", "with blank.py", 'quo"te.py', "tab\there.py", "sub/é.py", "back\\slash.py"])
def test_the_diff_is_taken_by_git_apply(
    tree: Path,
    invoke: Invoke,
    name: str,
    content: bytes,
    capfdbinary: pytest.CaptureFixture[bytes],
    git: Callable[..., None],
) -> None:
    from leakfix.cli import main as run

    file = tree / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    assert run(["apply", "--diff"]) == 1
    assert file.read_bytes() == content
    (tree / "fix.patch").write_bytes(capfdbinary.readouterr().out)
    git("apply", "fix.patch")
    assert file.read_bytes() == content.replace(b"leak", b"safe")


def test_the_diff_of_a_name_that_is_not_utf8(
    tree: Path, git: Callable[..., None], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from leakfix.cli import main as run

    name = os.fsdecode(b"caf\xe9.py")
    (tree / name).write_text("leak()\n")
    run(["apply", "--diff"])
    (tree / "fix.patch").write_bytes(capfdbinary.readouterr().out)
    git("apply", "fix.patch")
    assert (tree / name).read_text() == "safe()\n"


def test_the_diff_leaves_out_what_would_not_be_written(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("drip()\n")
    result = invoke("apply", "--diff")
    assert (result.code, result.out) == (0, "")
    assert invoke("apply", "--diff", "--unsafe-fixes").code == 1


def test_a_read_only_file_is_refused_and_the_others_go_on(tree: Path, invoke: Invoke) -> None:
    for name in ("a.py", "b.py"):
        (tree / name).write_text("leak()\n")
    (tree / "a.py").chmod(0o444)
    result = invoke("apply", "--yes")
    assert result.code == 2
    assert "a.py: not written: is read-only" in result.err
    assert (tree / "a.py").read_text() == "leak()\n"
    assert (tree / "b.py").read_text() == "safe()\n"


def test_a_file_changed_since_it_was_read_is_refused(tree: Path, invoke: Invoke, engine: Any) -> None:
    (tree / "a.py").write_text("leak()\n")
    check = engine.check

    def slow(*arguments: Any, **named: Any) -> Any:
        report = check(*arguments, **named)
        (tree / "a.py").write_text("leak()  # edited meanwhile\n")
        return report

    engine.check = slow
    result = invoke("apply", "--yes")
    assert result.code == 2
    assert "changed on disk" in result.err
    assert (tree / "a.py").read_text() == "leak()  # edited meanwhile\n"


def test_a_missing_path_exits_with_two_and_the_rest_is_repaired(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("leak()\n")
    assert invoke("apply", "--yes", "missing.py", "a.py").code == 2
    assert (tree / "a.py").read_text() == "safe()\n"


def test_a_named_link_is_repaired_at_its_target(tree: Path, invoke: Invoke) -> None:
    (tree / "sub").mkdir()
    (tree / "sub" / "real.txt").write_text("leak()\n")
    (tree / "link.py").symlink_to("sub/real.txt")
    assert invoke("apply", "--yes", "link.py").code == 0
    assert (tree / "link.py").is_symlink()
    assert (tree / "sub" / "real.txt").read_text() == "safe()\n"


def test_a_link_that_leads_away_is_refused(
    tree: Path, invoke: Invoke, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "a.py"
    outside.write_text("leak()\n")
    (tree / "link.py").symlink_to(outside)
    result = invoke("apply", "--yes", "link.py")
    assert result.code == 2
    assert "outside the working directory" in result.err
    assert outside.read_text() == "leak()\n"
    assert invoke("apply", "--diff", "link.py").out == ""


def test_two_names_of_one_file_are_both_repaired(tree: Path, invoke: Invoke) -> None:
    (tree / "a.py").write_text("leak()\n")
    os.link(tree / "a.py", tree / "b.py")
    assert invoke("apply", "--yes").code == 0
    assert (tree / "b.py").read_text() == "safe()\n"
    assert (tree / "a.py").samefile(tree / "b.py")


def test_stale_temporary_files_go_with_the_next_good_run(tree: Path, invoke: Invoke) -> None:
    (tree / "sub").mkdir()
    (tree / "sub" / "a.py").write_text("leak()\n")
    stale = tree / "sub" / ".leakfix-old.tmp"
    stale.write_text("half")
    assert invoke("check").code == 1
    assert stale.exists()
    assert invoke("apply", "--yes").code == 0
    assert not stale.exists()


def test_the_index_of_git_is_untouched_by_a_repair(tree: Path, invoke: Invoke, git: Callable[..., None]) -> None:
    (tree / "a.py").write_text("leak()\n")
    git("add", "a.py")
    assert invoke("apply", "--yes").code == 0
    shown = subprocess.run(["git", "show", ":a.py"], cwd=tree, capture_output=True, check=True)
    assert shown.stdout == b"leak()\n"
