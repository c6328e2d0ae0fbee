"""The command itself: what it tells, when it asks, and that nothing is written before."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakfix.cli import instrument as module
from leakfix.project.files import create_atomically

from .projects import Instrument, Write, contents


def test_without_an_argument_it_tells_and_writes_nothing(shop: Write, instrument: Instrument, tree: Path) -> None:
    before = contents(tree)
    code, told, said = instrument()
    assert (code, said) == (0, "")
    assert [line.partition(":")[0] for line in told.splitlines() if line[0] != " "] == ["conftest", "ci", "alerts"]
    assert "would write new tests/conftest.py" in told
    assert "ci: nothing to write: neither .github nor" in told
    assert contents(tree) == before


def test_without_yes_nobody_is_there_to_ask(shop: Write, instrument: Instrument, tree: Path) -> None:
    before = contents(tree)
    code, told, said = instrument("conftest")
    assert code == 1
    assert told.startswith("--- /dev/null\n+++ b/tests/conftest.py\n")
    assert "`leakfix instrument conftest --yes` writes it" in said
    assert contents(tree) == before


@pytest.mark.parametrize(("answer", "written"), [(True, True), (False, False)])
def test_it_asks_on_a_terminal(
    shop: Write, instrument: Instrument, tree: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, written: bool
) -> None:
    monkeypatch.setattr(module, "can_ask", lambda: True)
    monkeypatch.setattr(module.click, "confirm", lambda text, default: answer)
    assert instrument("conftest")[0] == int(not written)
    assert (tree / "tests/conftest.py").exists() == written


@pytest.mark.parametrize("arguments", [("--yes",), ("ci", "--yes", "--diff"), ("everything",)])
def test_what_cannot_be_meant(instrument: Instrument, arguments: tuple[str, ...]) -> None:
    assert instrument(*arguments)[0] == 2


def test_a_new_file_never_replaces_another(tree: Path) -> None:
    (tree / "there").write_bytes(b"old")
    (tree / "dangling").symlink_to("nowhere")
    for name in ("there", "dangling"):
        with pytest.raises(FileExistsError):
            create_atomically(name, b"new")
    assert (tree / "there").read_bytes() == b"old"
    create_atomically("a/b/new", b"new")
    assert contents(tree) == {"there": b"old", "a/b/new": b"new"}
