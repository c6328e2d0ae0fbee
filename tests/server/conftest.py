"""A language server as its own process, with a real client."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

LEAK = """\
import psycopg2


def count(dsn):
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    connection.close()
    return 1
"""
GO_LEAK = """\
package users

import "database/sql"

func names(db *sql.DB) error {
	rows, err := db.Query("SELECT name FROM users")
	if err != nil {
		return err
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
	}
	return rows.Err()
}
"""


class Editor:
    """An editor that talks to the server: opens, changes and asks."""

    def __init__(self, client: Any, root: Path) -> None:
        self.client = client
        self.root = root
        self.versions: dict[str, int] = {}

    def uri(self, name: str) -> str:
        return (self.root / name).as_uri()

    def open(self, name: str, text: str | None = None, language: str | None = None, uri: str | None = None) -> str:
        from lsprotocol import types

        uri = uri or self.uri(name)
        text = (self.root / name).read_bytes().decode() if text is None else text
        language = language or ("go" if name.endswith(".go") else "python")
        self.versions[uri] = 1
        item = types.TextDocumentItem(uri, language, 1, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    def change(self, uri: str, text: str) -> None:
        from lsprotocol import types

        self.versions[uri] += 1
        which = types.VersionedTextDocumentIdentifier(self.versions[uri], uri)
        change = types.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(which, [change]))

    def save(self, uri: str) -> None:
        from lsprotocol import types

        self.client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri)))

    def close(self, uri: str) -> None:
        from lsprotocol import types

        self.client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))

    async def pushed(self, uri: str, until: Callable[[list[Any]], bool] = lambda found: True) -> list[Any]:
        """The diagnostics that were sent for a document, once they are as they should be."""
        for _ in range(1000):
            if uri in self.client.diagnostics and until(list(self.client.diagnostics[uri])):
                return list(self.client.diagnostics[uri])
            await asyncio.sleep(0.02)
        raise AssertionError(f"not sent: {self.client.diagnostics.get(uri)}")

    async def pull(self, uri: str, known: str | None = None) -> Any:
        from lsprotocol import types

        which = types.TextDocumentIdentifier(uri)
        return await self.client.text_document_diagnostic_async(
            types.DocumentDiagnosticParams(which, previous_result_id=known)
        )

    async def found(self, uri: str) -> list[Any]:
        return list((await self.pull(uri)).items)

    async def actions(self, uri: str, where: Any, only: list[str] | None = None, shown: Any = ()) -> list[Any]:
        from lsprotocol import types

        context = types.CodeActionContext(list(shown), only)
        which = types.TextDocumentIdentifier(uri)
        asked = types.CodeActionParams(which, where, context)
        return list(await self.client.text_document_code_action_async(asked) or [])


Start = Callable[..., Any]


def capabilities(pull: bool = False, encodings: list[str] | None = None, **workspace: Any) -> Any:
    """What a client can do."""
    from lsprotocol import types

    return types.ClientCapabilities(
        general=types.GeneralClientCapabilities(position_encodings=encodings),  # type: ignore[arg-type]
        text_document=types.TextDocumentClientCapabilities(
            diagnostic=types.DiagnosticClientCapabilities() if pull else None,
            hover=types.HoverClientCapabilities(content_format=[types.MarkupKind.Markdown]),
        ),
        workspace=types.WorkspaceClientCapabilities(
            workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True), **workspace
        ),
    )


@pytest.fixture
def editing(tree: Path) -> Callable[..., Any]:
    """Start a server in a tree and an editor that talks to it; both end with the block."""
    pytest.importorskip("pygls", reason="the extra lsp is not installed")
    pytest_lsp = pytest.importorskip("pytest_lsp", reason="pytest-lsp is not installed")
    from lsprotocol import types

    @asynccontextmanager
    async def start(
        can: Any = None,
        roots: list[Path] | None = None,
        options: Any = None,
        command: list[str] | None = None,
        configuration: Any = None,
    ) -> AsyncIterator[Editor]:
        client = pytest_lsp.make_test_lsp_client() if configuration is None else configuration
        await client.start_io(*(command or [sys.executable, "-m", "leakfix", "server"]))
        folders = [types.WorkspaceFolder(root.as_uri(), root.name) for root in ([tree] if roots is None else roots)]
        asked = types.InitializeParams(can or capabilities(), workspace_folders=folders, initialization_options=options)
        client.result = await client.initialize_session(asked)
        try:
            yield Editor(client, tree)
        finally:
            await client.shutdown_session()
            await client.stop()

    return start


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine, for a minute at most."""
    asyncio.run(asyncio.wait_for(work(), 60))  # type: ignore[arg-type]
