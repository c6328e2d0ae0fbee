"""Reports to render: of small leaking projects, and made up of any text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leakfix import engine
from leakfix.config import Config
from leakfix.finding import Category, Finding, Fix, Observed, Safety, Severity, Step
from leakfix.registry import Registry
from leakfix.result import FileError, Report
from leakfix.source import Edit, SourceFile, Span

LEAKY = """\
import sqlite3


def total(path, customer):
    connection = sqlite3.connect(path)
    cursor = connection.execute("select sum(cents) from orders where customer = ?", (customer,))
    found = cursor.fetchone()[0]
    connection.close()
    return found or 0
"""
UNFIXABLE = """\
import sqlite3


def found(path):
    connection = sqlite3.connect(path)
    raise LookupError(connection.execute("select 1"))


class Store:
    def open(self, path, deep):
        # 😀 before the acquisition
        name = "é😀"; other = sqlite3.connect(path)
        for part in deep:
            if part:
                break
            other.execute("insert into x values (?)", (part,))
        return None
"""
HOSTILE = (
    "\"'`]]>%0A%25,:\n\r\t::error::x<script>alert(1)</script><img src=x onerror=alert(1)>@all |#"
    "\u202e\u2028😀\x1b[2J\x00\ufffe"
)
HOSTILE_NAME = HOSTILE.replace("/", "").replace("\x00", "") + ".py"
"""Without what no file name can hold."""


def check(files: Mapping[str, str], registry: Registry, config: Config | None = None) -> Report:
    """What is found in these files of the working directory."""
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(text.encode())
    return engine.check(["."], config or Config(), registry, jobs=1)


def finding(source: SourceFile, text: str = "", number: int = 0, **changes: Any) -> Finding:
    """A finding on the first line of a source whose every piece of text is the given one."""
    end = len(source.line_text(1).encode())
    made: dict[str, Any] = {
        "rule": f"toy/{number}",
        "category": Category.LEAK,
        "severity": list(Severity)[number % 3],
        "path": source.path,
        "span": Span(0, end),
        "line": 1,
        "column": 1,
        "end_line": 1,
        "end_column": source.column_of(end),
        "function": text,
        "message": text,
        "resource": "thing",
        "held": "forever",
        "witness": (Step(1, text), Step(2, text), Step(1, text)),
        "fingerprint": f"{number:016x}",
        "fix": Fix(text, Safety.SAFE, (Edit(0, 0, text.encode("utf-8", "replace")),), text),
        "observed": Observed(2, 1, text, (text,), (text,)),
    }
    return Finding(**{**made, **changes})


def report(
    sources: Sequence[SourceFile], findings: Sequence[Finding], errors: Sequence[tuple[str, str]] = ()
) -> Report:
    """A report that holds these, of a run that knew no rule."""
    told = tuple(FileError(*error) for error in errors)
    named = {source.path: source for source in sources}
    return Report(tuple(findings), told, len(sources), len(sources), 0.5, named)


def hostile() -> Report:
    """A report full of text that means something to some format."""
    sources = [SourceFile.python(HOSTILE_NAME, f"x = {HOSTILE!r}\ny = 1\n</script>]]>\n".encode())]
    sources.append(SourceFile.python("caf\udce9.py", "x = 'é😀'\r\ny = 2\r\n".encode()))
    found = [finding(source, HOSTILE, number) for number, source in enumerate(sources)]
    refused = finding(sources[0], HOSTILE, 2, fix=None, refusal=HOSTILE)
    return report(sources, [*found, refused], [(HOSTILE_NAME, HOSTILE)])
