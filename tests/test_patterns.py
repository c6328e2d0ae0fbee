"""Codemods that find places by a function: when they are asked, what becomes of one that fails, and of its repairs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from leakfix import engine
from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, View
from leakfix.config import Config
from leakfix.project.imports import Imports
from leakfix.project.mentions import Mentions, project_root
from leakfix.project.prefilter import Triggers
from leakfix.project.words import Words
from leakfix.registry import Codemod, Registry
from leakfix.resources import table_from
from leakfix.result import Report


def registry_with(pattern: PatternCodemod) -> Registry:
    codemod = Codemod("toy/pattern", pattern.category, pattern.repairs, "", None, None, pattern)
    return Registry({"toy/pattern": codemod}, table_from([]))


def check(folder: Path, pattern: PatternCodemod, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.chdir(folder)
    return engine.check(["."], Config(select=("all",)), registry_with(pattern), jobs=1)


def ones(view: View, text: str) -> Iterator[Match]:
    """Every constant 1, to be replaced by a text."""
    for node in ast.walk(view.tree):
        if isinstance(node, ast.Constant) and node.value == 1:
            layout = view.layout()
            layout.replace(layout.span(node), text)
            fix = Fix("another number", Safety.SAFE, tuple(layout.edits))
            yield Match(node, "a one", lambda fix=fix: fix)


def test_a_repair_is_offered_where_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("def f():\n    return 1 + 1\n")
    pattern = PatternCodemod(lambda view: ones(view, "2"), "number", "", words=("return",))
    report = check(tmp_path, pattern, monkeypatch)
    assert [(finding.line, finding.column, finding.function) for finding in report.findings] == [
        (2, 12, "f"),
        (2, 16, "f"),
    ]
    assert len({finding.fingerprint for finding in report.findings}) == 2
    assert all(finding.fix for finding in report.findings)
    (repaired,) = engine.repair(report, lambda *_: True)
    assert repaired.after.data == b"def f():\n    return 2 + 2\n"
    assert repaired.remaining == ()


@pytest.mark.parametrize(
    ("text", "reason"), [("(", "would not compile"), ("1 ", "reported again"), ("(1, 1)", "reported")]
)
def test_a_repair_that_does_not_hold_is_refused(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    pattern = PatternCodemod(lambda view: ones(view, text), "number", "", words=("x",))
    (finding,) = check(tmp_path, pattern, monkeypatch).findings
    assert finding.fix is None
    assert reason in (finding.refusal or "")


def test_a_codemod_that_fails_is_told_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.py").write_text("x = 1\n")

    def find(view: View) -> Iterator[Match]:
        if view.module.path == "a.py":
            raise KeyError("nothing")
        yield from ones(view, "2")

    report = check(tmp_path, PatternCodemod(find, "number", "", words=("x",)), monkeypatch)
    assert [finding.path for finding in report.findings] == ["b.py"]
    assert [(error.path, error.message) for error in report.errors] == [
        ("a.py", "toy/pattern failed and said nothing of this file: KeyError: 'nothing'")
    ]


def test_a_finding_can_be_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("x = 1  # leakfix: allow[toy/pattern] it is one\n")
    pattern = PatternCodemod(lambda view: ones(view, "2"), "number", "", words=("x",))
    assert check(tmp_path, pattern, monkeypatch).findings == ()


def test_tests_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("x = 1\n")
    pattern = PatternCodemod(lambda view: ones(view, "2"), "number", "", words=("x",))
    assert check(tmp_path, pattern, monkeypatch).findings == ()


def test_advice_is_given_only_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    pattern = PatternCodemod(lambda view: ones(view, "2"), "number", "", words=("x",), category=Category.ADVICE)
    monkeypatch.chdir(tmp_path)
    assert engine.check(["."], Config(), registry_with(pattern), jobs=1).findings == ()
    assert len(check(tmp_path, pattern, monkeypatch).findings) == 1


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (b"import one\n", ["imported", "shaped"]),
        (b"word = 1\n", ["worded"]),
        (b"\xef\xbb\xbfimport one\n", ["imported", "shaped"]),
        (b"import two\n", []),
    ],
)
def test_files_are_sought_by_imports_words_and_shapes(text: bytes, rules: list[str]) -> None:
    triggers = Triggers(
        {"imported": (["one"], [], ""), "worded": ([], ["word"], ""), "shaped": (["one"], [], "^import")}
    )
    assert sorted(triggers.of(text, "a.py", Imports.of(text), Words(triggers.words).of(text))) == sorted(rules)


def test_words_are_sought_in_the_whole_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "inner").mkdir()
    for name, text in {"a.py": "word", "b.py": "wordy other", "inner/c.py": "a word, other"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path / "inner")
    mentions = Mentions(Config(), together=("word", "other"))
    assert project_root("c.py") == str(tmp_path)
    assert mentions.of("word", "c.py") == ["../a.py"]
    assert mentions.of("other", "../a.py") == ["../b.py", "c.py"]
    assert list(mentions.texts("wordy", "c.py")) == [b"wordy other"]
    listed = Mentions(Config(), together=("word", "other"), read=lambda path: pytest.fail(path))
    files = ("../a.py", "../b.py", "c.py")
    listed.listed(
        str(tmp_path),
        {path: listed.words_in(data := Path(path).read_bytes(), Words(listed.words).of(data)) for path in files},
    )
    assert [listed.of(word, "c.py") for word in ("word", "other")] == [["../a.py"], ["../b.py"]]
    counted: list[int] = []
    for _ in range(2):
        mentions.once("fact", "c.py", lambda: counted.append(1))
    assert counted == [1]


@pytest.mark.parametrize(
    ("files", "asked", "root"),
    [
        (["app/__init__.py", "app/web/__init__.py"], "app/web/views.py", "app"),
        (["app/__init__.py", "app/web/views.py"], "app/web/views.py", "app"),
        (["app/web/__init__.py", "app/main.py"], "app/web/views.py", "app/web"),
        (["app/main.py"], "app/web/views.py", "app/web"),
        (["app/__init__.py", "requirements.txt"], "app/web/views.py", "."),
        (["app/__init__.py", "app/web/deep/views.py"], "app/web/deep/views.py", "app/web/deep"),
    ],
)
def test_a_project_without_a_mark_begins_at_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], asked: str, root: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    assert Path(project_root(asked)) == tmp_path / root


def test_a_refusal_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")

    def find(view: View) -> Iterator[Match]:
        yield Match(view.tree.body[0], "x", lambda: Refusal("it is too late"))  # type: ignore[arg-type]

    (finding,) = check(tmp_path, PatternCodemod(find, "name", "", words=("x",)), monkeypatch).findings
    assert (finding.refusal, finding.function) == ("it is too late", "<module>")


def test_the_pattern_shown_to_authors_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parent.parent / "docs" / "writing-a-codemod.md").read_text("utf-8")
    (block,) = [part for part in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "PatternCodemod(" in part]
    written: dict[str, object] = {}
    exec(compile(block, "writing-a-codemod.md", "exec"), written)
    (tmp_path / "a.py").write_text("import acmedb\n\nrows = acmedb.fetch('orders')\n")
    pattern = written["CODEMOD"]
    assert isinstance(pattern, PatternCodemod)
    report = check(tmp_path, pattern, monkeypatch)
    (repaired,) = engine.repair(report, lambda *_: True)
    assert repaired.after.data.endswith(b"rows = acmedb.fetch('orders', limit=1000)\n")
