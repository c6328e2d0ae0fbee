"""Only what changes brought: ``check --diff-base``."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leakfix.report.formats import FORMATS

from .conftest import LEAK, MORE

Git = Callable[..., None]
Program = Callable[..., Any]
Write = Callable[[dict[str, str]], None]
Found = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def repository(tree: Path, git: Git, write: Write) -> None:
    write({"a.py": LEAK, "sub/b.py": LEAK})
    git("add", "-A")
    git("commit", "-qm", "one")
    git("branch", "start")


def _new(found: Found, *options: str, **others: Any) -> list[str]:
    return found("--diff-base", "start", *options, **others)


def test_only_what_is_new(tree: Path, git: Git, write: Write, found: Found) -> None:
    assert _new(found) == []
    write({"a.py": "# moved\n" + LEAK + MORE, "new.py": LEAK, "sub/b.py": LEAK.replace("1", "2")})
    assert _new(found) == ["a.py names", "new.py rows"]
    assert _new(found, "a.py") == ["a.py names"]
    git("commit", "-qam", "two")
    assert _new(found) == ["a.py names", "new.py rows"]
    assert found("--diff-base", "HEAD") == ["new.py rows"]
    assert _new(found, "b.py", "../a.py", cwd=tree / "sub") == ["../a.py names"]


def test_the_merge_base_counts_not_the_tip(tree: Path, git: Git, write: Write, found: Found) -> None:
    git("checkout", "-q", "start")
    write({"a.py": ""})
    git("commit", "-qam", "repaired there")
    git("checkout", "-q", "-")
    assert _new(found) == []


def test_a_leak_may_come_from_a_change_elsewhere(git: Git, write: Write, found: Found) -> None:
    user = "import pool\n\n\ndef use():\n    connection = pool.make()\n    pool.finish(connection)\n"
    kept = "import sqlite3\n\n\ndef make():\n    return sqlite3.connect('x')\n\n\ndef finish(one):\n    one.close()\n"
    write({"pool.py": kept, "user.py": user})
    git("add", "-A")
    git("commit", "-qm", "two")
    git("branch", "-f", "start")
    write({"pool.py": kept.replace("one.close()", "one.commit()")})
    assert _new(found) == ["user.py use"]


@pytest.mark.parametrize("staged", [True, False])
def test_renamed_files_give_nothing_new(tree: Path, git: Git, write: Write, found: Found, staged: bool) -> None:
    (tree / "deep" / "er").mkdir(parents=True)
    os.rename(tree / "a.py", tree / "deep" / "er" / "c.py")
    if staged:
        git("add", "-A")
    assert _new(found) == []
    write({"deep/er/c.py": LEAK + MORE})
    assert _new(found) == ["deep/er/c.py names"]
    git("add", "-A")
    git("commit", "-qm", "moved")
    assert _new(found) == ["deep/er/c.py names"]


def test_renamed_and_rewritten_around_the_leak(tree: Path, git: Git, write: Write, found: Found) -> None:
    filling = "".join(f"VALUE_{number} = {number}\n" for number in range(30))
    write({"long.py": LEAK + filling})
    git("add", "-A")
    git("commit", "-qm", "two")
    git("branch", "-f", "start")
    git("mv", "long.py", "other.py")
    write({"other.py": LEAK.replace("select 1", "select 2") + filling})
    git("commit", "-qam", "three")
    assert _new(found) == []


def test_a_copy_and_a_second_leak_of_the_same_kind_are_new(write: Write, found: Found) -> None:
    write({"copy.py": LEAK, "a.py": LEAK.replace("    return", "    other = sqlite3.connect(path)\n    return")})
    assert _new(found) == ["a.py rows", "copy.py rows"]


def test_renamed_functions_give_nothing_new(write: Write, found: Found) -> None:
    write({"a.py": LEAK.replace("rows", "lines")})
    assert _new(found) == []


def test_a_new_root_of_a_package_gives_nothing_new(write: Write, found: Found) -> None:
    write({"sub/pyproject.toml": ""})
    assert _new(found) == []


def test_a_comment_that_is_gone_shows_what_it_allowed(git: Git, write: Write, found: Found) -> None:
    allowed = LEAK.replace("connect(path)", "connect(path)  # leakfix: allow[sqlite3/*] known")
    write({"a.py": allowed})
    git("commit", "-qam", "two")
    git("branch", "-f", "start")
    assert _new(found) == []
    write({"a.py": LEAK})
    assert _new(found) == ["a.py rows"]


def test_settings_of_now_count_for_both(git: Git, write: Write, found: Found) -> None:
    write({"leakfix.toml": 'ignore = ["leak"]', "sub/leakfix.toml": 'select = ["growth"]'})
    git("add", "-A")
    git("commit", "-qm", "two")
    git("branch", "-f", "start")
    write({"leakfix.toml": "", "sub/leakfix.toml": ""})
    assert _new(found) == []
    assert found() == ["a.py rows", "sub/b.py rows"]


def test_nothing_of_the_repository_is_run(tree: Path, git: Git, write: Write, found: Found) -> None:
    owned = tree.parent / f"{tree.name}-owned"
    script = tree / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {owned}\ncat\n")
    script.chmod(0o755)
    write({".gitattributes": "*.py filter=evil diff=evil\n"})
    for key in ("filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "diff.evil.command", "core.fsmonitor"):
        git("config", key, str(script))
    git("config", "diff.external", str(script))
    hooks = tree / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "post-checkout").write_text(script.read_text())
    (hooks / "post-checkout").chmod(0o755)
    write({"a.py": LEAK + MORE})
    assert _new(found) == ["a.py names"]
    assert not owned.exists()


@pytest.mark.parametrize(
    ("revision", "expected"),
    [("gone", "gone: there is no such commit here"), ("--all", "--all: not a revision")],
)
def test_a_revision_that_is_none(called: Program, revision: str, expected: str) -> None:
    done = called("check", f"--diff-base={revision}")
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"error: --diff-base: {expected}" in done.stderr.decode()


def test_unrelated_histories(git: Git, write: Write, called: Program) -> None:
    git("checkout", "-q", "--orphan", "other")
    git("commit", "-qm", "unrelated")
    done = called("check", "--diff-base", "start")
    assert done.returncode == 2
    assert b"no commit in common here: their histories are unrelated" in done.stderr


def test_a_clone_that_is_too_shallow(tree: Path, git: Git, write: Write, called: Program) -> None:
    write({"a.py": LEAK + MORE})
    git("commit", "-qam", "two")
    shallow = tree.parent / f"{tree.name}-shallow"
    command = ["git", "clone", "-q", "--depth=1", "--no-single-branch", f"file://{tree}", str(shallow)]
    subprocess.run(command, check=True, capture_output=True)
    done = called("check", "--diff-base", "origin/start", cwd=shallow)
    assert done.returncode == 2
    assert b"this clone is shallow; fetch more of the history" in done.stderr
    done = called("check", "--diff-base", "HEAD~1", cwd=shallow)
    assert done.returncode == 2
    assert b"there is no such commit here; fetch more of the history" in done.stderr


def test_outside_a_repository(tmp_path_factory: pytest.TempPathFactory, called: Program) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "a.py").write_text(LEAK)
    done = called("check", "--diff-base", "start", cwd=outside)
    assert done.returncode == 2
    assert b"not in a git repository" in done.stderr
    done = called("check", "--diff-base", "start", str(outside / "a.py"))
    assert done.returncode == 2
    assert b"outside the repository" in done.stderr


def _results(called: Program, *options: str) -> list[dict[str, Any]]:
    done = called("check", "--no-cache", "--output-format", "sarif-all", *options)
    assert done.returncode in (0, 1), done.stderr
    results: list[dict[str, Any]] = json.loads(done.stdout)["runs"][0]["results"]
    return results


def test_what_was_there_is_accepted(git: Git, write: Write, called: Program) -> None:
    write({"a.py": LEAK + MORE, "sub/b.py": LEAK.replace("connect(path)", "connect(path)  # leakfix: allow[leak] so")})
    states = {
        result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]: (
            result.get("baselineState"),
            [each["kind"] for each in result.get("suppressions", ())],
        )
        for result in _results(called, "--diff-base", "start", "a.py")
    }
    assert states == {"rows": ("unchanged", ["external"]), "names": ("new", [])}
    assert "baselineState" not in _results(called, "a.py")[0]


def test_formats_tell_what_is_new_alone(tree: Path, git: Git, write: Write, called: Program) -> None:
    write({"a.py": LEAK + MORE})
    names = FORMATS.keys() - {"text", "sarif-all"}
    outputs = [f"--output-format={name}=out/{name}" for name in names]
    (tree / "out").mkdir()
    done = called("check", "--diff-base", "start", *outputs, "--output-format", "text")
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"1 leak in 1 file" in done.stdout
    texts = {name: (tree / "out" / name).read_text() for name in names}
    for name, text in texts.items():
        assert "a.py" in text, name
        assert "sub/b.py" not in text, name
    assert len(json.loads(texts["json"])["findings"]) == len(json.loads(texts["gitlab"])) == 1
    assert len(json.loads(texts["sarif"])["runs"][0]["results"]) == 1
    assert texts["junit"].count("<failure") == len(texts["rdjsonl"].splitlines()) == 1
    assert len(re.findall("^::", texts["github"], re.MULTILINE)) == 1
    assert texts["diff"].count("\n+    with closing(") == 1
    for told in (done.stdout.decode(), texts["markdown"], texts["html"]):
        assert "; 2 there before the changes. Looked at 2 files" in told


NOTHING_NEW = {
    "text": lambda text: text.startswith("No new leaks found; 2 there before the changes. Looked at 2 files in "),
    "json": lambda text: json.loads(text)["findings"] == [],
    "sarif": lambda text: json.loads(text)["runs"][0]["results"] == [],
    "sarif-all": lambda text: {r["baselineState"] for r in json.loads(text)["runs"][0]["results"]} == {"unchanged"},
    "github": lambda text: "::warning" not in text and "::error" not in text,
    "gitlab": lambda text: json.loads(text) == [],
    "junit": lambda text: 'tests="1" failures="0" errors="0"' in text,
    "rdjsonl": lambda text: text == "",
    "markdown": lambda text: "No new leaks found; 2 there before the changes." in text,
    "html": lambda text: '<p class="clean">No new leaks found; 2 there before the changes.</p>' in text,
    "diff": lambda text: text == "",
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_where_nothing_is_new(called: Program, name: str) -> None:
    done = called("check", "--diff-base", "start", "--output-format", name)
    assert (done.returncode, done.stderr) == (0, b"")
    assert NOTHING_NEW[name](done.stdout.decode()), done.stdout


def test_the_diff_repairs_what_is_new_alone(tree: Path, git: Git, write: Write, called: Program) -> None:
    write({"a.py": LEAK + MORE})
    done = called("check", "--diff-base", "start", "--output-format", "diff")
    assert done.returncode == 1
    (tree / "new.patch").write_bytes(done.stdout)
    git("apply", "new.patch")
    once, twice = (tree / "a.py").read_text().split("def names")
    assert "closing" not in once.partition("def rows")[2]
    assert "closing(sqlite3.connect(path))" in twice


def test_a_text_from_stdin(git: Git, called: Program) -> None:
    options = ("check", "--diff-base", "start", "--output-format", "json", "--stdin-filename", "a.py", "-")
    assert json.loads(called(*options, input=LEAK.encode()).stdout)["findings"] == []
    (new,) = json.loads(called(*options, input=(LEAK + MORE).encode()).stdout)["findings"]
    assert new["function"] == "names"
