"""Code actions: applied to the document they give exactly what the commands would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leakfix.cli import main as run_command

from .conftest import GO_LEAK, LEAK, capabilities, run

pytest.importorskip("pygls", reason="the extra lsp is not installed")

from lsprotocol import types

EVERYWHERE = types.Range(types.Position(0, 0), types.Position(999, 0))
TWO = LEAK + LEAK.replace("count", "again").removeprefix("import psycopg2\n")


def applied(text: str, edits: list[types.TextEdit], encoding: str = "utf-16") -> str:
    """The text after a client made the edits, as the protocol says: by lines and code units."""
    units = "utf-16-le" if encoding == "utf-16" else encoding
    width = 2 if encoding == "utf-16" else 1
    lines = text.replace("\r\n", "\0\n").split("\n")
    starts, at = [], 0
    for line in lines:
        starts.append(at)
        at += len(line.replace("\0", "\r").encode(units)) + len("\n".encode(units))
    data = text.encode(units)

    def offset(position: types.Position) -> int:
        return min(starts[position.line] + position.character * width, len(data)) if position.line < len(starts) else at

    pieces, done = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.range.start.line, edit.range.start.character)):
        start, end = offset(edit.range.start), offset(edit.range.end)
        assert start >= done, "edits overlap"
        pieces += [data[done:start], edit.new_text.encode(units)]
        done = end
    return b"".join([*pieces, data[done:]]).decode(units)


def edits_of(action: types.CodeAction, uri: str, version: int = 1) -> list[types.TextEdit]:
    assert action.edit is not None
    assert action.edit.document_changes is not None
    (change,) = [c for c in action.edit.document_changes if c.text_document.uri == uri]
    assert change.text_document.version == version
    return list(change.edits)


FORMS = {
    "plain": LEAK,
    "emoji": LEAK.replace("    connection = ", '    x = "🦊é"; y = 1\n    connection = '),
    "crlf": TWO.replace("\n", "\r\n"),
    "bom": "\ufeff" + TWO,
    "tabs": TWO.replace("    ", "\t"),
    "no final newline": LEAK.rstrip("\n"),
}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
def test_all_fixes_are_what_apply_writes(tree: Path, editing: Any, encoding: str) -> None:
    names = {form: f"{form.replace(' ', '_')}.py" for form in FORMS}
    results: dict[str, str] = {}
    for form, name in names.items():
        (tree / name).write_bytes(FORMS[form].encode())

    async def work() -> None:
        async with editing(capabilities(pull=True, encodings=[encoding])) as editor:
            for form, text in FORMS.items():
                uri = editor.open(names[form], text)
                (action,) = await editor.actions(uri, EVERYWHERE, ["source.fixAll"])
                assert action.kind == "source.fixAll.leakfix", form
                results[form] = applied(text, edits_of(action, uri), encoding)
                fixes = [each for each in await editor.actions(uri, EVERYWHERE, ["quickfix"]) if each.is_preferred]
                if form in ("plain", "emoji", "no final newline"):
                    assert [applied(text, edits_of(each, uri), encoding) for each in fixes] == [results[form]], form
                else:
                    assert len(fixes) == 2, form

    run(work)
    assert run_command(["apply", "--yes", "."]) == 0
    assert {form: (tree / name).read_bytes().decode() for form, name in names.items()} == results


def test_actions_are_about_the_findings_in_the_range(tree: Path, editing: Any) -> None:
    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            uri = editor.open("a.py", TWO)
            first, second = await editor.found(uri)
            actions = await editor.actions(uri, first.range, shown=[first, second])
            assert [action.kind for action in actions] == ["quickfix", "quickfix"]
            assert all([each.range for each in action.diagnostics] == [first.range] for action in actions)
            assert await editor.actions(uri, types.Range(types.Position(0, 0), types.Position(0, 1))) == []
            assert await editor.actions(uri, first.range, ["refactor"]) == []

    run(work)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.py", LEAK, "    connection = psycopg2.connect(dsn)  # leakfix: allow[psycopg2/unclosed-connection]"),
        (
            "b.py",
            LEAK.replace("connect(dsn)", "connect(\n        dsn,\n    )"),
            "    connection = psycopg2.connect(  # leakfix: allow[psycopg2/unclosed-connection]",
        ),
        (
            "c.py",
            LEAK.replace("psycopg2.connect(dsn)", "psycopg2 \\\n        .connect(dsn)"),
            "        .connect(dsn)  # leakfix: allow[psycopg2/unclosed-connection]",
        ),
        (
            "a.go",
            GO_LEAK,
            '\trows, err := db.Query("SELECT name FROM users") // leakfix: allow[database_sql/unclosed-rows]',
        ),
    ],
)
def test_allowing_silences_the_finding(tree: Path, editing: Any, name: str, text: str, line: str) -> None:
    (tree / "go.mod").write_text("module example.org/users\n\ngo 1.22\n")

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            uri = editor.open(name, text)
            (found,) = await editor.found(uri)
            actions = await editor.actions(uri, found.range)
            (allow,) = [action for action in actions if action.title == f"Allow {found.code} here"]
            assert not allow.is_preferred
            after = applied(text, edits_of(allow, uri))
            assert line in after.splitlines()
            editor.change(uri, after)
            assert await editor.found(uri) == []

    run(work)


REVIEWED = Path(__file__).parents[2] / "fixtures" / "django" / "named_cursor" / "example.before.py"


def test_a_fix_to_review_says_what_to_check_and_is_in_no_fix_of_all(tree: Path, editing: Any) -> None:
    from leakfix import engine
    from leakfix.config import Config
    from leakfix.registry import Registry

    text = REVIEWED.read_text()
    (tree / "a.py").write_text(text)
    config = Config(select=("all",))
    findings = engine.check(["a.py"], config, Registry.load(config), jobs=1).findings
    reviewed = [finding for finding in findings if finding.fix and finding.fix.safety == "review"]
    assert reviewed, "the fixture no longer has such a fix"

    async def work() -> None:
        options = {"select": [finding.rule for finding in reviewed]}
        async with editing(capabilities(pull=True), options=options) as editor:
            uri = editor.open("a.py", text)
            (found,) = await editor.found(uri)
            fix, _ = await editor.actions(uri, found.range)
            assert reviewed[0].fix is not None
            assert fix.title == f"{reviewed[0].fix.title}; check: {reviewed[0].fix.check}"
            assert not fix.is_preferred
            assert await editor.actions(uri, EVERYWHERE, ["source.fixAll.leakfix"]) == []

    run(work)


CACHE = Path(__file__).parents[2] / "fixtures" / "stdlib" / "unbounded_cache" / "allowed" / "before"


def test_hovering_explains_the_rule(tree: Path, editing: Any) -> None:
    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            uri = editor.open("a.py", LEAK)

            async def hover(line: int, character: int) -> types.Hover | None:
                which = types.TextDocumentIdentifier(uri)
                asked = types.HoverParams(which, types.Position(line, character))
                told: types.Hover | None = await editor.client.text_document_hover_async(asked)
                return told

            told = await hover(4, 20)
            assert told is not None
            assert isinstance(told.contents, types.MarkupContent)
            assert told.contents.value.startswith("**psycopg2/unclosed-connection**: connection is not released")
            assert "**Why it hurts**\n\nA connection lives" in told.contents.value
            assert await hover(0, 0) is None

    run(work)


def test_clients_without_versioned_edits_get_plain_ones(tree: Path, editing: Any) -> None:
    can = types.ClientCapabilities()

    async def work() -> None:
        async with editing(can) as editor:
            uri = editor.open("a.py", LEAK)
            (found,) = await editor.pushed(uri, bool)
            fix = (await editor.actions(uri, found.range))[0]
            assert fix.edit.document_changes is None
            assert "with closing" in applied(LEAK, fix.edit.changes[uri])

    run(work)


def test_a_manifest_that_a_fix_needs_is_edited_too(tree: Path, editing: Any) -> None:
    text, manifest = (CACHE / "profiles.py").read_text(), (CACHE / "pyproject.toml").read_text()
    (tree / "a.py").write_text(text)
    (tree / "pyproject.toml").write_text(manifest)
    results: dict[str, str] = {}

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            uri = editor.open("a.py", text)
            found = await editor.found(uri)
            fix = (await editor.actions(uri, found[0].range))[0]
            for change in fix.edit.document_changes:
                name = change.text_document.uri.rpartition("/")[2]
                assert change.text_document.version == (1 if name == "a.py" else None)
                results[name] = applied({"a.py": text, "pyproject.toml": manifest}[name], change.edits)
            editor.open("pyproject.toml", manifest + "# not saved\n", "toml")
            fix = (await editor.actions(uri, found[0].range))[0]
            assert fix.edit is None
            assert "pyproject.toml" in fix.disabled.reason

    run(work)
    run_command(["apply", "--yes", "--unsafe-fixes", "a.py"])
    assert results == {name: (tree / name).read_text() for name in ("a.py", "pyproject.toml")}
