"""Repaired Go files are built before they are written, where that is asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from leakfix.project import gotoolchain

Program = Callable[..., CompletedProcess[bytes]]
needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go toolchain")

LEAKY = b"""\
package shop

import "database/sql"

func first(db *sql.DB) (id int, err error) {
	rows, err := db.Query("SELECT id FROM orders")
	if err != nil {
		return 0, err
	}
	rows.Next()
	err = rows.Scan(&id)
	return id, err
}
"""
VETTED = b"""\
package shop

import "fmt"

func told() {
	fmt.Printf("%d\\n", "one")
}
"""


@pytest.fixture
def module(tree: Path) -> Path:
    """A module with a leak in one package."""
    (tree / "go.mod").write_text("module example.com/shop\n\ngo 1.20\n")
    (tree / "a.go").write_bytes(LEAKY)
    return tree


@needs_go
def test_what_builds_is_repaired(module: Path, leakfix: Program) -> None:
    (module / "told.go").write_bytes(VETTED)  # vet complains of it before and after
    done = leakfix("apply", "--yes", "--verify-build", timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"defer rows.Close()" in (module / "a.go").read_bytes()


@needs_go
def test_a_package_that_does_not_build_is_left_alone(module: Path, leakfix: Program) -> None:
    (module / "other.go").write_bytes(b'package shop\n\nvar one int = "one"\n')
    (module / "well").mkdir()
    (module / "well" / "a.go").write_bytes(LEAKY)
    done = leakfix("apply", "--yes", "--verify-build", timeout=300)
    assert done.returncode == 2
    assert b"a.go: not repaired: it does not build as it is" in done.stderr
    assert (module / "a.go").read_bytes() == LEAKY
    assert b"defer rows.Close()" in (module / "well" / "a.go").read_bytes()
    shown = leakfix("apply", "--diff", "--verify-build", timeout=300)
    assert shown.stdout == b""


@needs_go
def test_what_a_repair_breaks_is_seen(module: Path) -> None:
    broken = LEAKY.replace(b"rows.Next()", b"rows.Nxt()")
    vetted = (
        LEAKY.replace(b'import "database/sql"', b'import (\n\t"database/sql"\n\t"fmt"\n)')
        + VETTED.partition(b'"fmt"\n\n')[2]
    )
    told = gotoolchain.failures({"a.go": broken})[""]
    assert told.startswith(("it would not build: ./a.go:10", "it would not build: a.go:10")), told
    assert "go vet would say" in gotoolchain.failures({"a.go": vetted})[""]
    assert gotoolchain.failures({"a.go": LEAKY}) == {}
    assert (module / "a.go").read_bytes() == LEAKY


def test_without_a_toolchain_it_is_told(module: Path, leakfix: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(module))
    done = leakfix("apply", "--yes", "--verify-build")
    assert done.returncode == 2
    assert b"needs the go command" in done.stderr
    assert (module / "a.go").read_bytes() == LEAKY


def test_it_is_for_what_is_written_at_once(module: Path, leakfix: Program) -> None:
    done = leakfix("apply", "--verify-build")
    assert done.returncode == 2
    assert b"goes with --yes or --diff" in done.stderr
