"""The story on one screen: discover, filter, analyse, repair, verify. Writes nothing."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from leakfix.analysis import Analysis, Located, Rules
from leakfix.config import Config
from leakfix.finding import Category, Finding, Fix, Refusal
from leakfix.languages.python.project import Unparsable
from leakfix.project.discover import discover
from leakfix.project.files import read_file
from leakfix.project.prefilter import Prefilter, imports_any
from leakfix.project.suppressions import suppressions
from leakfix.project.workers import Workers
from leakfix.registry import Registry
from leakfix.source import SourceFile, UndecodableSource
from leakfix.verify import verified

_RECURSION = 12_000
_ROUNDS = 3
_MOST_REPAIRS = 200

Decide = Callable[[Finding, SourceFile, SourceFile], bool]


@dataclass(frozen=True)
class FileError:
    """A file that could not be read, parsed or analysed, and why."""

    path: str
    message: str


@dataclass(frozen=True)
class Report:
    """What a check found. ``sources`` has every file with findings as it was read; ``words`` are for ``repair``."""

    findings: tuple[Finding, ...]
    errors: tuple[FileError, ...]
    files: int
    parsed: int
    seconds: float
    sources: Mapping[str, SourceFile]
    words: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FileRepair:
    """One file before and after the accepted repairs, with what was repaired and what remains."""

    path: str
    before: SourceFile
    after: SourceFile
    applied: tuple[Finding, ...]
    remaining: tuple[Finding, ...]


@dataclass
class _Indexed:
    """What the first look at a file gave."""

    path: str
    passed: bool = False
    exports: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()
    error: str | None = None


@dataclass
class _Analysed:
    """The findings of one file."""

    path: str
    source: SourceFile | None = None
    findings: list[Finding] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def check(paths: Sequence[str], config: Config, registry: Registry, jobs: int | None = None) -> Report:
    """Find the leaks below the paths, each with its verified repair or the reason there is none."""
    started = time.monotonic()
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION))
    gc.disable()  # millions of syntax nodes, looked through again and again for nothing; see Modules
    found = discover(paths, config)
    run = _Run(config, registry)
    errors = [FileError(path, message) for path, message in found.errors]
    with Workers(jobs, len(found.files)) as workers:
        indexed = [item for part in workers.map(run.index, found.files) for item in part]
        errors += [FileError(item.path, item.error) for item in indexed if item.error]
        run.leave_out_released({word for item in indexed for word in item.released})
        candidates = _candidates(run, workers, indexed)
        analysed = list(workers.map_each(run.analyse, candidates, _size))
    findings = [finding for item in analysed for finding in item.findings]
    errors += [FileError(item.path, message) for item in analysed for message in item.errors]
    return Report(
        tuple(sorted(findings, key=lambda finding: (finding.path, finding.line, finding.column))),
        tuple(sorted(errors, key=lambda error: error.path)),
        len(found.files),
        len(candidates),
        time.monotonic() - started,
        {item.path: item.source for item in analysed if item.findings and item.source},
        frozenset(run.analysis.words),
    )


def repair(
    report: Report, paths: Sequence[str], config: Config, registry: Registry, decide: Decide
) -> Iterator[FileRepair]:
    """Repair file by file what ``decide`` accepts; each repair is made on the result of the one before."""
    run = _Run(config, registry)
    run.analysis.words |= report.words
    for path, source in sorted(report.sources.items()):
        if any(finding.fix for finding in report.findings if finding.path == path):
            yield run.repair(source, decide)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _candidates(run: _Run, workers: Workers, indexed: list[_Indexed]) -> list[str]:
    """The files that acquire something, and those that use what they export, to a bounded fixpoint."""
    chosen = {item.path: item.exports for item in indexed if item.passed}
    rest = [item.path for item in indexed if not item.passed and not item.error]
    fresh = chosen
    for _ in range(_ROUNDS):
        exports = _by_module(fresh)
        run.analysis.words |= {name for names in fresh.values() for name in names}
        if not exports or not rest:
            break
        more = [item for part in workers.map(run.importing(exports), rest) for item in part]
        fresh = {item.path: item.exports for item in more if item.passed}
        chosen |= fresh
        rest = [path for path in rest if path not in fresh]
    return sorted(chosen)


def _by_module(chosen: Mapping[str, Iterable[str]]) -> dict[bytes, frozenset[bytes]]:
    """Exported names by the last part of the module's name, a package's also by its own."""
    found: dict[bytes, set[bytes]] = {}
    for path, names in chosen.items():
        encoded = {name.encode() for name in names}
        if encoded:
            folder, file = os.path.split(path)
            stem = os.path.basename(folder) if file == "__init__.py" else file.removesuffix(".py")
            for key in {stem, os.path.basename(folder)} - {""}:
                found.setdefault(os.fsencode(key), set()).update(encoded)
    return {key: frozenset(names) for key, names in found.items()}


class _Run:
    """What the workers share: the tables, the selected rules, the words that make a function worth lowering."""

    def __init__(self, config: Config, registry: Registry) -> None:
        self.registry = registry
        self.table = registry.table
        self.prefilter = Prefilter(registry.table)
        self.shared_releases = {word for row in self.table.resources if row.shared for word in row.release_with}
        names = {}
        for name, codemod in registry.codemods.items():
            if config.selected(name, codemod.category):
                names[codemod.resource] = (name, Category(codemod.category))
        self.rules = Rules(names)
        self.analysis = Analysis(self.table, self.rules, read_file)

    def leave_out_released(self, words: set[str]) -> None:
        """What is shared by all and released somewhere is nobody's leak."""
        kept = {
            resource: rule
            for resource, rule in self.rules.names.items()
            if not (self.table.by_id[resource].shared and words & set(self.table.by_id[resource].release_with))
        }
        self.rules = self.analysis.rules = Rules(kept)

    def index(self, paths: Sequence[str]) -> list[_Indexed]:
        """Read files, keep those that can acquire something, and see what they export."""
        return [self._indexed(path, self.prefilter.passes) for path in paths]

    def importing(self, exports: dict[bytes, frozenset[bytes]]) -> Callable[[Sequence[str]], list[_Indexed]]:
        """A look at the remaining files: which of them use what others export."""
        return _Importing(self, exports)

    def _indexed(self, path: str, passes: Callable[[bytes], bool]) -> _Indexed:
        try:
            data = read_file(path)
        except OSError as error:
            return _Indexed(path, error=error.strerror or str(error))
        released = frozenset(word for word in self.shared_releases if b"." + word.encode() + b"()" in data)
        if not passes(data):
            return _Indexed(path, released=released)
        try:
            module = self.analysis.parsed(SourceFile.python(path, data))
        except (UndecodableSource, Unparsable) as error:
            return _Indexed(path, error=str(error))
        except RecursionError:
            return _Indexed(path, error="nested too deeply; not analysed")
        self.analysis.modules.keep(module)
        return _Indexed(path, True, self.analysis.exports(module), released)

    def analyse(self, path: str) -> _Analysed:
        """Find and repair the leaks of one file."""
        result = _Analysed(path)
        module = self.analysis.modules.load(path)
        if module is None:
            return result
        try:
            allowed = suppressions(module.source, self.registry.codemods.keys())
            result.errors += [f"line {line}: {text}" for line, text in allowed.warnings]
            for located in self.analysis.leaks(module):
                if not allowed.allows(located.finding.rule, located.finding.suppression_lines):
                    result.findings.append(self.with_fix(located))
        except RecursionError:
            result.errors.append("nested too deeply; not analysed")
        if result.findings:
            result.source = module.source
        return result

    def with_fix(self, located: Located) -> Finding:
        """The finding with its verified repair, or with the reason why there is none."""
        answer = self.analysis.proposal(located)
        if isinstance(answer, Fix):
            answer = verified(self.analysis, located, answer)
        if isinstance(answer, Refusal):
            return replace(located.finding, refusal=answer.reason)
        return replace(located.finding, fix=answer)

    def repair(self, source: SourceFile, decide: Decide) -> FileRepair:
        """Repair one file, finding after finding, each on the result of the one before."""
        before, applied, declined = source, list[Finding](), set[str]()
        for _ in range(_MOST_REPAIRS):
            remaining = self._findings(source)
            offered = next((f for f in remaining if f.fix and f.fingerprint not in declined), None)
            if offered is None or offered.fix is None:
                break
            after = source.edited(offered.fix.edits)
            if decide(offered, source, after):
                applied.append(offered)
                source = after
            else:
                declined.add(offered.fingerprint)
        return FileRepair(before.path, before, source, tuple(applied), tuple(remaining))

    def _findings(self, source: SourceFile) -> list[Finding]:
        run = _Run.__new__(_Run)
        run.__dict__.update(self.__dict__)
        run.analysis = self.analysis.with_module(self.analysis.parsed(source))
        return run.analyse(source.path).findings


class _Importing:
    """Indexes the files that import one of the given modules; a class, so that it can be sent to workers."""

    def __init__(self, run: _Run, exports: dict[bytes, frozenset[bytes]]) -> None:
        self.run = run
        self.exports = exports

    def __call__(self, paths: Sequence[str]) -> list[_Indexed]:
        return [self.run._indexed(path, lambda data: imports_any(data, self.exports)) for path in paths]
