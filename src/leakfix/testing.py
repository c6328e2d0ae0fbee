"""Fixtures of codemods, ours and third parties': small files that say what is found in them and what becomes of it.

``x.before.py`` with ``x.after.py`` is repaired so; ``x.ok.py`` is silent; ``x.refused.py`` is found and left alone; the
same with ``.go`` for Go. A comment ``# leak:`` (``// leak:``) marks the line of an acquisition, ``# leak: ... refused:
why`` one that is not repaired (``why`` is part of the reason), ``# missed:`` one that is not found yet. ``x/before/``
and ``x/after/`` are whole trees, manifests included; of a pyproject.toml or leakfix.toml the wishes count.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from leakfix import engine
from leakfix.config import Config, load
from leakfix.finding import Finding
from leakfix.project.discover import SUFFIXES
from leakfix.project.manifest import MANIFESTS
from leakfix.registry import Registry
from leakfix.result import FileError

_OTHERS = (*MANIFESTS, "leakfix.toml", "Procfile")
_MARK = re.compile(r"(?:#|//)\s*(leak|missed):([^\n]*)")
_CASE = re.compile(r"(?P<name>.+)\.(?P<kind>before|ok|refused)\.(?P<suffix>py|go)")

VARIANTS: dict[str, Callable[[bytes], bytes]] = {
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "tabs": lambda data: re.sub(rb"^(?: {4})+", lambda m: b"\t" * (len(m.group()) // 4), data, flags=re.MULTILINE),
    "bom": lambda data: b"\xef\xbb\xbf" + data,
    "no-final-newline": lambda data: data.rstrip(b"\n"),
}


@dataclass(frozen=True)
class Case:
    """One fixture: its kind ("repaired", "ok", "refused"), and its files before and after by relative path."""

    name: str
    kind: str
    before: dict[str, bytes]
    after: dict[str, bytes]
    after_path: Path | None = None

    def variant(self, change: Callable[[bytes], bytes]) -> Case:
        """The same case laid out otherwise."""
        return Case(self.name, self.kind, _changed(self.before, change), _changed(self.after, change))


def _changed(files: dict[str, bytes], change: Callable[[bytes], bytes]) -> dict[str, bytes]:
    return {name: change(data) if name.endswith(SUFFIXES) else data for name, data in files.items()}


def cases(folder: Path) -> Iterator[Case]:
    """The cases below a fixtures folder, applications left out."""
    for path in sorted(folder.rglob("*")):
        if "apps" in path.relative_to(folder).parts:
            continue
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and (path / "before").is_dir():
            yield Case(name, "repaired", _tree(path / "before"), _tree(path / "after"), path / "after")
        elif match := _CASE.fullmatch(path.name):
            data, file = path.read_bytes(), f"case.{match['suffix']}"
            if match["kind"] != "before":
                yield Case(name, match["kind"], {file: data}, {file: data})
                continue
            after = path.with_name(f"{match['name']}.after.{match['suffix']}")
            yield Case(name, "repaired", {file: data}, {file: after.read_bytes() if after.exists() else b""}, after)


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in _sources(folder)}


def _sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES or path.name in _OTHERS)


@dataclass(frozen=True)
class Outcome:
    """What a run over a case's files gave."""

    findings: tuple[Finding, ...]
    errors: tuple[FileError, ...]
    after: dict[str, bytes]
    again: tuple[Finding, ...]


def run(case: Case, registry: Registry, work: Path) -> Outcome:
    """Check a case's files in an empty folder, apply every fix, and check again."""
    shutil.rmtree(work, ignore_errors=True)
    for name, data in case.before.items():
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    if not any((work / name).exists() for name in MANIFESTS):
        (work / "pyproject.toml").write_text("")
        (work / "go.mod").write_text("module example.com/case\n")
    own = load(directory=str(work)).wishes
    config = Config(select=("leak", "growth", *_rules_of(case, registry)), exclude=(), wishes=own)
    here = os.getcwd()
    os.chdir(work)
    try:
        report = engine.check(["."], config, registry, jobs=1)
        for repaired in engine.repair(report, lambda *_: True):
            (work / repaired.path).write_bytes(repaired.after.raw)
        again = engine.check(["."], config, registry, jobs=1)
    finally:
        os.chdir(here)
    after = {name: (work / name).read_bytes() for name in case.before}
    return Outcome(report.findings, report.errors, after, again.findings)


def _rules_of(case: Case, registry: Registry) -> list[str]:
    """The rule a case is for, which runs whatever its category."""
    rule = "/".join(case.name.split("/")[:2]).replace("_", "-")
    return [name for name in registry.codemods if name.replace("_", "-") == rule]


def problems(case: Case, outcome: Outcome) -> list[str]:
    """Everything in which an outcome is not what the case says; empty where all is well."""
    found = [f"{error.path}: {error.message}" for error in outcome.errors]
    marked = {(name, line): (kind, text) for name, data in case.before.items() for line, kind, text in _marks(data)}
    at = {(finding.path, finding.line): finding for finding in outcome.findings}
    for place, finding in at.items():
        if place not in marked:
            found.append(f"{place[0]}:{place[1]}: unexpected {finding.rule}: {finding.message}")
    for place, (kind, text) in marked.items():
        found += _place_problems(place, kind, text, at.get(place), case.kind)
    if case.kind == "ok" and any(kind == "leak" for kind, _ in marked.values()):
        found.append("an ok case must not mark leaks")
    for name, data in outcome.after.items():
        if data != case.after.get(name, case.before[name]):
            found.append(f"{name} became\n{data.decode('utf-8', 'replace')}")
    still = {(finding.path, finding.fingerprint) for finding in outcome.again if finding.fix}
    if still:
        found.append(f"a second run would repair again: {sorted(still)}")
    return found


def _place_problems(
    place: tuple[str, int], kind: str, text: str, finding: Finding | None, case_kind: str
) -> Iterator[str]:
    where = f"{place[0]}:{place[1]}"
    if kind == "missed":
        if finding is not None:
            yield f"{where}: found now, mark it as a leak"
        return
    if finding is None:
        yield f"{where}: not found"
        return
    _, refused, why = text.partition("refused:")
    if (refused or case_kind == "refused") and finding.fix is not None:
        yield f"{where}: repaired ({finding.fix.title}) although it should be refused"
    elif refused and why.strip() not in (finding.refusal or ""):
        yield f"{where}: refused because {finding.refusal!r}"
    elif case_kind == "repaired" and not refused and finding.fix is None:
        yield f"{where}: not repaired: {finding.refusal}"


def _marks(data: bytes) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(data.decode("utf-8-sig", "replace").split("\n"), 1):
        match = _MARK.search(line)
        if match:
            yield number, match.group(1), match.group(2)
