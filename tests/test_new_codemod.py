"""What ``leakfix new`` writes is a working plugin: found by its entry point, and its cases pass."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leakfix.cli import main as leakfix
from leakfix.config import Config
from leakfix.registry import Registry
from leakfix.testing import VARIANTS, cases, problems, run

TABLE = """\
[[resource]]
id = "toydb/slot"
noun = "pool slot"
acquire = ["toydb.Pool().take"]
release = []
release_with = ["give_back"]
values = ["fetchall"]
variable = "slot"
"""


@pytest.fixture
def plugin(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path with the metadata of an installed distribution, and nothing installed."""
    metadata = tree / "toy_rules-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-rules\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[leakfix.codemods]\ntoy = toy_rules\n")
    (tree / "toy_rules").mkdir()
    (tree / "toy_rules" / "__init__.py").write_text('"""In-house rules."""\n')
    monkeypatch.syspath_prepend(str(tree))
    yield tree
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy_rules"]:
        del sys.modules[name]


def scaffold(name: str) -> int:
    return leakfix(["new", name, "--package", "toy_rules", "--fixtures", "fixtures"])


def test_a_scaffold_is_found(plugin: Path) -> None:
    assert scaffold("toydb/unclosed-connection") == 0
    registry = Registry.load(Config())
    assert registry.broken == ()
    codemod = registry.codemods["toydb/unclosed-connection"]
    assert codemod.resource == "toydb/connection"
    assert codemod.examples == str(plugin / "fixtures" / "toydb" / "unclosed_connection")


def test_a_scaffold_passes_its_cases(plugin: Path) -> None:
    scaffold("toydb/unclosed-connection")
    registry = Registry.load(Config())
    found = list(cases(plugin / "fixtures"))
    assert sorted(case.kind for case in found) == ["ok", "repaired"]
    for case in found:
        assert problems(case, run(case, registry, plugin / "work")) == []
        for change in VARIANTS.values():
            changed = case.variant(change)
            assert problems(changed, run(changed, registry, plugin / "work")) == []


def test_a_second_codemod_of_a_library_keeps_its_table(plugin: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scaffold("toydb/unclosed-connection")
    table = plugin / "toy_rules" / "toydb" / "resources.toml"
    table.write_text(table.read_text() + "\n" + TABLE)
    assert scaffold("toydb/unreturned-slot") == 0
    assert "kept     " in capfd.readouterr().out
    assert "toydb/slot" in table.read_text()
    module = plugin / "toy_rules" / "toydb" / "unreturned_slot.py"
    module.write_text(module.read_text().replace('"toydb/connection"', '"toydb/slot"'))
    registry = Registry.load(Config())
    assert registry.broken == ()
    assert registry.rule_for("toydb/slot") == "toydb/unreturned-slot"


def test_a_scaffold_overwrites_nothing(plugin: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scaffold("toydb/unclosed-connection")
    before = {path: path.read_bytes() for path in plugin.rglob("*") if path.is_file()}
    assert scaffold("toydb/unclosed-connection") == 2
    assert "exists already" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in plugin.rglob("*") if path.is_file()} == before


def test_a_case_that_is_not_as_it_says_is_told(plugin: Path) -> None:
    scaffold("toydb/unclosed-connection")
    folder = plugin / "fixtures" / "toydb" / "unclosed_connection"
    (folder / "example.after.py").write_text("import toydb\n")
    (folder / "returned.ok.py").write_text("import toydb\n\n\ndef f():\n    toydb.connect()\n")
    registry = Registry.load(Config())
    told = [
        problem for case in cases(plugin / "fixtures") for problem in problems(case, run(case, registry, plugin / "w"))
    ]
    assert any("became" in problem for problem in told)
    assert any("unexpected toydb/unclosed-connection" in problem for problem in told)


def test_a_row_alone_is_a_rule(plugin: Path) -> None:
    folder = plugin / "toy_rules" / "toydb"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""How toydb leaks."""\n')
    (folder / "resources.toml").write_text(TABLE)
    registry = Registry.load(Config())
    assert registry.broken == ()
    assert registry.rule_for("toydb/slot") == "toydb/slot"


def test_the_scaffold_keeps_a_cursor_inside(plugin: Path) -> None:
    scaffold("toydb/unclosed-connection")
    registry = Registry.load(Config())
    assert "execute" not in registry.table.by_id["toydb/connection"].values
