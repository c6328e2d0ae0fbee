"""Diagnostics: pushed to clients that wait for them, pulled by those that ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pytest_lsp", reason="the groups and the extra lsp are not installed")

from lsprotocol import types

from .conftest import GO_LEAK, LEAK, capabilities, run


def test_a_leak_is_pushed_with_all_that_is_known(tree: Path, editing: Any) -> None:
    (tree / "a.py").write_text(LEAK)

    async def work() -> None:
        async with editing() as editor:
            (found,) = await editor.pushed(editor.open("a.py"))
            assert (found.code, found.source) == ("psycopg2/unclosed-connection", "leakfix")
            assert found.severity is types.DiagnosticSeverity.Warning
            assert found.range == types.Range(types.Position(4, 17), types.Position(4, 38))
            lines = [(step.location.range.start.line, step.message) for step in found.related_information]
            assert lines[0] == (4, "connection acquired here")
            assert [line for line, _ in lines[1:]] == [5]
            assert found.code_description.href.endswith("psycopg2/unclosed_connection.py")

    run(work)
