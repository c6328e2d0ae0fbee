"""Plugins: what is found, what broken ones lead to, and the user's own rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leakfix import registry
from leakfix.config import Config, ConfigError, load
from leakfix.registry import Registry

ROW = '[[resource]]\nid = "{id}"\nnoun = "thing"\nacquire = ["lib.open"]\n'
CODEMOD = '"""Leaks.\n\nMore."""\nfrom leakfix.codemod import LeakCodemod\nC = LeakCodemod("{id}", "closes it")\n'


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed plugin with one good library; the only one there is."""
    root = tmp_path / "site" / "toy_plugin"
    (root / "lib").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "lib" / "__init__.py").write_text("")
    (root / "lib" / "resources.toml").write_text(ROW.format(id="lib/thing"))
    (root / "lib" / "unclosed_thing.py").write_text(CODEMOD.format(id="lib/thing"))
    monkeypatch.syspath_prepend(str(root.parent))
    monkeypatch.setattr(registry, "_plugin_packages", lambda: ["toy_plugin"])
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy_plugin"]:
        del sys.modules[name]


def test_our_own_plugin_loads_whole() -> None:
    found = Registry.load(Config())
    assert found.broken == ()
    assert found.rule_for("psycopg2/pooled-connection") == "psycopg2/unreturned-pool-connection"
    assert all(codemod.docstring and codemod.repairs for codemod in found.codemods.values())


def test_a_codemod_is_named_by_its_path(plugin: Path) -> None:
    found = Registry.load(Config())
    assert found.broken == ()
    codemod = found.codemods["lib/unclosed-thing"]
    assert (codemod.category, codemod.repairs, codemod.resource) == ("leak", "closes it", "lib/thing")
    assert codemod.docstring == "Leaks.\n\nMore."
    assert found.rule_for("lib/thing") == "lib/unclosed-thing"
    assert found.table.by_id["lib/thing"].noun == "thing"


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("lib/other.py", "raise RuntimeError('no')", "cannot be imported: RuntimeError: no"),
        ("lib/other.py", "raise SystemExit(3)", "cannot be imported: SystemExit"),
        ("lib/other.py", "def (", "SyntaxError"),
        ("lib/other.py", "x = 1", "must hold one codemod, it holds 0"),
        ("lib/other.py", CODEMOD.format(id="lib/nothing"), "there is no resource 'lib/nothing'"),
        ("lib/zz_other.py", CODEMOD.format(id="lib/thing"), "belongs to another codemod"),
        ("broken/__init__.py", "import no_such_module", "ModuleNotFoundError"),
        ("other/resources.toml", "x = [", "resources.toml"),
        ("other/resources.toml", ROW.format(id="other/x") + "colour = 1\n", "unknown key 'colour'"),
        (
            "other/resources.toml",
            ROW.format(id="other/x") + "release = 'close'\n",
            "must be a list of strings",
        ),
        ("other/resources.toml", ROW.format(id="lib/thing"), "is defined by another plugin"),
        ("other/resources.toml", "resource = 3", "resources.toml"),
    ],
)
def test_what_is_broken_is_told_and_the_rest_works(plugin: Path, file: str, content: str, told: str) -> None:
    (plugin / file).parent.mkdir(exist_ok=True)
    (plugin / file).parent.joinpath("__init__.py").touch()
    (plugin / file).write_text(content)
    found = Registry.load(Config())
    (message,) = found.broken
    assert told in message
    assert "lib/unclosed-thing" in found.codemods


def test_a_plugin_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_plugin_packages", lambda: ["no_such_plugin"])
    found = Registry.load(Config())
    assert found.codemods == {}
    assert "no_such_plugin cannot be imported" in found.broken[0]


def test_the_rows_of_the_user_are_rules(plugin: Path, tree: Path) -> None:
    (tree / "leakfix.toml").write_text(ROW.format(id="inhouse/pool") + ROW.format(id="slot"))
    found = Registry.load(load())
    assert found.rule_for("inhouse/pool") == "inhouse/pool"
    assert found.rule_for("slot") == "user/slot"
    assert found.codemods["user/slot"].category == "leak"
    assert "inhouse/pool" in found.table.by_id


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (ROW.format(id="a/b") + "colour = 1", "unknown key 'colour'"),
        ("[[resource]]\nid = 'a/b'", "incomplete resource row 'a/b'"),
        (ROW.format(id="a/b") + "release = 'close'", "release of 'a/b' must be a list of strings"),
        (ROW.format(id="a/b") + "release = [1]", "release of 'a/b' must be a list of strings"),
        (ROW.format(id="a/b") + "with = 'shuts'", "with of 'a/b' must be one of 'closes', 'commits'"),
        (ROW.format(id="a/b") + "asynchronous = 'yes'", "asynchronous of 'a/b' must be true or false"),
        (ROW.format(id="lib/thing"), "'lib/thing' is defined twice"),
        ("[[type]]\nname = 3", "must be a string"),
    ],
)
def test_bad_rows_of_the_user_are_refused(plugin: Path, tree: Path, rows: str, told: str) -> None:
    (tree / "leakfix.toml").write_text(rows)
    with pytest.raises(ConfigError) as error:
        Registry.load(load())
    assert told in str(error.value)
    assert "leakfix.toml" in str(error.value)


def test_rule_names_are_checked(plugin: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'lib/unclosed-thing'"):
        Registry.load(Config(ignore=("lib/unclosed-things",)))


def test_rule_names_of_a_broken_plugin_only_warn(plugin: Path) -> None:
    (plugin / "lib" / "other.py").write_text("raise RuntimeError")
    found = Registry.load(Config(ignore=("lib/other",)))
    assert any("no rule 'lib/other'" in text for text in found.broken)
