"""The language server itself: what a client asks and tells, and what it is answered."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Mapping
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument

from leakfix import __version__
from leakfix.background import Worker
from leakfix.project.display import visible
from leakfix.server import actions
from leakfix.server.diagnostics import SOURCE, diagnostics, explanation
from leakfix.server.documents import Documents, Looked
from leakfix.server.settings import Settings, read
from leakfix.server.text import Positions, meet

PAUSE = 0.15
"""Seconds after the last key before a text is analysed unasked."""
WATCHED = ("**/*.py", "**/*.go", "**/pyproject.toml", "**/leakfix.toml", "**/.leakfix-baseline.json", "**/go.mod")


class LeakfixServer(LanguageServer):
    """A language server for Python and Go documents.

    Clients that ask for diagnostics are answered; to the others they are sent.
    """

    def __init__(self) -> None:
        # pygls takes other characters for ends of lines than the protocol does, so that changes could go astray
        super().__init__("leakfix", __version__, text_document_sync_kind=types.TextDocumentSyncKind.Full)
        self.documents = Documents(Worker(), self._roots, self._opened, self._tell)
        self.asked_to_shut_down = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[str, asyncio.Task[None]] = {}
        self._first_settings: object = None

    def _roots(self) -> list[str]:
        found = [to_fs_path(uri) for uri in self.workspace.folders]
        if not found and self.workspace.root_path:
            found = [self.workspace.root_path]
        return [os.path.normpath(path) for path in found if path]

    def _opened(self) -> list[TextDocument]:
        return list(self.workspace.text_documents.values())

    def _can(self, *names: str) -> Any:
        """A capability of the client by its way through the object; None where it is not said."""
        value: Any = self.client_capabilities
        for name in names:
            value = getattr(value, name, None)
        return value

    @property
    def pulls(self) -> bool:
        """Whether the client asks for diagnostics itself."""
        return self._can("text_document", "diagnostic") is not None

    def _tell(self, text: str) -> None:
        """Show a person something; called on the analysis thread."""
        message = types.ShowMessageParams(types.MessageType.Warning, f"leakfix: {visible(text)}")
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.window_show_message, message)

    def log(self, error: BaseException, what: str) -> None:
        """Tell of a fault of ours; the server goes on."""
        trace = "".join(traceback.format_exception(error))
        text = f"leakfix failed on {what}; this is a fault of leakfix\n{trace}"
        self.window_log_message(types.LogMessageParams(types.MessageType.Error, visible_lines(text)))

    async def looked(self, document: TextDocument) -> Looked | None:
        """What is found in a document; None also where the analysis failed, which is logged."""
        self._loop = asyncio.get_running_loop()
        try:
            return await self.documents.looked(document)
        except Exception as error:
            self.log(error, document.uri)
            return None

    def found(self, document: TextDocument, looked: Looked | None) -> list[types.Diagnostic]:
        """The diagnostics of a document."""
        if looked is None:
            return []
        return diagnostics(looked.look, self.positions(looked), document.uri, looked.folder.registry)

    def positions(self, looked: Looked) -> Positions | None:
        """The client's positions in the text that was looked at."""
        source = looked.look.source
        return (
            Positions(source, self.workspace.position_encoding or types.PositionEncodingKind.Utf16)
            if source is not None
            else None
        )

    def document(self, uri: str) -> TextDocument | None:
        """An open document."""
        documents: Mapping[str, TextDocument] = self.workspace.text_documents
        return documents.get(uri)

    def push_soon(self, uri: str, pause: float = PAUSE) -> None:
        """Send a document's diagnostics after a pause, in place of what was to be sent before."""
        former = self._waiting.pop(uri, None)
        if former is not None:
            former.cancel()
        if not self.pulls:
            task = asyncio.ensure_future(self._push(uri, pause))
            self._waiting[uri] = task
            task.add_done_callback(
                lambda done: self._waiting.pop(uri, None) if self._waiting.get(uri) is done else None
            )

    async def _push(self, uri: str, pause: float) -> None:
        await asyncio.sleep(pause)
        document = self.document(uri)
        if document is None or self.documents.place(document) is None:
            return
        looked = await self.looked(document)
        if self.document(uri) is document:
            version = looked.version if looked is not None else document.version
            self.send(uri, self.found(document, looked), version)

    def send(self, uri: str, found: list[types.Diagnostic], version: int | None = None) -> None:
        """Send diagnostics."""
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found, version))

    def stop_waiting(self, uri: str) -> None:
        """Drop what was to be sent."""
        task = self._waiting.pop(uri, None)
        if task is not None:
            task.cancel()

    async def everything_again(self) -> None:
        """Look at the disk and let all open documents be looked at again."""
        try:
            await self.documents.refresh()
        except Exception as error:
            self.log(error, "the changes on disk")
        if self.pulls:
            if self._can("workspace", "diagnostics", "refresh_support"):
                self.workspace_diagnostic_refresh(None)
            return
        for uri in self.workspace.text_documents:
            self.push_soon(uri, 0)

    async def load_settings(self, told: object = None) -> None:
        """Take the client's settings: asked for by folder where it can be asked, else as it told them."""
        roots = self._roots()
        values: list[object] = [told if told is not None else self._first_settings]
        if self._can("workspace", "configuration"):
            items = [types.ConfigurationItem(section=SOURCE)]
            items += [types.ConfigurationItem(scope_uri=uri, section=SOURCE) for uri in self.workspace.folders]
            try:
                asked = await self.workspace_configuration_async(types.ConfigurationParams(items))
                values = [value if value is not None else values[0] for value in asked]
            except JsonRpcException as error:
                self.log(error, "the client's settings")
        settings: dict[str, Settings] = {}
        for root, value in zip(["", *roots], values, strict=False):
            settings[root], wrong = read(value)
            for text in wrong:
                self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, text))
        self.documents.settings = settings

    def watch(self) -> None:
        """Ask to be told of changes on disk, where the client can."""
        if self._can("workspace", "did_change_watched_files", "dynamic_registration"):
            watchers = [types.FileSystemWatcher(glob_pattern=pattern) for pattern in WATCHED]
            self.client_register_capability(
                types.RegistrationParams(
                    [
                        types.Registration(
                            "leakfix-watched-files",
                            types.WORKSPACE_DID_CHANGE_WATCHED_FILES,
                            types.DidChangeWatchedFilesRegistrationOptions(watchers),
                        )
                    ]
                )
            )

    def take_first_settings(self, options: object) -> None:
        """Settings of the first message, for clients that cannot be asked."""
        self._first_settings = options

    async def code_actions(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """What can be done about the findings in a range, and about all of the document's."""
        document = self.document(params.text_document.uri)
        looked = await self.looked(document) if document is not None else None
        positions = self.positions(looked) if looked is not None else None
        if document is None or looked is None or positions is None or looked.look.source is None:
            return []
        versioned = bool(self._can("workspace", "workspace_edit", "document_changes"))
        open_texts = {uri: other.source for uri, other in self.workspace.text_documents.items()}
        target = actions.Document(document.uri, looked.version, looked.look.source, positions, versioned, open_texts)
        only, shown = params.context.only, params.context.diagnostics
        wanted = looked.look.findings if actions.is_wanted(actions.QUICK_FIX, only) else ()
        here = [finding for finding in wanted if meet(positions.range(finding.span), params.range)]
        made = await self.documents.at_home(looked, lambda: list(actions.of_findings(here, target, shown)))
        if only is not None and actions.is_wanted(actions.FIX_ALL, only):
            made += await self._fix_all(document, looked, target)
        return made

    async def _fix_all(
        self, document: TextDocument, looked: Looked, target: actions.Document
    ) -> list[types.CodeAction]:
        repair = await self.documents.repaired(document)
        if repair is None or repair.before.raw != target.source.raw:
            return []
        return await self.documents.at_home(looked, lambda: list(actions.of_all(target, repair)))

    async def hover(self, params: types.HoverParams) -> types.Hover | None:
        """The explanation of the rule of the finding at a position."""
        document = self.document(params.text_document.uri)
        looked = await self.looked(document) if document is not None else None
        positions = self.positions(looked) if looked is not None else None
        if looked is None or positions is None:
            return None
        at = types.Range(params.position, params.position)
        formats = self._can("text_document", "hover", "content_format") or []
        for finding in looked.look.findings:
            where = positions.range(finding.span)
            if meet(where, at):
                markdown = types.MarkupKind.Markdown in formats
                return types.Hover(explanation(finding, looked.folder.registry, markdown), where)
        return None

    async def pulled(self, params: types.DocumentDiagnosticParams) -> types.DocumentDiagnosticReport:
        """The diagnostics of a document that the client asks for."""
        document = self.document(params.text_document.uri)
        looked = await self.looked(document) if document is not None else None
        number = str(looked.number) if looked is not None else None
        if number is not None and number == params.previous_result_id:
            return types.RelatedUnchangedDocumentDiagnosticReport(number)
        found = self.found(document, looked) if document is not None else []
        return types.RelatedFullDocumentDiagnosticReport(found, result_id=number)


def visible_lines(text: str) -> str:
    """Text of several lines, safe to show."""
    return "\n".join(map(visible, text.split("\n")))
