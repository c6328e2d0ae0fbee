"""The protocol's messages, and what of the server each one calls."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

from lsprotocol import types

from leakfix.server import actions
from leakfix.server.app import LeakfixServer
from leakfix.server.diagnostics import SOURCE


def serve() -> int:
    """Talk to a client over stdin and stdout until it goes away; the exit code, 0 where it said so first."""
    server = LeakfixServer()
    register(server)
    server.start_io(sys.stdin.buffer, _protocol_alone())
    return 0 if server.asked_to_shut_down else 1


def _protocol_alone() -> BinaryIO:
    """The stream to the client; whatever else is printed goes to stderr."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    return stream


def register(server: LeakfixServer) -> None:
    """Let a server answer all that it knows."""
    _session(server)
    _documents(server)
    _questions(server)


def _session(server: LeakfixServer) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.take_first_settings(params.initialization_options)

    @server.feature(types.INITIALIZED)
    async def initialized(params: types.InitializedParams) -> None:
        server.watch()
        await server.load_settings()
        await server.everything_again()

    @server.feature(types.SHUTDOWN)
    def shutdown(params: None) -> None:
        server.asked_to_shut_down = True

    @server.feature(types.EXIT)
    def exit_now(params: None) -> None:
        os._exit(0 if server.asked_to_shut_down else 1)  # an analysis that is under way is nobody's any more

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def configured(params: types.DidChangeConfigurationParams) -> None:
        await server.load_settings(params.settings)
        await server.everything_again()

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    async def folders(params: types.DidChangeWorkspaceFoldersParams) -> None:
        server.documents.keep_folders()
        await server.load_settings()
        await server.everything_again()

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    async def watched(params: types.DidChangeWatchedFilesParams) -> None:
        await server.everything_again()


def _documents(server: LeakfixServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        server.push_soon(params.text_document.uri, 0)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        server.push_soon(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    async def saved(params: types.DidSaveTextDocumentParams) -> None:
        await server.everything_again()

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.stop_waiting(uri)
        if not server.pulls:
            server.send(uri, [])
        server.documents.close(uri)


def _questions(server: LeakfixServer) -> None:
    pulling = types.DiagnosticOptions(inter_file_dependencies=True, workspace_diagnostics=False, identifier=SOURCE)

    @server.feature(types.TEXT_DOCUMENT_DIAGNOSTIC, pulling)
    async def diagnostic(params: types.DocumentDiagnosticParams) -> types.DocumentDiagnosticReport:
        return await server.pulled(params)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions([actions.QUICK_FIX, actions.FIX_ALL]),
    )
    async def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        return await server.code_actions(params)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        return await server.hover(params)
