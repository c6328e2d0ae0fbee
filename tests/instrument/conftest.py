"""A project in a folder of its own, and what ``leakfix instrument`` makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from leakfix.cli import main as run
from leakfix.config import Config
from leakfix.instrument.known import Project
from leakfix.registry import Registry

from .projects import ENGINE, TESTS, Instrument, Write


@pytest.fixture
def write(tree: Path) -> Write:
    """Write files of the project."""

    def writing(files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return writing


@pytest.fixture
def shop(write: Write) -> Write:
    """A project with one engine that its tests import."""
    write({"app/__init__.py": "", "app/db.py": ENGINE, "tests/test_orders.py": TESTS})
    return write


@pytest.fixture
def instrument(tree: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Instrument:
    """Call the command; its exit code and what it said on both streams."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["instrument", *arguments])
        said = capfdbinary.readouterr()
        return code, said.out.decode(), said.err.decode()

    return call


@pytest.fixture
def project(tree: Path, registry: Registry) -> Callable[[], Project]:
    """What is known of the project as it is now."""
    return lambda: Project(Config(), registry.table)


@pytest.fixture
def run_tests(tree: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the project's own tests in a process of their own, with leakfix's plugin or as if that were not installed."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # what else is installed takes long to load

    def running(with_plugin: bool = True) -> subprocess.CompletedProcess[str]:
        plugin = ["-p", "leakfix.pytest_plugin"] if with_plugin else []
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin, "-q", "-rA"]
        return subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return running
