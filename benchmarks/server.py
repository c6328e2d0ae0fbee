"""What an editor waits for: a file of 300 lines is changed in a project of 1,000, in a running ``leakfix server``.

    python benchmarks/server.py [FILES] [CHANGES]

The project is made of this repository's fixtures. Told are the first answer, which has to index the project; the
answers to changes; and the same changes asked of the analysis itself, without server, client and protocol. Needs the
extra ``lsp``.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from lsprotocol import types
from pygls.lsp.client import LanguageClient

from leakfix.config import Config
from leakfix.registry import Registry
from leakfix.session import Session

FIXTURES = Path(__file__).parent.parent / "fixtures"
LINES = 300


def main() -> None:
    """Make the project, measure both, print milliseconds."""
    files, changes = (int(value) for value in (*sys.argv[1:3], *("1000", "40")[len(sys.argv[1:3]) :]))
    with tempfile.TemporaryDirectory() as folder:
        texts = _make(Path(folder), files, changes)
        os.chdir(folder)
        first, served = asyncio.run(_served(Path(folder), texts))
        alone = _alone(texts)
    print(f"first answer, with the index of {files} files   {first * 1000:.0f} ms")
    print(f"a change, answered by the server      {_told(served)}")
    print(f"the same, by the analysis alone       {_told(alone)}")
    print(
        f"what the server adds, by medians      {(statistics.median(served) - statistics.median(alone)) * 1000:.1f} ms"
    )


def _make(folder: Path, files: int, changes: int) -> list[str]:
    """Write the project; the texts that one of its files takes one after the other."""
    cases = [path.read_text("utf-8") for path in sorted(FIXTURES.glob("*/*/*.py"))]
    (folder / "pyproject.toml").write_text('[project]\nname = "measured"\nversion = "1"\n')
    for number in range(files):
        package = folder / f"package{number % 40}"
        package.mkdir(exist_ok=True)
        (package / f"module{number}.py").write_text(cases[number % len(cases)])
    case = (FIXTURES / "psycopg2" / "unclosed_connection" / "example.before.py").read_text("utf-8")
    body = case.partition("def ")[2]
    plain = "\n\ndef plain{0}(rows):\n    total = 0\n    for row in rows:\n        total += row\n    return total\n"
    text = "import psycopg2\n" + "".join(f"\n\ndef leaky{number}_{body}" for number in range(3))
    number = 0
    while text.count("\n") < LINES:
        text, number = text + plain.format(number), number + 1
    return [text + f"\n\ndef last():\n    return {number}\n" for number in range(changes + 1)]


async def _served(folder: Path, texts: list[str]) -> tuple[float, list[float]]:
    client = LanguageClient("benchmark", "1")
    await client.start_io(sys.executable, "-m", "leakfix", "server")
    can = types.ClientCapabilities(
        text_document=types.TextDocumentClientCapabilities(diagnostic=types.DiagnosticClientCapabilities())
    )
    root = types.WorkspaceFolder(folder.as_uri(), "measured")
    await client.initialize_async(types.InitializeParams(can, workspace_folders=[root]))
    client.initialized(types.InitializedParams())
    uri = (folder / "package0" / "edited.py").as_uri()
    taken = []
    for version, text in enumerate(texts, 1):
        started = time.perf_counter()
        if version == 1:
            client.text_document_did_open(
                types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, "python", version, text))
            )
        else:
            which = types.VersionedTextDocumentIdentifier(version, uri)
            change = types.TextDocumentContentChangeWholeDocument(text)
            client.text_document_did_change(types.DidChangeTextDocumentParams(which, [change]))
        asked = types.DocumentDiagnosticParams(types.TextDocumentIdentifier(uri))
        report = await client.text_document_diagnostic_async(asked)
        taken.append(time.perf_counter() - started)
        assert isinstance(report, types.RelatedFullDocumentDiagnosticReport)
        assert len(report.items) == 3, report.items
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    return taken[0], taken[1:]


def _alone(texts: list[str]) -> list[float]:
    config = Config()
    session = Session(config, Registry.load(config))
    path, taken = "package0/edited.py", []
    for text in texts:
        session.edit(path, text.encode())
        started = time.perf_counter()
        assert len(session.look(path).findings) == 3
        taken.append(time.perf_counter() - started)
    return taken[1:]


def _told(times: list[float]) -> str:
    ordered = sorted(times)
    highest = ordered[int(0.95 * (len(ordered) - 1))]
    return f"median {statistics.median(times) * 1000:.1f} ms, 95% below {highest * 1000:.1f} ms"


if __name__ == "__main__":
    main()
