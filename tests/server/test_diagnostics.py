"""Diagnostics: pushed to clients that wait for them, pulled by those that ask."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import GO_LEAK, LEAK, capabilities, run

pytest.importorskip("pygls", reason="the extra lsp is not installed")

from lsprotocol import types

CLEAN = "def nothing():\n    return 1\n"
USES = """\
from made import connected


def rows(dsn):
    connection = connected(dsn)
    connection.cursor().execute("SELECT 1")
"""
MAKES = "import psycopg2\n\n\ndef connected(dsn):\n    return psycopg2.connect(dsn)\n"


def test_a_leak_is_pushed_with_all_that_is_known(tree: Path, editing: Any) -> None:
    (tree / "a.py").write_text(LEAK)

    async def work() -> None:
        async with editing() as editor:
            (found,) = await editor.pushed(editor.open("a.py"))
            assert (found.code, found.source) == ("psycopg2/unclosed-connection", "leakfix")
            assert found.severity is types.DiagnosticSeverity.Warning
            assert found.range == types.Range(types.Position(4, 17), types.Position(4, 38))
            path = [(step.location.range.start, step.message) for step in found.related_information]
            assert path[0] == (types.Position(4, 4), "connection acquired here")
            assert path[-1][0] == types.Position(6, 4)
            assert found.code_description.href.endswith("psycopg2/unclosed_connection.py")

    run(work)


def test_go_is_looked_at_too(tree: Path, editing: Any) -> None:
    (tree / "go.mod").write_text("module example.org/users\n\ngo 1.22\n")
    (tree / "a.go").write_text(GO_LEAK)

    async def work() -> None:
        async with editing() as editor:
            found = await editor.pushed(editor.open("a.go"))
            assert "database_sql/unclosed-rows" in {each.code for each in found}

    run(work)


def test_the_newest_text_wins(tree: Path, editing: Any) -> None:
    (tree / "a.py").write_text(CLEAN)
    sent: list[tuple[int | None, int]] = []

    async def work() -> None:
        async with editing() as editor:
            uri = editor.open("a.py")
            await editor.pushed(uri, lambda found: not found)

            def published(params: types.PublishDiagnosticsParams) -> None:
                sent.append((params.version, len(params.diagnostics)))

            editor.client.protocol.fm.features[types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS] = published
            for number in range(40):
                editor.change(uri, f"{CLEAN}# {number}\n")
            editor.change(uri, LEAK)
            while not sent or sent[-1][1] == 0:
                await asyncio.sleep(0.02)
            assert sent == [(42, 1)]

    run(work)


def test_closing_clears(tree: Path, editing: Any) -> None:
    (tree / "a.py").write_text(CLEAN)

    async def work() -> None:
        async with editing() as editor:
            uri = editor.open("a.py", LEAK)
            assert await editor.pushed(uri, bool)
            editor.close(uri)
            await editor.pushed(uri, lambda found: not found)
            assert await editor.pushed(editor.open("a.py"), lambda found: not found) == []

    run(work)


def test_diagnostics_are_pulled_where_the_client_can(tree: Path, editing: Any) -> None:
    (tree / "a.py").write_text(LEAK)

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            uri = editor.open("a.py")
            first = await editor.pull(uri)
            assert [each.code for each in first.items] == ["psycopg2/unclosed-connection"]
            again = await editor.pull(uri, first.result_id)
            assert (again.kind, again.result_id) == ("unchanged", first.result_id)
            editor.change(uri, CLEAN)
            assert await editor.found(uri) == []
            assert editor.client.diagnostics == {}

    run(work)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_columns_are_in_the_units_that_were_agreed(tree: Path, editing: Any, encoding: str) -> None:
    text = LEAK.replace("    connection = ", '\tx = "🦊"; connection = ').replace("\n    ", "\n\t")
    (tree / "a.py").write_text(text)
    expected = text.splitlines()[4].index("psycopg2")
    units = {"utf-8": expected + 3, "utf-16": expected + 1, "utf-32": expected}

    async def work() -> None:
        async with editing(capabilities(pull=True, encodings=[encoding])) as editor:
            assert editor.client.result.capabilities.position_encoding == encoding
            (found,) = await editor.found(editor.open("a.py"))
            assert found.range.start == types.Position(4, units[encoding])

    run(work)


def test_who_says_nothing_counts_in_utf_16(tree: Path, editing: Any) -> None:
    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            text = LEAK.replace("    connection = ", '    x = "🦊🦊 e\u0301"; connection = ', 1)
            (found,) = await editor.found(editor.open("a.py", text))
            assert found.range.start.character == text.splitlines()[4].index("psycopg2") + 2

    run(work)


def test_forms_of_text(tree: Path, editing: Any) -> None:
    forms = {
        "crlf": LEAK.replace("\n", "\r\n"),
        "cr": LEAK.replace("\n", "\r"),
        "bom": "\ufeff" + LEAK,
        "form feed": LEAK.replace("\n\n\ndef", "\n\x0c\n\ndef"),
        "line separator": LEAK.replace("import psycopg2\n", 'import psycopg2; x = "\u2028\x85"\n'),
        "latin-1": "# -*- coding: latin-1 -*-\n" + LEAK.replace("SELECT 1", "SELECT 'é'"),
    }

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            for number, (form, text) in enumerate(forms.items()):
                (found,) = await editor.found(editor.open(f"a{number}.py", text))
                assert found.range.start == types.Position(5 if form == "latin-1" else 4, 17), form

    run(work)


def test_what_cannot_be_parsed_is_said_and_nothing_else(tree: Path, editing: Any) -> None:
    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            uri = editor.open("a.py", LEAK + "\ndef broken(:\n")
            (found,) = await editor.found(uri)
            assert found.severity is types.DiagnosticSeverity.Information
            assert (found.range.start.line, found.code) == (10, None)
            assert "not valid in Python" in found.message
            editor.change(uri, "# -*- coding: ascii -*-\nx = 'é'\n")
            (found,) = await editor.found(uri)
            assert "ascii" in found.message
            editor.change(uri, LEAK)
            assert [each.code for each in await editor.found(uri)] == ["psycopg2/unclosed-connection"]

    run(work)


def test_other_files_count_as_they_are_in_the_editor_and_on_disk(tree: Path, editing: Any) -> None:
    (tree / "made.py").write_text(CLEAN)
    (tree / "uses.py").write_text(USES)

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            uses, made = editor.open("uses.py"), editor.open("made.py")
            assert await editor.found(uses) == []
            editor.change(made, MAKES)
            editor.change(uses, USES + "\n")
            assert [each.code for each in await editor.found(uses)] == ["psycopg2/unclosed-connection"]
            editor.close(made)
            editor.change(uses, USES)
            assert await editor.found(uses) == []
            (tree / "made.py").write_text(MAKES)
            editor.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([]))
            assert [each.code for each in await editor.found(uses)] == ["psycopg2/unclosed-connection"]
            (tree / "made.py").unlink()
            editor.save(uses)
            assert await editor.found(uses) == []

    run(work)


def test_the_configuration_is_read_again_when_it_changes(tree: Path, editing: Any) -> None:
    (tree / "a.py").write_text(LEAK)

    async def work() -> None:
        async with editing() as editor:
            uri = editor.open("a.py")
            assert await editor.pushed(uri, bool)
            (tree / "leakfix.toml").write_text('ignore = ["psycopg2/*"]')
            editor.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([]))
            await editor.pushed(uri, lambda found: not found)
            (tree / "leakfix.toml").write_text('exclude = ["b.py"]')
            editor.save(uri)
            assert await editor.pushed(uri, bool)
            (tree / "leakfix.toml").write_text("selct = 1")
            editor.save(uri)
            while not editor.client.messages:
                await asyncio.sleep(0.02)
            assert "did you mean 'select'?" in editor.client.messages[0].message
            (tree / "leakfix.toml").write_text('exclude = ["a.py"]')
            editor.save(uri)
            await editor.pushed(uri, lambda found: not found)

    run(work)


def test_settings_of_every_folder_count(tree: Path, editing: Any) -> None:
    (tree / "sub").mkdir()
    for name in ("a.py", "sub/a.py"):
        (tree / name).write_text(LEAK)

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            outer, inner = editor.open("a.py"), editor.open("sub/a.py")
            assert len(await editor.found(outer)) == len(await editor.found(inner)) == 1
            (tree / "sub" / "leakfix.toml").write_text('ignore = ["psycopg2/*"]')
            editor.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([]))
            assert (len(await editor.found(outer)), len(await editor.found(inner))) == (1, 0)
            (tree / "sub" / "leakfix.toml").write_text("selct = 1")
            editor.save(inner)
            assert (len(await editor.found(outer)), len(await editor.found(inner))) == (1, 0)
            (message,) = editor.client.messages
            assert "sub/leakfix.toml" in message.message
            assert "the former configuration is used until then" in message.message
            (tree / "sub" / "leakfix.toml").write_text("")
            editor.save(inner)
            assert len(await editor.found(inner)) == 1
            (tree / "new").mkdir()
            (tree / "new" / "leakfix.toml").write_text("selct = 2")
            (tree / "new" / "a.py").write_text(LEAK)
            editor.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([]))
            assert len(await editor.found(outer)) == 1
            assert "new/leakfix.toml" in editor.client.messages[-1].message

    run(work)


INHOUSE = """[[resource]]
id = "inhouse/connection"
noun = "connection"
acquire = ["inhouse.take"]
release = ["put_back"]
"""
TAKES = "import inhouse\n\n\ndef rows():\n    one = inhouse.take()\n    one.work()\n    return 1\n"


def test_a_folder_may_have_resources_of_its_own(tree: Path, editing: Any) -> None:
    (tree / "sub").mkdir()
    for name in ("a.py", "sub/a.py"):
        (tree / name).write_text(TAKES)
    (tree / "b.py").write_text(LEAK)
    (tree / "sub" / "leakfix.toml").write_text(INHOUSE)

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            outer, inner, other = editor.open("a.py"), editor.open("sub/a.py"), editor.open("b.py")
            assert await editor.found(outer) == []
            assert [found.code for found in await editor.found(inner)] == ["inhouse/connection"]
            assert [found.code for found in await editor.found(other)] == ["psycopg2/unclosed-connection"]
            editor.change(inner, TAKES.replace("one.work()", "one.put_back()"))
            assert await editor.found(inner) == []
            editor.change(inner, TAKES)
            assert len(await editor.found(inner)) == 1
            (tree / "sub" / "leakfix.toml").write_text(INHOUSE.replace("put_back", "work"))
            editor.save(inner)
            assert await editor.found(inner) == []
            (tree / "leakfix.toml").write_text(INHOUSE)
            editor.save(inner)
            assert (len(await editor.found(outer)), len(await editor.found(inner))) == (1, 0)

    run(work)


def test_settings_that_were_wrong_from_the_start(tree: Path, editing: Any) -> None:
    (tree / "sub").mkdir()
    (tree / "sub" / "leakfix.toml").write_text("selct = 1")
    for name in ("a.py", "sub/a.py"):
        (tree / name).write_text(LEAK)

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            outer = editor.open("a.py")
            assert await editor.found(outer) == []
            (message,) = editor.client.messages
            assert "did you mean 'select'?; nothing is used until then" in message.message
            (tree / "sub" / "leakfix.toml").unlink()
            editor.save(outer)
            assert len(await editor.found(outer)) == 1

    run(work)


def test_the_client_may_set_rules(tree: Path, editing: Any) -> None:
    (tree / "a.py").write_text(LEAK)

    async def work() -> None:
        async with editing(capabilities(pull=True), options={"ignore": ["psycopg2/unclosed-connection"]}) as editor:
            uri = editor.open("a.py")
            assert [each.code for each in await editor.found(uri)] == []
            for settings, expected in (
                ({"leakfix": {"select": "psycopg2/*, advice"}}, ["psycopg2/unclosed-connection"]),
                ({"leakfix": {"select": ["growth"]}}, []),
                ({"leakfix": {"enable": False}}, []),
                ({"leakfix": {"ignore": 7}}, ["psycopg2/unclosed-connection"]),
            ):
                editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings))
                assert [each.code for each in await editor.found(uri)] == expected
            assert "leakfix.ignore must be a list" in editor.client.messages[0].message

    run(work)


def test_settings_are_asked_for_by_folder(tree: Path, editing: Any) -> None:
    (tree / "a.py").write_text(LEAK)

    async def work() -> None:
        async with editing(capabilities(pull=True, configuration=True)) as editor:
            uri = editor.open("a.py")
            assert len(await editor.found(uri)) == 1
            editor.client.set_configuration({"leakfix": {"ignore": ["psycopg2/*"]}}, scope_uri=tree.as_uri())
            editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
            while await editor.found(uri):
                await asyncio.sleep(0.02)

    run(work)


def test_each_folder_has_its_own_configuration(tmp_path: Path, tree: Path, editing: Any) -> None:
    roots = [tree / "one", tree / "two"]
    for root in roots:
        root.mkdir()
        (root / "a.py").write_text(LEAK)
    (roots[1] / "leakfix.toml").write_text('ignore = ["psycopg2/*"]')
    (tree / "outside.py").write_text(LEAK)

    async def work() -> None:
        async with editing(capabilities(pull=True), roots=roots) as editor:
            one, two = editor.open("one/a.py"), editor.open("two/a.py")
            assert len(await editor.found(one)) == 1
            assert len(await editor.found(two)) == 0
            assert len(await editor.found(editor.open("outside.py"))) == 1
            gone = types.WorkspaceFolder(roots[1].as_uri(), "two")
            event = types.WorkspaceFoldersChangeEvent(added=[], removed=[gone])
            editor.client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))
            (roots[1] / "leakfix.toml").unlink()
            assert len(await editor.found(two)) == 1

    run(work)


def test_untitled_documents_are_looked_at_and_notebooks_are_not(tree: Path, editing: Any) -> None:
    (tree / "made.py").write_text(MAKES)

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            assert len(await editor.found(editor.open("", USES, "python", "untitled:Untitled-1"))) == 1
            cell = "vscode-notebook-cell:/a.ipynb#1"
            assert await editor.found(editor.open("", LEAK, "python", cell)) == []
            assert await editor.found(editor.open("notes.txt", LEAK, "plaintext")) == []

    run(work)


def test_files_that_a_check_leaves_out_are_left_out(tree: Path, editing: Any) -> None:
    for folder in ("node_modules", "app"):
        (tree / folder).mkdir()
        (tree / folder / "a.py").write_text(LEAK)

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            assert await editor.found(editor.open("node_modules/a.py")) == []
            assert await editor.found(editor.open("node_modules/new.py", LEAK)) == []
            assert len(await editor.found(editor.open("app/a.py"))) == 1
            assert len(await editor.found(editor.open("app/new.py", LEAK))) == 1

    run(work)


CRASHING = """
import sys
from leakfix.engine import Run
analyse = Run.analyse
def crash(self, path):
    print("not for the protocol")
    if path == "bad.py":
        raise ZeroDivisionError("on purpose")
    return analyse(self, path)
Run.analyse = crash
from leakfix.cli import main as run
sys.exit(run(["server"]))
"""


def test_a_fault_is_logged_and_the_server_lives_on(tree: Path, editing: Any) -> None:
    async def work() -> None:
        async with editing(capabilities(pull=True), command=[sys.executable, "-c", CRASHING]) as editor:
            assert await editor.found(editor.open("bad.py", LEAK)) == []
            (logged,) = editor.client.log_messages
            assert logged.type is types.MessageType.Error
            assert "ZeroDivisionError: on purpose" in logged.message
            assert len(await editor.found(editor.open("good.py", LEAK))) == 1

    run(work)


def test_a_request_can_be_cancelled(tree: Path, editing: Any) -> None:
    from pygls.exceptions import JsonRpcException

    (tree / "a.py").write_text(LEAK)

    async def work() -> None:
        async with editing(capabilities(pull=True)) as editor:
            uri = editor.open("a.py")
            which = types.DocumentDiagnosticParams(types.TextDocumentIdentifier(uri))
            asked = editor.client.protocol.send_request_async(types.TEXT_DOCUMENT_DIAGNOSTIC, which, msg_id="first")
            task = asyncio.ensure_future(asked)
            await asyncio.sleep(0)
            editor.client.cancel_request(types.CancelParams("first"))
            with pytest.raises(JsonRpcException) as cancelled:
                await task
            assert cancelled.value.code == -32800
            assert len(await editor.found(uri)) == 1

    run(work)


def frame(message: dict[str, Any]) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize(("says", "code"), [(["shutdown", "exit"], 0), (["exit"], 1), ([], 1)])
def test_exit_codes(tree: Path, says: list[str], code: int) -> None:
    import subprocess

    started = frame({"id": 1, "method": "initialize", "params": {"capabilities": {}, "processId": None}})
    last = b"".join(frame({"method": name, **({"id": 2} if name == "shutdown" else {})}) for name in says)
    command = [sys.executable, "-m", "leakfix", "server", "--stdio"]
    with subprocess.Popen(command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        server.stdin.write(started + last)
        server.stdin.flush()
        if not says:
            server.stdin.close()
        assert server.wait(30) == code


def test_without_the_extra_it_says_what_to_install(tree: Path) -> None:
    import subprocess

    hidden = "import sys; sys.modules['pygls'] = None; sys.modules['mcp'] = None\nfrom leakfix.cli import main as run\n"
    for command, extra in (("server", "lsp"), ("mcp", "mcp")):
        script = f"{hidden}sys.exit(run([{command!r}]))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tree)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"pip install 'leakfix[{extra}]'" in done.stderr
        assert os.listdir(tree) == []
