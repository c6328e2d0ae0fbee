"""What tests of several parts share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leakfix.config import Config
from leakfix.registry import Registry

Program = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, outside any git repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def git(tree: Path) -> Callable[..., None]:
    """Run git in the tree, which is made a repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")

    def run(*arguments: str) -> None:
        subprocess.run(["git", *identity, *arguments], cwd=tree, env=environment, check=True, capture_output=True)

    run("init", "-q")
    return run


@pytest.fixture
def leakfix(tree: Path) -> Program:
    """Run the program in the tree as a process of its own."""

    def run(*arguments: str | bytes, **options: object) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "leakfix", *arguments]
        return subprocess.run(command, **{"cwd": tree, "capture_output": True, "timeout": 60, **options})  # type: ignore[call-overload,no-any-return]

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="write what the repairs make as the expected fixtures")


@pytest.fixture(scope="session")
def registry() -> Registry:
    """All codemods, without any configuration."""
    loaded = Registry.load(Config())
    assert not loaded.broken, loaded.broken
    return loaded
