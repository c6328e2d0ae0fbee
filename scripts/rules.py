"""Rules as Markdown: a page for each codemod, tables of several, and their examples, all made from the codemods."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from itertools import groupby
from pathlib import Path

from leakfix.config import Config
from leakfix.registry import Codemod, Registry
from leakfix.source import unified_diff

HELD = {
    "forever": "until the process ends",
    "until-gc": "until the cyclic garbage collector runs",
    "until-unreferenced": "until the last reference to it goes",
}
LANGUAGES = {".py": "python", ".go": "go"}


@cache
def registry() -> Registry:
    """All rules of this repository."""
    return Registry.load(Config())


def pages() -> Iterator[tuple[str, str]]:
    """The path of each page of rules below ``docs``, and its text."""
    yield "rules/index.md", _overview()
    for library, codemods in libraries():
        yield f"rules/{library}/index.md", _library(library, codemods)
        for codemod in codemods:
            yield f"rules/{codemod.name}.md", _page(codemod)


def libraries() -> Iterator[tuple[str, list[Codemod]]]:
    """The rules of each library, both in the order of their names."""
    for library, codemods in groupby(registry().codemods.values(), lambda codemod: codemod.name.partition("/")[0]):
        yield library, list(codemods)


def matching(patterns: str) -> list[Codemod]:
    """The rules that one of the globs names, which are separated by commas; ValueError where one names none."""
    found = []
    for pattern in (pattern.strip() for pattern in patterns.split(",")):
        named = [codemod for name, codemod in registry().codemods.items() if fnmatchcase(name, pattern)]
        if not named:
            raise ValueError(f"no rule is named {pattern}")
        found += named
    return found


def table(codemods: Iterable[Codemod]) -> str:
    """Names, categories and repairs."""
    rows = [f"| `{codemod.name}` | {codemod.category} | {_cell(codemod.repairs)} |" for codemod in codemods]
    return "\n".join(["| rule | category | repair |", "|---|---|---|", *rows]) + "\n"


def example(codemod: Codemod) -> str:
    """What the repair changes in the example, as a fenced diff; the example itself where there is no repair."""
    suffix, before, after = _example(codemod)
    if before == after:
        return f"```{LANGUAGES[suffix]}\n{before.decode()}```\n"
    lines = unified_diff(f"example{suffix}", before, after, context=1000).decode().split("\n", 3)
    return f"```diff\n{lines[3]}```\n"


def _overview() -> str:
    text = "# Rules\n\n`leakfix explain RULE` shows the same on a terminal, `leakfix rules` lists them.\n"
    for category, about in (
        ("leak", "Something is not released on some path. On by default."),
        ("growth", "Memory that only grows. On by default."),
        ("advice", "Settings, timeouts, queries in loops. Off until selected: `--select leak,growth,advice`."),
    ):
        codemods = [codemod for codemod in registry().codemods.values() if codemod.category == category]
        text += f"\n## {category}\n\n{about}\n\n{table(codemods)}"
    return text


def _library(library: str, codemods: list[Codemod]) -> str:
    about = (import_module(f"leakfix_codemods.{library}").__doc__ or "").strip()
    return f"# {library}\n\n{about}\n\n{table(codemods)}"


def _page(codemod: Codemod) -> str:
    sections = [
        f"# {codemod.name}",
        f"*{codemod.category}* · repaired by {_cell(codemod.repairs)}",
        codemod.docstring,
        _resource(codemod),
        f"## Example\n\n`{_comment(codemod)} leak:` marks what is reported.\n\n{example(codemod)}",
        _silent(codemod),
        _settings(codemod),
        f"## Allow it\n\nOn the line that is reported, or on the `def` around it:\n\n"
        f"```text\n{_comment(codemod)} leakfix: allow[{codemod.name}] the reason\n```",
    ]
    return "\n\n".join(section.rstrip("\n") for section in sections if section) + "\n"


def _resource(codemod: Codemod) -> str:
    row = registry().table.by_id.get(codemod.resource or "")
    if row is None:
        return ""
    acquire = [*row.acquire, *(f"….{name}" for name in row.acquire_any)]
    release = [*(f".{name}()" if name != "()" else "a call of it" for name in row.release), *row.release_with]
    rows = [
        ("acquired by", ", ".join(f"`{name}`" for name in acquire)),
        ("released by", ", ".join(f"`{name}`" for name in release)),
        ("a lost one is held", HELD[row.held]),
    ]
    return "## What counts\n\n| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def _silent(codemod: Codemod) -> str:
    """The shortest of the cases in which nothing is reported."""
    folder = Path(codemod.examples or "")
    cases = [path for suffix in LANGUAGES for path in folder.glob(f"*.ok{suffix}") if path.is_file()]
    if not cases:
        return ""
    case = min(cases, key=lambda path: (path.stat().st_size, path.name))
    text = case.read_text(encoding="utf-8")
    return f"## Nothing is reported here\n\n```{LANGUAGES[case.suffix]}\n{text}```"


def _settings(codemod: Codemod) -> str:
    pattern = codemod.pattern or codemod.go_pattern
    requires = pattern.requires if pattern is not None else ()
    keys = [f"- `{key}`" for key in getattr(codemod, "options", ()) if key != "allow-dependencies"]
    if requires:
        names = ", ".join(f"`{item.name}`" for item in requires)
        keys.append(f"- `allow-dependencies`: a repair may need {names}; it adds what stands there")
    if not keys:
        return ""
    return "## Settings\n\nSee [configuration](../../configuration.md).\n\n" + "\n".join(keys)


def _example(codemod: Codemod) -> tuple[str, bytes, bytes]:
    folder = Path(codemod.examples or "")
    suffix = next(suffix for suffix in LANGUAGES if (folder / f"example.before{suffix}").is_file())
    before, after = ((folder / f"example.{state}{suffix}").read_bytes() for state in ("before", "after"))
    return suffix, before, after


def _comment(codemod: Codemod) -> str:
    return "//" if _example(codemod)[0] == ".go" else "#"


def _cell(text: str) -> str:
    """Text as it is, in a cell of a table."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)
