"""The rules of the house, as far as a test can see them."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from leakfix import engine
from leakfix.config import Config
from leakfix.project.discover import SUFFIXES
from leakfix.registry import Registry
from leakfix.resources import OwnerRow, PlaceRow, PoolRow, Resource, ServerRow, SteadyRow, TypeRow, table_from

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "src" / "leakfix").rglob("*.py"))
CODEMODS = sorted((ROOT / "codemods" / "leakfix_codemods").glob("*/*.py"))
OURS = [*CORE, *sorted((ROOT / "codemods").rglob("*.py")), *sorted((ROOT / "tests").rglob("*.py"))]
HEADINGS = ("What leaks", "Why it hurts", "How it is repaired", "When it is left alone")
LONGEST = 800
GO_ROOTS = {"context", "github", "gorm"}
"""What Go's import paths begin with: a standard package, a forge, a domain."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def codemod_files() -> list[Path]:
    return [path for path in CODEMODS if path.name != "__init__.py" and "CODEMOD" in path.read_text("utf-8")]


def library_names(registry: Registry) -> frozenset[str]:
    """Top-level packages of the tables; of the standard libraries' only those that are drivers."""
    names = registry.table.import_roots - (sys.stdlib_module_names - {"sqlite3"}) - {""}
    rows = {name for row in registry.table.resources for name in row.acquire if "/" in name}
    go = {re.split(r"[.(]", name.rpartition("/")[2])[0] for name in rows}
    return frozenset(name for name in names if "/" not in name and name not in GO_ROOTS) | (
        go - {"sql", "http", "v4", "v5"}
    )


def code_words(path: Path) -> set[str]:
    """Identifiers and words of strings, docstrings left out: they may give examples."""
    tree = ast.parse(path.read_text("utf-8"))
    prose = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                prose.add(id(first.value))
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text) if id(node) not in prose:
                found |= set(re.findall(r"[A-Za-z_][A-Za-z_0-9]*", text))
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                found |= set(name.split("."))
    return found


DRIVERS = ROOT / "src" / "leakfix" / "watch"
"""Knows databases, not code: it uses libraries of the tables itself."""


@pytest.mark.parametrize("path", [path for path in CORE if DRIVERS not in path.parents], ids=name_of)
def test_the_core_names_no_library(path: Path, registry: Registry) -> None:
    assert code_words(path) & library_names(registry) == set()


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_every_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


@pytest.mark.parametrize("path", [*CORE, *CODEMODS], ids=name_of)
def test_no_file_is_too_long(path: Path) -> None:
    assert path.read_text("utf-8").count("\n") <= LONGEST


@pytest.mark.parametrize("path", codemod_files(), ids=name_of)
def test_a_codemod_tells_four_things_in_order(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    lines = text.split("\n")
    underlined = [line for line, under in pairwise(lines) if under and set(under) == {"-"}]
    assert tuple(underlined) == HEADINGS
    for heading in HEADINGS:
        said = text.split(f"{heading}\n{'-' * len(heading)}\n")[1]
        assert said.strip()


@pytest.mark.parametrize("path", codemod_files(), ids=name_of)
def test_a_codemod_has_an_example_and_a_case_to_stay_silent_on(path: Path) -> None:
    cases = ROOT / "fixtures" / path.parent.name / path.stem
    names = [case.name for case in cases.iterdir()]
    assert any({f"example.before{suffix}", f"example.after{suffix}"} <= set(names) for suffix in SUFFIXES)
    assert any(name.endswith(tuple(f".ok{suffix}" for suffix in SUFFIXES)) for name in names)


def test_every_row_has_a_codemod(registry: Registry) -> None:
    described = {codemod.resource for codemod in registry.codemods.values() if codemod.docstring.count("---")}
    assert {row.id for row in registry.table.resources} - described == set()


def test_every_library_folder_says_how_it_leaks() -> None:
    folders = [path for path in CODEMODS if path.name == "__init__.py"]
    assert [name_of(path) for path in folders if not ast.get_docstring(ast.parse(path.read_text("utf-8")))] == []


def test_leakfix_is_silent_on_itself(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    report = engine.check(["src", "codemods"], Config(), registry, jobs=1)
    assert report.files > 50
    assert (report.findings, report.errors) == ((), ())


@pytest.mark.parametrize("command", ["leakfix.cli", "leakfix.cli.check", "leakfix.cli.watch", "leakfix.__main__"])
def test_starting_loads_nothing_heavy(command: str) -> None:
    heavy = "rich", "libcst", "hypothesis", "leakfix.engine", "leakfix.languages", "leakfix.watch", "psycopg"
    script = f"import sys, {command}\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_core_does_not_import_its_codemods() -> None:
    script = "import sys, leakfix.engine, leakfix.testing\nprint('leakfix_codemods' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_no_module_of_leftovers() -> None:
    vague = {"utils.py", "util.py", "helpers.py", "helper.py", "misc.py", "common.py"}
    assert [name_of(path) for path in OURS if path.name in vague] == []


@pytest.mark.parametrize(
    "row", [Resource, TypeRow, OwnerRow, PlaceRow, SteadyRow, PoolRow, ServerRow], ids=lambda row: row.__name__
)
def test_every_key_of_a_row_is_explained_with_its_default(row: type[Any]) -> None:
    text = (ROOT / "docs" / "writing-a-codemod.md").read_text("utf-8")
    for item in fields(row):
        line = next((line for line in text.split("\n") if line.startswith(f"| `{item.name.rstrip('_')}` |")), "")
        default = "" if item.default is MISSING else json.dumps(item.default)
        assert line.split("|")[2].strip().strip("`") == default, item.name


def test_the_rows_shown_to_authors_are_valid() -> None:
    text = (ROOT / "docs" / "writing-a-codemod.md").read_text("utf-8")
    shown = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    tables = [document.get("tool", {}).get("leakfix", document) for document in shown]
    assert sum(len(table_from([table]).resources) for table in tables) == 2
