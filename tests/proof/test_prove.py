"""``leakfix prove``: before and after, in copies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

SERVICE = """\
import sqlite3


def answer():
    connection = sqlite3.connect(":memory:")
    return connection.execute("select 42").fetchone()[0]
"""
LOAD = """\
import json
import service

total = sum(service.answer() for _ in range(20))
print(total)
print(json.dumps({"requests": 20}))
"""
TESTS = """\
import os
import service


def test_answer():
    assert service.answer() == 42


def test_fails():
    assert os.environ["LEAKFIX_PROVE"] != "%s"
"""


@pytest.fixture
def project(tree: Path) -> Path:
    (tree / "service.py").write_text(SERVICE)
    (tree / "load.py").write_text(LOAD)
    (tree / "pyproject.toml").write_text("")
    return tree


def proved(leakfix: Any, *arguments: str) -> tuple[int, dict[str, Any]]:
    run = leakfix("prove", "--output-format", "json", *arguments)
    assert run.stdout, run.stderr.decode()
    return run.returncode, json.loads(run.stdout)


def test_a_leak_is_there_before_and_gone_after(project: Path, leakfix: Any) -> None:
    code, told = proved(leakfix, "--", sys.executable, "load.py")
    assert code == 0
    assert (told["before"]["open"], told["after"]["open"]) == (20, 0)
    assert [(each["path"], each["line"]) for each in told["repaired"]] == [("service.py", 5)]
    assert told["before"]["figures"] == told["after"]["figures"] == {"requests": 20.0}
    assert not told["differing"]
    assert not told["foreign"]


def test_the_project_itself_is_left_alone(project: Path, leakfix: Any) -> None:
    (project / "writes.py").write_text("import service\nservice.answer()\nopen('made', 'w').close()\n")
    before = {path.name: path.read_bytes() for path in project.iterdir()}
    proved(leakfix, "--", sys.executable, "writes.py")
    assert {path.name: path.read_bytes() for path in project.iterdir()} == before


def test_other_results_are_told_and_exit_with_one(project: Path, leakfix: Any) -> None:
    (project / "load.py").write_text("import os, service\nprint(service.answer(), os.environ['LEAKFIX_PROVE'])\n")
    code, told = proved(leakfix, "--", sys.executable, "load.py")
    assert (code, told["differing"]) == (1, ["standard output"])


@pytest.fixture
def pytest_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else is installed takes long to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.usefixtures("pytest_alone")
def test_each_test_is_compared(project: Path, leakfix: Any) -> None:
    (project / "test_service.py").write_text(TESTS % "after")
    code, told = proved(leakfix, "--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert code == 1
    assert told["differing"] == ["exit code", "test_service::test_fails"]


@pytest.mark.usefixtures("pytest_alone")
def test_equal_tests_are_equal_whatever_pytest_prints(project: Path, leakfix: Any) -> None:
    (project / "test_service.py").write_text(TESTS % "never")
    code, told = proved(leakfix, "--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert (code, told["differing"], told["after"]["open"]) == (0, [], 0)


def test_a_command_that_is_not_there_is_told(project: Path, leakfix: Any) -> None:
    run = leakfix("prove", "--", "no-such-program")
    assert run.returncode == 127
    assert "no-such-program cannot be run" in run.stderr.decode()


def test_a_run_that_takes_too_long_is_ended(project: Path, leakfix: Any) -> None:
    (project / "load.py").write_text("import service, time\nservice.answer()\ntime.sleep(60)\n")
    _, told = proved(leakfix, "--timeout", "1", "--", sys.executable, "load.py")
    assert told["before"]["exit_code"] == 128 + 9


def test_the_tables_hold_the_same(project: Path, leakfix: Any) -> None:
    text = leakfix("prove", "--", sys.executable, "load.py").stdout.decode()
    marked = leakfix("prove", "--output-format", "markdown", "--", sys.executable, "load.py").stdout.decode()
    assert [line.split()[-2:] for line in text.splitlines() if line.startswith("left open")] == [["20", "0"]]
    assert "| left open | 20 | 0 |" in marked
    assert "1 repaired, 0 left" in text
    assert "- 1 repaired, 0 left" in marked


def test_ignored_files_are_not_repaired(project: Path, leakfix: Any, git: Any) -> None:
    (project / ".gitignore").write_text("old.py\n")
    (project / "old.py").write_text(SERVICE)
    _, told = proved(leakfix, "--", sys.executable, "load.py")
    assert [each["path"] for each in told["repaired"]] == ["service.py"]


def test_an_installed_package_that_points_here_is_told(project: Path, leakfix: Any) -> None:
    (project / "load.py").write_text(
        f"import sys\nsys.path.insert(0, {str(project)!r})\nimport service\nservice.answer()\n"
    )
    _, told = proved(leakfix, "--", sys.executable, "load.py")
    assert told["foreign"] == [str(project / "service.py")]
