"""The story on one screen: discover, filter, analyse, repair, verify. Writes nothing."""

from __future__ import annotations

import ast
import gc
import os
import re
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from leakfix.analysis import Analysis, Located, Matched, Rules
from leakfix.analysis_go import GoAnalysis, GoMatched
from leakfix.cache.facts import NOTHING, Analysed, FactsChanged, Indexed, Known
from leakfix.cache.facts import known as known_of
from leakfix.cache.facts import values as facts_of
from leakfix.cache.kept import Kept
from leakfix.cache.memory import Memory, report_values, source_of
from leakfix.cache.program import Program
from leakfix.codemod import GoPatternCodemod, PatternCodemod
from leakfix.config import SETTINGS, Config
from leakfix.confirm import compared
from leakfix.finding import Category, Finding, Fix, Observed, Refusal
from leakfix.languages.go.packages import GoFile, Packages
from leakfix.languages.python.importers import Exports, Importers, ImportIndex, reached
from leakfix.languages.python.modules import Import, Module
from leakfix.languages.python.project import Modules, Unparsable
from leakfix.project import manifest
from leakfix.project import trace as tracing
from leakfix.project.baseline import Baseline
from leakfix.project.discover import discover, is_whole
from leakfix.project.files import read_file
from leakfix.project.imports import Imports
from leakfix.project.kinds import is_test
from leakfix.project.mentions import Mentions, project_root
from leakfix.project.prefilter import Prefilter, Triggers
from leakfix.project.suppressions import Suppressions, suppressions
from leakfix.project.trace import Trace, has_one_of, trace
from leakfix.project.workers import Workers
from leakfix.registry import Registry
from leakfix.repairs.go.plan import repair as repaired_go
from leakfix.repairs.python.separate import line_edits, separated
from leakfix.repairs.python.subject import Refused
from leakfix.result import Decide, FileError, FileRepair, Report
from leakfix.runtime.evidence import Evidence, Seen
from leakfix.source import SourceFile, Span, UndecodableSource
from leakfix.verify import compiled, verified, verified_go, verified_go_pattern, verified_pattern

_RECURSION = 12_000
_ROUNDS = 8
_MOST_REPAIRS = 200


def check(
    paths: Sequence[str],
    config: Config,
    registry: Registry,
    jobs: int | None = None,
    evidence: Evidence | None = None,
    kept: Kept | None = None,
) -> Report:
    """Find the leaks below the paths, each with its verified repair or the reason there is none.

    evidence: what a run showed; what it confirms comes first. kept: what earlier runs found, and where to keep this
    one; files that nothing has changed for are not looked at again, and the report cannot be repaired then.
    """
    started = time.monotonic()
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION))
    gc.disable()  # millions of syntax nodes, looked through again and again for nothing; see Modules
    if kept is None:
        tracing.forget()
        return _check(paths, config, registry, jobs, evidence, started)
    tracing.begin()
    try:
        try:
            return _check(paths, config, registry, jobs, evidence, started, kept)
        except FactsChanged:
            tracing.begin()
            kept.memory = None
            return _check(paths, config, registry, jobs, evidence, started, kept)
    finally:
        tracing.end()


def _check(
    paths: Sequence[str],
    config: Config,
    registry: Registry,
    jobs: int | None,
    evidence: Evidence | None,
    started: float,
    kept: Kept | None = None,
) -> Report:
    found = discover(paths, config)
    runs = _runs(config, registry, found.files)
    if len(runs) > 1:
        kept = None
    if kept is not None:
        _ask_for_settings(config)
    known = _known(kept, found.files, all(map(is_whole, paths)))
    looks = [_look(run, own, found.files, paths, jobs, known) for run, own in runs]
    analysed = [item for look in looks for item in look.analysed]
    findings = [finding for item in analysed for finding in item.findings]
    missed: tuple[Seen, ...] | None = None
    if evidence is not None:
        observed, missed = compared(findings, evidence, found.files)
        for run, _ in runs:
            run.observed = observed
        findings = [runs[0][0].with_evidence(finding) for finding in findings]
    errors = {FileError(path, message) for path, message in found.errors}
    errors.update(error for look in looks for error in look.errors)
    errors.update(FileError(item.path, message) for item in analysed for message in item.errors)
    report = Report(
        tuple(sorted(findings, key=_worst_first)),
        tuple(sorted(errors, key=lambda error: (error.path, error.message))),
        len(found.files),
        len(set().union(*(look.parsed for look in looks))),
        time.monotonic() - started,
        {item.path: item.source or source_of(item.path) for item in analysed if item.findings},
        None if known.redone is not None else runs[0][0] if len(runs) == 1 else _Divided(runs),
        missed,
    )
    if kept is not None and not registry.broken:
        (look,) = looks
        facts = facts_of(look.indexed, look.analysed, look.released, look.exported)
        kept.keep(_memory(kept, known, look.traces, registry, found.files, report, facts))
    return report


def _known(kept: Kept | None, files: Sequence[str], whole: bool) -> Known:
    """What earlier runs found that still holds. whole: whether all that the files use lies among them."""
    memory = kept.memory if kept is not None else None
    if kept is None or memory is None or not memory.program.is_unchanged():
        return NOTHING
    change = memory.change(files)
    if change.beyond or (change and not whole):
        kept.memory = None
        return NOTHING
    try:
        return known_of(memory.facts, memory.affected(change) if change else frozenset())
    except (KeyError, TypeError, ValueError):
        kept.memory = None
        return NOTHING


def _memory(
    kept: Kept,
    known: Known,
    traces: Sequence[Trace],
    registry: Registry,
    files: list[str],
    report: Report,
    facts: dict[str, Any],
) -> Memory:
    trace = Trace()
    for part in traces:
        trace.add(part)
    if kept.memory is not None and known.redone is not None:
        trace = kept.memory.continued(trace, known.redone)
    return Memory(trace, Program.now(registry.packages), files, report_values(report), facts)


def _runs(config: Config, registry: Registry, files: Sequence[str]) -> list[tuple[Run, set[str]]]:
    """The runs that it takes, each with its own of the files: those whose settings tell of the same in-house resources.

    Raises ConfigError where the settings of a file name what is not there.
    """
    groups = [(config, registry, set[str]())]
    known: dict[int, tuple[int, Config]] = {}
    for path in files:
        governing = config.governing(path)
        at, _ = known.get(id(governing), (-1, governing))
        if at < 0:
            at = next((n for n, (other, _, _) in enumerate(groups) if other.rows == governing.rows), len(groups))
            if at == len(groups):
                groups.append((governing, Registry.load(governing), set()))
            groups[at][1].require_known(governing)
            known[id(governing)] = at, governing
        groups[at][2].add(path)
    return [(Run(config, its, own), own) for _, its, own in groups if own or len(groups) == 1]


@dataclass(frozen=True)
class _Look:
    """What one run gave of its files."""

    indexed: list[Indexed]
    analysed: list[Analysed]
    released: set[str]
    exported: set[str]
    traces: list[Trace]
    errors: list[FileError]
    parsed: set[str]


def _look(run: Run, own: set[str], files: Sequence[str], paths: Sequence[str], jobs: int | None, known: Known) -> _Look:
    """Analyse some of the files; what the others export and release counts for them, too."""
    python = [path for path in files if not is_go(path)]
    named = set(files)
    todo = [path for path in python if known.wants(path)]
    around = [] if all(map(is_whole, paths)) else reached(python, run.analysis.modules, read_file)
    with Workers(run, jobs, len(files) if known.redone is None else len(known.redone)) as workers:
        indexed = workers.map(Run.index, todo + around) + [item for item in known.of_round(0) if not is_go(item.path)]
        released = {word for item in indexed for word in item.released}
        known.require(released)
        workers.each(Run.leave_out_released, released)
        if list(paths) == ["."] and project_root("_") == os.getcwd():
            words = dict.fromkeys(files, frozenset[str]()) | {item.path: item.words for item in indexed}
            workers.each(Run.mentioned, os.getcwd(), words)
        indexed += _importing(workers, indexed, known)
        exported = {name for item in indexed for name in item.exports}
        known.require(released, exported)
        go = workers.map(Run.index_go, [path for path in files if is_go(path) and known.wants(path)])
        indexed += go + [item for item in known.of_round(0) if is_go(item.path)]
        acquire = {item.path for item in indexed if (item.acquires or item.matches) and item.path in own}
        analysed = workers.map(Run.analyse_all, sorted(filter(known.wants, acquire)))
        traces = workers.each(Run.traced) if trace.on else []
    first = [item for item in indexed if item.round == 0 and item.path in named]
    errors = [FileError(item.path, item.error) for item in first if item.error]
    parsed = {item.path for item in indexed if item.parsed and item.path in named}
    return _Look(indexed, [*analysed, *known.analysed], released, exported, traces, errors, parsed)


def _ask_for_settings(config: Config) -> None:
    """Take down what the settings of the files depend on: they were read before anything was taken down."""
    if config.nearest is not None:
        for folder in config.nearest.folders:
            has_one_of(folder, SETTINGS)
    for file in config.nearest.files if config.nearest is not None else config.files:
        with suppress(OSError):
            read_file(file)


def _worst_first(finding: Finding) -> tuple[int, str, int, int]:
    """What was seen to leak first, and what leaked most; the rest as it stands in the files."""
    seen = finding.observed.unreleased if finding.observed else 0
    return -seen, finding.path, finding.line, finding.column


def repair(report: Report, decide: Decide) -> Iterator[FileRepair]:
    """Repair file by file what ``decide`` accepts; each repair is made on the result of the one before.

    The manifests that have to declare more for that come last, as repaired files without findings.
    """
    done = []
    for path, source in sorted(report.sources.items()):
        if any(finding.fix for finding in report.findings if finding.path == path):
            repaired = report.run.repair(source, decide)
            done.append((repaired.after, repaired.applied))
            yield repaired
    for change in manifest.additions(done):
        yield FileRepair(change.path, change.before, change.after, (), ())


def is_go(path: str) -> bool:
    """Whether a file is Go by its name."""
    return path.endswith(".go")


def _answer(analysis: Analysis, located: Located) -> Fix | Refusal:
    answer = analysis.proposal(located)
    return verified(analysis, located, answer) if isinstance(answer, Fix) else answer


def _importing(workers: Workers[Run], indexed: list[Indexed], before: Known) -> list[Indexed]:
    """The files that use what others export, directly or through others, to a bounded fixpoint."""
    result: list[Indexed] = []
    known = {item.path: item.exports for item in indexed}
    fresh = {path: names for path, names in known.items() if names}
    for number in range(1, _ROUNDS + 1):
        if not fresh:
            break
        found = [replace(item, round=number) for part in workers.each(Run.importing, fresh) for item in part]
        found += before.of_round(number)
        more = {item.path: item.exports - known.get(item.path, frozenset()) for item in found}
        known |= {path: known.get(path, frozenset()) | names for path, names in more.items()}
        fresh = {path: known[path] for path, names in more.items() if names}
        result += found
    return result


@dataclass(frozen=True)
class _Chosen:
    """What the settings of a file choose. config is kept so that its identity stays its own."""

    config: Config
    rules: Rules
    patterns: Mapping[str, PatternCodemod]
    go_patterns: Mapping[str, GoPatternCodemod]
    triggers: Triggers
    baseline: Baseline

    @classmethod
    def of(cls, config: Config, registry: Registry) -> _Chosen:
        """What settings choose of all there is. Raises ConfigError where their baseline is none."""
        selected = {name: each for name, each in registry.codemods.items() if config.selected(name, each.category)}
        names = {each.resource: (name, Category(each.category)) for name, each in selected.items() if each.resource}
        patterns = {name: each.pattern for name, each in selected.items() if each.pattern}
        plain = {name: item for name, item in patterns.items() if not item.refines}
        triggers = Triggers({name: (item.imports, item.words, item.shape) for name, item in plain.items()})
        go_patterns = {name: each.go_pattern for name, each in selected.items() if each.go_pattern}
        return cls(config, Rules(names, config.wishes_for), patterns, go_patterns, triggers, Baseline.of(config))


class Run:
    """What the workers share: the tables, the selected rules, the words that make a function worth lowering."""

    def __init__(self, config: Config, registry: Registry, files: Collection[str]) -> None:
        self.config = config
        self.registry = registry
        self.observed: Mapping[str, Observed] = {}
        self.table = registry.table
        self.prefilter = Prefilter(registry.table)
        shared = (word for row in self.table.resources if row.shared for word in row.release_with)
        self.shared_releases = {word: b"." + word.encode() + b"()" for word in shared}
        self.released: frozenset[str] = frozenset()
        self._chosen: dict[int, _Chosen] = {}
        chosen = [self.chosen(path) for path in files]
        asked = {word for each in self._chosen.values() for item in each.patterns.values() for word in item.asks}
        rules = chosen[0].rules if chosen else Rules({})
        self.analysis = Analysis(self.table, rules, Modules(read_file), Mentions(config, sorted(asked)))
        self.imports = ImportIndex()
        self.go = GoAnalysis(self.table, rules, Packages(read_file))

    def traced(self) -> Trace:
        """What this process read and asked."""
        return trace

    def chosen(self, path: str) -> _Chosen:
        """What is to be looked for in a file."""
        config = self.config.governing(path)
        known = self._chosen.get(id(config))
        if known is None:
            known = self._chosen[id(config)] = _Chosen.of(config, self.registry)
        return known

    def _rules_for(self, path: str) -> Rules:
        """The rules of a file; what is shared by all and released somewhere is nobody's leak."""
        rules = self.chosen(path).rules
        if not self.released:
            return rules
        kept = {
            resource: rule
            for resource, rule in rules.names.items()
            if not (self.table.by_id[resource].shared and self.released & set(self.table.by_id[resource].release_with))
        }
        return replace(rules, names=kept)

    def leave_out_released(self, words: set[str]) -> None:
        """What releases something that is shared by all stands somewhere in the project."""
        self.released = frozenset(words)

    def mentioned(self, root: str, words: Mapping[str, frozenset[str]]) -> None:
        """What the index found of the words that patterns seek in other files."""
        self.analysis.mentions.listed(root, words)

    def index(self, paths: Sequence[str]) -> list[Indexed]:
        """Read files and see which acquire something and what they export; those with nothing to say are left out."""
        found = []
        for path in paths:
            item = Indexed(path)
            try:
                data = read_file(path)
            except OSError as error:
                item.error = error.strerror or str(error)
            else:
                imports = Imports.of(data)
                self.imports.add(path, imports)
                item.released = frozenset([word for word, call in self.shared_releases.items() if call in data])
                # What a library's own files import of it is the project's code, not the library.
                roots = [r for r in self.prefilter.roots(imports) if not self._is_own(path, r.decode())]
                if self.prefilter.passes(data, imports, roots):
                    self._open(item, data)
                item.words = frozenset(self.analysis.mentions.words_in(data))
                item.matches = not is_test(path) and bool(self.chosen(path).triggers.of(data, path, imports))
            if item != Indexed(path):
                found.append(item)
        return found

    def index_go(self, paths: Sequence[str]) -> list[Indexed]:
        """Read Go files and see which may acquire something; tests live no longer than one run."""
        found = []
        for path in paths:
            item = Indexed(path)
            try:
                data = b"" if is_test(path) else read_file(path)
                item.parsed = item.acquires = self.go.is_worth(data) or self._go_shapes(path, data)
            except OSError as error:
                item.error = error.strerror or str(error)
            if item != Indexed(path):
                found.append(item)
        return found

    def _go_shapes(self, path: str, data: bytes) -> bool:
        patterns = self.chosen(path).go_patterns.values()
        return any(re.search(item.shape.encode(), data, re.MULTILINE) for item in patterns)

    def importing(self, exports: Exports) -> list[Indexed]:
        """What of the indexed files uses what others export, and what they export themselves."""
        self.analysis.learn(exports)
        importers = Importers(self.analysis.modules, exports)
        found = []
        for path in self.imports.near(exports):
            with suppress(OSError):
                data = read_file(path)
                if importers.passes(path, data, Imports.of(data)):
                    found.append(Indexed(path))
                    self._open(found[-1], data)
        return found

    def _is_own(self, path: str, package: str) -> bool:
        return self.analysis.modules.find(path, Import(package, None)) is not None

    def _open(self, item: Indexed, data: bytes) -> None:
        module: Module | None
        item.parsed = True
        try:
            module = self.analysis.modules.loaded(item.path)
            module = module or self.analysis.parsed(SourceFile.python(item.path, data))
            self.analysis.modules.keep(module)
            item.exports = self.analysis.exports(module)
            item.acquires = self.analysis.acquires(module)
        except (UndecodableSource, Unparsable) as error:
            item.error = str(error)
            module = self.analysis.modules.load(item.path)  # what of it can be read may be used by others
            item.exports = self.analysis.exports(module) if module else frozenset()
        except RecursionError:
            item.error = "nested too deeply; not analysed"

    def analyse_all(self, paths: Sequence[str]) -> list[Analysed]:
        """Find and repair the leaks of several files."""
        return [self.analyse(path) for path in paths]

    def analyse(self, path: str) -> Analysed:
        """Find and repair the leaks of one file."""
        result = Analysed(path)
        if is_go(path):
            self._analyse_go(result)
            return result
        module = self.analysis.modules.load(path)
        if module is None:
            return result
        try:
            result.errors += [f"line {line}: {text}" for line, text in self._suppressions(module.source).warnings]
            result.findings += self.findings(module)
        except RecursionError:
            result.errors.append("nested too deeply; not analysed")
        for _, line, name in sorted(item for item in self.analysis.unanalysed if item[0] == path):
            result.errors.append(f"line {line}: {name} is too large or has too many paths; not analysed")
        for (_, rule), what in sorted(item for item in self.analysis.failed.items() if item[0][0] == path):
            result.errors.append(f"{rule} failed and said nothing of this file: {what}")
        if result.findings:
            result.source = module.source
        return result

    def _analyse_go(self, result: Analysed) -> None:
        file = self.go.packages.file(result.path)
        if file is None:
            result.errors.append("could not be read as Go")
            return
        result.errors += [f"line {line}: {text}" for line, text in self._suppressions(file.source).warnings]
        try:
            result.findings += self.go_findings(self.go, file)
        except RecursionError:
            result.errors.append("nested too deeply; not analysed")
        result.source = file.source if result.findings else None
        for _, line, name in sorted(item for item in self.go.unanalysed if item[0] == result.path):
            result.errors.append(f"line {line}: {name} is not analysed: it is too large, or has syntax not known yet")
        for (_, rule), what in sorted(item for item in self.go.failed.items() if item[0][0] == result.path):
            result.errors.append(f"{rule} failed and said nothing of this file: {what}")

    def go_findings(self, analysis: GoAnalysis, file: GoFile) -> list[Finding]:
        """The findings of a Go file that are in no baseline, each with its repair or why there is none."""
        chosen = self.chosen(file.path)
        analysis.rules = self._rules_for(file.path)
        found = chosen.baseline.unaccepted(self._go_found(analysis, file, chosen), file.source)
        return [self.with_evidence(finding) for finding in found]

    def _go_found(self, analysis: GoAnalysis, file: GoFile, chosen: _Chosen) -> Iterator[Finding]:
        allowed = self._suppressions(file.source)
        for located in analysis.leaks(file):
            finding = located.finding
            if allowed.allows(finding.rule, finding.suppression_lines):
                continue
            if finding.fingerprint in chosen.baseline:
                yield finding
                continue
            answer = repaired_go(file.source, file.root, finding.span, located.leak, analysis.declared(file))
            if isinstance(answer, Fix):
                answer = verified_go(analysis, located, answer)
            if isinstance(answer, Refusal):
                yield replace(finding, refusal=answer.reason)
            else:
                yield replace(finding, fix=answer)
        for matched in analysis.matches(file, chosen.go_patterns):
            finding = matched.finding
            if not allowed.allows(finding.rule, finding.suppression_lines):
                yield self._go_answered(analysis, matched, chosen)

    def _go_answered(self, analysis: GoAnalysis, matched: GoMatched, chosen: _Chosen) -> Finding:
        answer = matched.match.repair()
        if isinstance(answer, Fix):
            answer = verified_go_pattern(analysis, matched, answer, chosen.go_patterns)
        if isinstance(answer, Refusal):
            return replace(matched.finding, refusal=answer.reason)
        return replace(matched.finding, fix=answer)

    def findings(self, module: Module) -> Iterator[Finding]:
        """The findings of a file that are in no baseline, each with its repair or why there is none."""
        self.analysis.rules = self._rules_for(module.path)
        found = self.chosen(module.path).baseline.unaccepted(self._findings(module), module.source)
        return map(self.with_evidence, found)

    def with_evidence(self, finding: Finding) -> Finding:
        """The finding with what a run showed of it."""
        observed = self.observed.get(finding.fingerprint)
        return replace(finding, observed=observed) if observed is not None else finding

    def _findings(self, module: Module) -> Iterator[Finding]:
        allowed = self._suppressions(module.source)
        patterns = self._patterns_for(module)
        refining = {name: item for name, item in patterns.items() if item.refines}
        refined: dict[Span, Matched] | None = None
        for located in self.analysis.leaks(module):
            if not allowed.allows(located.finding.rule, located.finding.suppression_lines):
                if refined is None:
                    refined = {m.finding.span: m for m in self.analysis.matches(module, refining)}
                yield self._refined(located, refined.get(located.finding.span), refining) or self.with_fix(located)
        plain = {name: item for name, item in patterns.items() if not item.refines}
        for matched in self.analysis.matches(module, plain):
            if not allowed.allows(matched.finding.rule, matched.finding.suppression_lines):
                yield self.with_answer(matched, plain)

    def _patterns_for(self, module: Module) -> dict[str, PatternCodemod]:
        """The patterns worth asking: those without words are for every file that acquires something."""
        if is_test(module.path):  # lives no longer than one run
            return {}
        chosen = self.chosen(module.path)
        triggered = {name for name, item in chosen.patterns.items() if item.refines or not (item.words or item.imports)}
        triggered.update(chosen.triggers.of(module.source.data, module.path, Imports.of(module.source.data)))
        return {name: item for name, item in chosen.patterns.items() if name in triggered}

    def _refined(
        self, located: Located, matched: Matched | None, patterns: Mapping[str, PatternCodemod]
    ) -> Finding | None:
        """The leak in the words of a codemod that knows its setting, where that one's repair holds."""
        if matched is None:
            return None
        leak = located.finding
        finding = replace(matched.finding, severity=leak.severity, message=leak.message, witness=leak.witness)
        answered = self.with_answer(replace(matched, finding=replace(finding, held=leak.held)), patterns)
        return answered if answered.fix is not None else None

    def _suppressions(self, source: SourceFile) -> Suppressions:
        return suppressions(source, self.registry.codemods.keys())

    def with_fix(self, located: Located) -> Finding:
        """The finding with its verified repair, or with the reason why there is none."""
        answer = _answer(self.analysis, located)
        if isinstance(answer, Refusal) and answer.shared_lines:
            answer = self._laid_out(located) or answer
        if isinstance(answer, Refusal):
            return replace(located.finding, refusal=answer.reason)
        return replace(located.finding, fix=answer)

    def with_answer(self, matched: Matched, patterns: Mapping[str, PatternCodemod]) -> Finding:
        """The finding of a pattern with its verified repair, or with the reason why there is none."""
        try:
            answer = matched.match.repair()
        except Refused as refused:
            answer = Refusal(str(refused))
        except RecursionError:
            answer = Refusal("nested too deeply to be edited safely")
        if isinstance(answer, Fix):
            answer = verified_pattern(self.analysis, matched, answer, patterns)
        if isinstance(answer, Refusal):
            return replace(matched.finding, refusal=answer.reason)
        return replace(matched.finding, fix=answer)

    def _laid_out(self, located: Located) -> Fix | None:
        """The repair after the statements that are in its way were put on lines of their own."""
        source = located.module.source
        apart = separated(source, located.function.node, located.finding.span)
        module = self.analysis.parsed(apart)
        if ast.dump(module.tree) != ast.dump(located.module.tree):
            return None
        analysis = self.analysis.with_module(module)
        for again in analysis.leaks(module, located.function.qualname):
            if again.finding.fingerprint == located.finding.fingerprint:
                answer = _answer(analysis, again)
                if isinstance(answer, Fix):
                    return replace(answer, edits=line_edits(source, apart.edited(answer.edits)))
        return None

    def repair(self, source: SourceFile, decide: Decide) -> FileRepair:
        """Repair one file, finding after finding, each on the result of the one before."""
        before, applied, declined = source, list[Finding](), set[str]()
        for _ in range(_MOST_REPAIRS):
            found = self.findings_in(source)
            offered = next((f for f in found if f.fix and f.fingerprint not in declined), None)
            if offered is None or offered.fix is None:
                break
            after = source.edited(offered.fix.edits)
            if decide(offered, source, after):
                applied.append(offered)
                source = after
            else:
                declined.add(offered.fingerprint)
        return FileRepair(before.path, before, source, tuple(applied), tuple(self.findings_in(source)))

    def checked(self, source: SourceFile) -> list[Finding]:
        """The findings of a file that somebody may have changed in any way.

        Raises ValueError (Unparsable) where it does not compile.
        """
        try:
            compiled(source)
            return list(self.findings_in(source))
        except (SyntaxError, RecursionError) as error:
            raise Unparsable(str(error)) from error

    def findings_in(self, source: SourceFile) -> Iterator[Finding]:
        """The findings of a file that is not as it was read, made as far as they are asked for."""
        if is_go(source.path):
            go = self.go.with_source(source)
            file = go.packages.file(source.path)
            return iter(self.go_findings(go, file)) if file is not None else iter(())
        analysis = self.analysis.with_module(self.analysis.parsed(source))
        module = analysis.modules.load(source.path)
        run = copy(self)
        run.analysis = analysis
        return run.findings(module) if module else iter(())


class _Divided:
    """Several runs as one: each file is asked about where it was analysed."""

    def __init__(self, runs: Sequence[tuple[Run, set[str]]]) -> None:
        self._by_path = {path: run for run, own in runs for path in own}
        self._otherwise = runs[0][0]

    def _of(self, source: SourceFile) -> Run:
        return self._by_path.get(source.path, self._otherwise)

    def repair(self, source: SourceFile, decide: Decide) -> FileRepair:
        """As that of the run of this file."""
        return self._of(source).repair(source, decide)

    def checked(self, source: SourceFile) -> list[Finding]:
        """As that of the run of this file."""
        return self._of(source).checked(source)

    def findings_in(self, source: SourceFile) -> Iterator[Finding]:
        """As that of the run of this file."""
        return self._of(source).findings_in(source)
