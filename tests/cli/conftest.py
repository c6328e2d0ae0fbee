"""An engine that finds every ``leak()`` and knows one repair: these tests are about the commands alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import pytest

import leakfix
from leakfix.config import Config
from leakfix.finding import Category, Finding, Fix, Safety, Severity, Step, fingerprint
from leakfix.project.discover import discover
from leakfix.project.files import read_file
from leakfix.registry import Codemod, Registry
from leakfix.resources import ResourceTable
from leakfix.source import Edit, SourceFile, Span

RULES = ("toy/leak", "toy/drip")
_CALL = re.compile(rb"\b(leak|drip|stuck)\(\)")


@dataclass(frozen=True)
class FileError:
    path: str
    message: str


@dataclass(frozen=True)
class Report:
    findings: tuple[Finding, ...]
    errors: tuple[FileError, ...]
    files: int
    parsed: int
    seconds: float
    sources: Mapping[str, SourceFile]
    run: Run
    missed: tuple[object, ...] | None = None
    accepted: tuple[Finding, ...] = ()
    has_baseline: bool = False

    def rules(self) -> Mapping[str, Codemod]:
        return _load(self.run.config).codemods


@dataclass(frozen=True)
class Run:
    config: Config

    def findings_in(self, source: SourceFile) -> Iterator[Finding]:
        return _findings(source, self.config)

    def checked(self, source: SourceFile) -> list[Finding]:
        try:
            compile(source.code, source.path, "exec")
        except SyntaxError as error:
            raise ValueError(str(error)) from error
        return list(self.findings_in(source))


@dataclass(frozen=True)
class FileRepair:
    path: str
    before: SourceFile
    after: SourceFile
    applied: tuple[Finding, ...]
    remaining: tuple[Finding, ...]


def _check(
    paths: Sequence[str],
    config: Config,
    registry: Registry,
    jobs: int | None = None,
    evidence: object = None,
    kept: object = None,
    texts: object = None,
) -> Report:
    found = discover(paths, config)
    sources = {path: SourceFile.python(path, read_file(path)) for path in found.files}
    findings = [finding for source in sources.values() for finding in _findings(source, config)]
    errors = tuple(FileError(*error) for error in found.errors)
    return Report(tuple(findings), errors, len(sources), len(sources), 0.25, sources, Run(config))


def _findings(source: SourceFile, config: Config) -> Iterator[Finding]:
    for match in _CALL.finditer(source.data):
        rule = "toy/drip" if match[1] == b"drip" else "toy/leak"
        line = source.line_text(source.line_of(match.start()))
        if config.selected(rule, "leak") and f"allow[{rule}]" not in line:
            yield _finding(source, rule, match)


def _finding(source: SourceFile, rule: str, match: re.Match[bytes]) -> Finding:
    line, column = source.line_of(match.start()), source.column_of(match.start())
    safety = Safety.REVIEW if match[1] == b"drip" else Safety.SAFE
    fix = Fix(f"make {match[1].decode()} safe", safety, (Edit(match.start(1), match.end(1), b"safe"),))
    return Finding(
        rule=rule,
        category=Category.LEAK,
        severity=Severity.ERROR,
        path=source.path,
        span=Span(*match.span()),
        line=line,
        column=column,
        end_line=line,
        end_column=column + len(match[0]),
        function="<module>",
        message="this leaks",
        resource="toy/thing",
        held="forever",
        witness=(Step(line, "acquired here"),),
        fingerprint=fingerprint(rule, source.path, "<module>", match[0].decode(), line),
        suppression_lines=(line,),
        fix=None if match[1] == b"stuck" else fix,
        refusal="it is stuck" if match[1] == b"stuck" else None,
    )


def _repair(report: Report, decide: Callable[[Finding, SourceFile, SourceFile], bool]) -> Iterator[FileRepair]:
    for path, source in report.sources.items():
        mine = [finding for finding in report.findings if finding.path == path]
        fixable = [(finding, finding.fix.edits) for finding in mine if finding.fix]
        accepted = [pair for pair in fixable if decide(pair[0], source, source.edited(pair[1]))]
        after = source.edited(edit for _, edits in accepted for edit in edits)
        applied = tuple(finding for finding, _ in accepted)
        yield FileRepair(path, source, after, applied, tuple(_findings(after, report.run.config)))


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The engine of these tests, and a registry with its rules."""
    module = ModuleType("leakfix.engine")
    vars(module).update(check=_check, repair=_repair, Report=Report, FileRepair=FileRepair, FileError=FileError)
    monkeypatch.setitem(sys.modules, "leakfix.engine", module)
    monkeypatch.setattr(leakfix, "engine", module, raising=False)
    monkeypatch.setattr(Registry, "load", _load)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    return module


def _load(config: Config) -> Registry:
    codemods = {name: Codemod(name, "leak", "makes it safe", "A toy.", name) for name in RULES}
    config.check_names(codemods)
    return Registry(codemods, ResourceTable(), ())
