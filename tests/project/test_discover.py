"""From paths to files: git, walks, vendored trees, and things that are not files."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from leakfix.config import Config
from leakfix.project.discover import discover

Git = Callable[..., None]


def _reads_everything() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0)
        return os.access(folder, os.R_OK)


not_as_root = pytest.mark.skipif(_reads_everything(), reason="root reads what permissions forbid")


def _put(tree: Path, *names: str) -> None:
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("")


def _files(*paths: str, config: Config | None = None) -> list[str]:
    found = discover(paths or (".",), config or Config())
    assert found.errors == []
    return found.files


@pytest.fixture(params=["plain", "git"])
def either(request: pytest.FixtureRequest, tree: Path) -> Path:
    """The tree, once as a plain folder and once as a git repository."""
    if request.param == "git":
        request.getfixturevalue("git")
    return tree


def test_python_files_sorted_and_once(either: Path) -> None:
    _put(either, "b.py", "a.py", "sub/c.py", "notes.txt", "sub/d.pyi")
    assert _files() == ["a.py", "b.py", "sub/c.py"]
    assert _files("sub", ".", "./a.py", str(either / "b.py")) == ["a.py", "b.py", "sub/c.py"]


@pytest.mark.parametrize("folder", ["node_modules", "site-packages", ".venv", "venv", "vendor", "third_party"])
def test_vendored_trees_are_left_out_unless_named(either: Path, folder: str) -> None:
    _put(either, "a.py", f"x/{folder}/deep/b.py")
    assert _files() == ["a.py"]
    assert _files(f"x/{folder}") == [f"x/{folder}/deep/b.py"]
    assert _files(f"x/{folder}/deep/b.py") == [f"x/{folder}/deep/b.py"]


def test_an_environment_of_any_name_is_left_out(either: Path) -> None:
    _put(either, "a.py", "env312/pyvenv.cfg", "env312/lib/b.py")
    assert _files() == ["a.py"]


def test_exclude_patterns(either: Path) -> None:
    _put(either, "a.py", "gen/b.py", "sub/gen/c.py", "sub/x_pb2.py", "sub/d.py")
    assert _files(config=Config(exclude=("gen",))) == ["a.py", "sub/d.py", "sub/x_pb2.py"]
    assert _files(config=Config(exclude=("*_pb2.py", "sub/gen"))) == ["a.py", "gen/b.py", "sub/d.py"]
    assert _files(config=Config(exclude=("**/gen/*.py",))) == ["a.py", "sub/d.py", "sub/x_pb2.py"]
    assert _files("gen/b.py", config=Config(exclude=("gen",))) == ["gen/b.py"]


def test_patterns_are_relative_to_the_configuration(either: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(either, "sub/gen/a.py", "sub/b.py")
    monkeypatch.chdir(either / "sub")
    assert _files(config=Config(exclude=("sub/gen",), root=str(either))) == ["b.py"]


def test_paths_outside_are_shown_relative(either: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(either, "a.py", "sub/b.py")
    monkeypatch.chdir(either / "sub")
    assert _files("..") == ["../a.py", "b.py"]


def test_links_are_not_followed_in_a_walk(either: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    _put(outside, "secret.py")
    _put(either, "a.py")
    (either / "link.py").symlink_to(outside / "secret.py")
    (either / "folder").symlink_to(outside)
    (either / "loop").symlink_to(".")
    (either / "dead.py").symlink_to("nowhere")
    assert _files() == ["a.py"]
    assert _files("link.py") == ["link.py"]


def test_what_is_no_file_is_not_opened(either: Path) -> None:
    os.mkfifo(either / "pipe.py")
    (either / "folder.py").mkdir()
    _put(either, "folder.py/a.py")
    assert _files() == ["folder.py/a.py"]
    found = discover(("pipe.py",), Config())
    assert found.errors == [("pipe.py", "not a regular file or folder")]
    assert found.named_errors


def test_missing_and_dead_paths_are_errors(either: Path) -> None:
    _put(either, "a.py")
    (either / "dead.py").symlink_to("nowhere")
    found = discover(("gone", "dead.py", "a.py", "nul\0.py"), Config())
    assert found.files == ["a.py"]
    assert [path for path, _ in found.errors] == ["dead.py", "gone", "nul\0.py"]
    assert found.named_errors


@not_as_root
def test_an_unreadable_folder_is_an_error(either: Path) -> None:
    _put(either, "a.py", "sub/closed/b.py")
    (either / "sub" / "closed").chmod(0)
    try:
        found = discover((".",), Config())
        named = discover(("sub/closed",), Config())
    finally:
        (either / "sub" / "closed").chmod(0o755)
    assert found.files == ["a.py"]
    assert found.errors == [("sub/closed", "Permission denied")]
    assert not found.named_errors
    assert named.named_errors


def test_names_that_are_not_utf8(either: Path) -> None:
    name = os.fsdecode(b"caf\xe9\n.py")
    _put(either, name)
    assert _files() == [name]
    assert _files(name) == [name]


def test_ignored_files_are_left_out(tree: Path, git: Git) -> None:
    _put(tree, "a.py", "gen/b.py", "c_out.py", "sub/c.py")
    (tree / ".gitignore").write_text("gen/\n*_out.py\n")
    assert _files() == ["a.py", "sub/c.py"]
    assert _files("c_out.py") == ["c_out.py"]
    assert _files("gen") == ["gen/b.py"]


def test_build_folders_count_when_tracked(tree: Path, git: Git) -> None:
    _put(tree, "build/a.py", "pkg/dist/b.py")
    git("add", "pkg/dist/b.py")
    assert _files() == ["pkg/dist/b.py"]


def test_a_tracked_file_that_is_gone_is_no_error(tree: Path, git: Git) -> None:
    _put(tree, "a.py", "sub/b.py", "c.py")
    git("add", ".")
    (tree / "a.py").unlink()
    (tree / "sub" / "b.py").unlink()
    (tree / "sub").rmdir()
    (tree / "sub").write_text("a file now")
    assert _files() == ["c.py"]


def test_a_tracked_folder_that_became_a_link_is_not_followed(
    tree: Path, git: Git, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    _put(outside, "deep/a.py")
    _put(tree, "sub/deep/a.py", "b.py")
    git("add", ".")
    (tree / "sub" / "deep" / "a.py").unlink()
    (tree / "sub" / "deep").rmdir()
    (tree / "sub").rmdir()
    (tree / "sub").symlink_to(outside)
    assert _files() == ["b.py"]


def test_repositories_inside_are_searched(tree: Path, git: Git) -> None:
    _put(tree, "a.py", "inner/b.py")
    subprocess.run(["git", "init", "-q", "inner"], cwd=tree, check=True)
    assert _files() == ["a.py", "inner/b.py"]


def test_a_repository_git_refuses_is_walked(tree: Path, git: Git) -> None:
    _put(tree, "a.py")
    (tree / ".git" / "config").write_text("[broken")
    assert _files() == ["a.py"]
    (tree / "sub").mkdir()
    (tree / "sub" / ".git").write_text("gitdir: /nowhere")
    _put(tree, "sub/b.py")
    assert _files("sub") == ["sub/b.py"]


def test_a_hostile_repository_runs_nothing(tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(tree, "a.py")
    script = tree / "evil"
    script.write_text(f"#!/bin/sh\ntouch {tree}/owned\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "filter.x.clean"):
        git("config", key, str(script))
    for hook in ("post-index-change", "fsmonitor-watchman"):
        (tree / ".git" / "hooks" / hook).parent.mkdir(exist_ok=True)
        (tree / ".git" / "hooks" / hook).symlink_to(script)
    fake = tree / "git"
    fake.write_text(script.read_text())
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GIT_DIR", str(tree / "elsewhere"))
    assert _files() == ["a.py"]
    assert not (tree / "owned").exists()


def test_without_git_folders_are_walked(tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(tree, "a.py", "build/b.py")
    monkeypatch.setenv("PATH", "")
    assert _files() == ["a.py"]


def test_a_very_deep_tree(tree: Path) -> None:
    at = tree
    for _ in range(300):
        at = at / "d"
    os.makedirs(at)
    (at / "a.py").write_text("")
    assert _files() == ["d/" * 300 + "a.py"]
