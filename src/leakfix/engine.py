"""The story on one screen: discover, filter, analyse, repair, verify. Writes nothing."""

from __future__ import annotations

import ast
import gc
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from leakfix.analysis import Analysis, Located, Matched, Rules
from leakfix.analysis_go import GoAnalysis, GoLocated, GoMatched
from leakfix.cache.facts import NOTHING, Analysed, FactsChanged, Indexed, Known
from leakfix.cache.facts import known as known_of
from leakfix.cache.facts import values as facts_of
from leakfix.cache.kept import Kept
from leakfix.cache.memory import Memory, report_values, source_of
from leakfix.cache.program import Program
from leakfix.codemod import GoPatternCodemod, PatternCodemod
from leakfix.config import Config
from leakfix.confirm import compared
from leakfix.finding import Acceptance, Category, Finding, Fix, Observed, Refusal
from leakfix.languages.go.packages import GoFile, Packages
from leakfix.languages.python.importers import Exports, Importers, ImportIndex, reached
from leakfix.languages.python.modules import Import, Module
from leakfix.languages.python.project import Modules, Unparsable
from leakfix.project import manifest
from leakfix.project import trace as tracing
from leakfix.project.baseline import Baseline
from leakfix.project.discover import discover, displayed, is_whole
from leakfix.project.files import read_file
from leakfix.project.imports import Imports
from leakfix.project.kinds import is_test
from leakfix.project.mentions import Mentions, project_root
from leakfix.project.prefilter import Prefilter, Triggers
from leakfix.project.suppressions import NONE, Suppressions, suppressions
from leakfix.project.trace import Trace, trace
from leakfix.project.words import Words
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
NO_TEXTS: Mapping[str, bytes] = MappingProxyType({})


def check(
    paths: Sequence[str],
    config: Config,
    registry: Registry,
    jobs: int | None = None,
    evidence: Evidence | None = None,
    kept: Kept | None = None,
    texts: Mapping[str, bytes] = NO_TEXTS,
) -> Report:
    """Find the leaks below the paths, each with its verified repair or the reason there is none.

    evidence: what a run showed; what it confirms comes first. kept: what earlier runs found, and where to keep this
    one; files that nothing has changed for are not looked at again, and the report cannot be repaired then.
    texts: what counts as the content of some files, be they on disk or not, by their paths as outputs show them; goes
    without ``kept``.
    """
    started = time.monotonic()
    prepare()
    if kept is None:
        tracing.forget()
        return _check(paths, config, registry, jobs, evidence, started, None, texts)
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
    texts: Mapping[str, bytes] = NO_TEXTS,
) -> Report:
    found = discover([path for path in paths if displayed(path) not in texts], config)
    files = sorted({*found.files, *texts})
    known = _known(kept, files, all(map(is_whole, paths)))
    run = Run(config, registry, reading(texts))
    errors = [FileError(path, message) for path, message in found.errors]
    named = set(files)
    with Workers(run, jobs, len(files) if known.redone is None else len(known.redone)) as workers:
        indexed = index(workers, paths, files, known)
        released = {word for item in indexed for word in item.released}
        exported = {name for item in indexed for name in item.exports}
        known.require(released, exported)
        acquire = {item.path for item in indexed if (item.acquires or item.matches) and item.path in named}
        analysed = workers.map(Run.analyse_all, sorted(filter(known.wants, acquire)))
        traces = workers.each(Run.traced) if kept is not None else []
    analysed += known.analysed
    first = [item for item in indexed if item.round == 0 and item.path in named]
    errors += [FileError(item.path, item.error) for item in first if item.error]
    findings = [finding for item in analysed for finding in item.findings]
    missed: tuple[Seen, ...] | None = None
    if evidence is not None:
        run.observed, missed = compared(findings, evidence, files)
        findings = [run.with_evidence(finding) for finding in findings]
    errors += [FileError(item.path, message) for item in analysed for message in item.errors]
    report = Report(
        tuple(sorted(findings, key=_worst_first)),
        tuple(sorted(errors, key=lambda error: error.path)),
        len(files),
        len({item.path for item in indexed if item.parsed and item.path in named}),
        time.monotonic() - started,
        {item.path: item.source or source_of(item.path) for item in analysed if item.findings},
        run if known.redone is None else None,
        missed,
        tuple(sorted((finding for item in analysed for finding in item.accepted), key=_worst_first)),
        bool(run.baseline.entries),
        lambda: registry.codemods,
    )
    if kept is not None and not registry.broken:
        facts = facts_of(indexed, analysed, released, exported)
        kept.keep(_memory(kept, known, traces, registry, files, report, facts))
    return report


def prepare() -> None:
    """Make the process fit for an analysis."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION))
    gc.disable()  # millions of syntax nodes, looked through again and again for nothing; see Modules


def reading(texts: Mapping[str, bytes]) -> Callable[[str], bytes]:
    """Read files, some of which have another content than the disk says."""

    def read(path: str) -> bytes:
        text = texts.get(path)
        return read_file(path) if text is None else text

    return read if texts is not NO_TEXTS else read_file


def index(workers: Workers[Run], paths: Sequence[str], files: Sequence[str], known: Known = NOTHING) -> list[Indexed]:
    """The first look at the files found below some paths, at what of the project they import and what imports them."""
    python, run = [path for path in files if not is_go(path)], workers.state
    todo = [path for path in python if known.wants(path)]
    around = [] if all(map(is_whole, paths)) else reached(python, run.analysis.modules, run.read)
    indexed = workers.map(Run.index, todo + around) + [item for item in known.of_round(0) if not is_go(item.path)]
    released = {word for item in indexed for word in item.released}
    known.require(released)
    workers.each(Run.leave_out_released, released)
    if list(paths) == ["."] and project_root("_") == os.getcwd():
        words = dict.fromkeys(files, frozenset[str]()) | {item.path: item.words for item in indexed}
        workers.each(Run.mentioned, os.getcwd(), words)
    indexed += importing(workers, indexed, known)
    go = workers.map(Run.index_go, [path for path in files if is_go(path) and known.wants(path)])
    return indexed + go + [item for item in known.of_round(0) if is_go(item.path)]


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


def importing(
    workers: Workers[Run], indexed: list[Indexed], before: Known = NOTHING, exported: Exports = MappingProxyType({})
) -> list[Indexed]:
    """The files that use what others export, directly or through others, to a bounded fixpoint.

    exported: what was known to be exported, and whose importers were found.
    """
    result: list[Indexed] = []
    known = {**exported, **{item.path: item.exports | exported.get(item.path, frozenset()) for item in indexed}}
    fresh = {item.path: known[item.path] for item in indexed if known[item.path] - exported.get(item.path, frozenset())}
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


class Run:
    """What the workers share: the tables, the selected rules, the words that make a function worth lowering."""

    def __init__(self, config: Config, registry: Registry, read: Callable[[str], bytes] = read_file) -> None:
        self.registry = registry
        self.read = read
        self.baseline = Baseline.of(config)
        self.observed: Mapping[str, Observed] = {}
        self.table = registry.table
        self.prefilter = Prefilter(registry.table)
        shared = (word for row in self.table.resources if row.shared for word in row.release_with)
        self.shared_releases = {word: b"." + word.encode() + b"()" for word in shared}
        names: dict[str, tuple[str, Category]] = {}
        self.patterns: dict[str, PatternCodemod] = {}
        self.go_patterns: dict[str, GoPatternCodemod] = {}
        for name, codemod in registry.codemods.items():
            if config.selected(name, codemod.category):
                if codemod.resource is not None:
                    names[codemod.resource] = (name, Category(codemod.category))
                elif codemod.pattern is not None:
                    self.patterns[name] = codemod.pattern
                elif codemod.go_pattern is not None:
                    self.go_patterns[name] = codemod.go_pattern
        plain = {name: item for name, item in self.patterns.items() if not item.refines}
        self.triggers = Triggers({name: (item.imports, item.words, item.shape) for name, item in plain.items()})
        asked = [word for item in self.patterns.values() for word in item.asks]
        self.rules = self._all_rules = Rules(names, config.wishes)
        self.analysis = Analysis(self.table, self.rules, Modules(read), Mentions(config, asked, read))
        releases = self.shared_releases.values()
        self.words = Words((*self.triggers.words, *self.prefilter.telling, *releases, *self.analysis.mentions.words))
        self.imports = ImportIndex()
        self.go = GoAnalysis(self.table, self.rules, Packages(read))

    def traced(self) -> Trace:
        """What this process read and asked."""
        return trace

    def leave_out_released(self, words: set[str]) -> None:
        """What is shared by all and released somewhere is nobody's leak."""
        kept = {
            resource: rule
            for resource, rule in self._all_rules.names.items()
            if not (self.table.by_id[resource].shared and words & set(self.table.by_id[resource].release_with))
        }
        self.rules = self.analysis.rules = self.go.rules = replace(self.rules, names=kept)

    def mentioned(self, root: str, words: Mapping[str, frozenset[str]]) -> None:
        """What the index found of the words that patterns seek in other files."""
        self.analysis.mentions.listed(root, words)

    def index(self, paths: Sequence[str]) -> list[Indexed]:
        """Read files and see which acquire something and what they export; those with nothing to say are left out."""
        found = []
        for path in paths:
            item = Indexed(path)
            try:
                data = self.read(path)
            except OSError as error:
                item.error = error.strerror or str(error)
            else:
                imports = Imports.of(data)
                self.imports.add(path, imports)
                words = self.words.of(data)
                item.released = frozenset([word for word, call in self.shared_releases.items() if call in words])
                # What a library's own files import of it is the project's code, not the library.
                roots = [r for r in self.prefilter.roots(imports) if not self._is_own(path, r.decode())]
                if self.prefilter.passes(data, imports, roots, words):
                    self._open(item, data)
                item.words = frozenset(self.analysis.mentions.words_in(data, words))
                item.matches = not is_test(path) and bool(self.triggers.of(data, path, imports, words))
            if item != Indexed(path):
                found.append(item)
        return found

    def index_go(self, paths: Sequence[str]) -> list[Indexed]:
        """Read Go files and see which may acquire something; tests live no longer than one run."""
        found = []
        for path in paths:
            item = Indexed(path)
            try:
                data = b"" if is_test(path) else self.read(path)
                item.parsed = item.acquires = self.go.is_worth(data) or self._go_shapes(data)
            except OSError as error:
                item.error = error.strerror or str(error)
            if item != Indexed(path):
                found.append(item)
        return found

    def _go_shapes(self, data: bytes) -> bool:
        return any(re.search(item.shape.encode(), data, re.MULTILINE) for item in self.go_patterns.values())

    def importing(self, exports: Exports) -> list[Indexed]:
        """What of the indexed files uses what others export, and what they export themselves."""
        self.analysis.learn(exports)
        importers = Importers(self.analysis.modules, exports)
        found = []
        for path in self.imports.near(exports):
            with suppress(OSError):
                data = self.read(path)
                if importers.passes(path, data, Imports.of(data)):
                    found.append(Indexed(path))
                    self._open(found[-1], data)
        return found

    def renew(self, paths: Sequence[str], gone: Sequence[str], moved: bool) -> list[Indexed]:
        """Look again at files that are not as they were; nothing that was concluded from them counts any more.

        moved: whether some came or went, so that imports may lead elsewhere.
        """
        former, every = self.analysis, [*paths, *gone]
        former.modules.forget(every, moved)
        for path in every:
            self.imports.remove(path)
            former.mentions.renew(path)
        self.analysis = Analysis(self.table, self.rules, former.modules, former.mentions, former.exported)
        self.go = GoAnalysis(self.table, self.rules, self.go.packages.without(every, moved))
        found = {item.path: item for item in self.index([path for path in paths if not is_go(path)])}
        importers = Importers(former.modules, former.exported)
        for path in paths:
            item = found.setdefault(path, Indexed(path))
            if not is_go(path) and not item.parsed and item.error is None:
                data = self.read(path)
                if importers.passes(path, data, Imports.of(data)):
                    self._open(item, data)
        return list({**found, **{item.path: item for item in self.index_go(list(filter(is_go, paths)))}}.values())

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
            result.add(self._found(module))
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
            result.add(self._found_in_go(self.go, file))
        except RecursionError:
            result.errors.append("nested too deeply; not analysed")
        result.source = file.source if result.findings else None
        for _, line, name in sorted(item for item in self.go.unanalysed if item[0] == result.path):
            result.errors.append(f"line {line}: {name} is not analysed: it is too large, or has syntax not known yet")
        for (_, rule), what in sorted(item for item in self.go.failed.items() if item[0][0] == result.path):
            result.errors.append(f"{rule} failed and said nothing of this file: {what}")

    def _found_in_go(self, analysis: GoAnalysis, file: GoFile) -> Iterator[Finding]:
        """All findings of a Go file, each accepted, or with its repair or why there is none."""
        allowed = self._suppressions(file.source)
        for located in analysis.leaks(file):
            finding = self._judged(located.finding, allowed)
            yield finding if finding.accepted else self._go_repaired(analysis, file, located)
        for matched in analysis.matches(file, self.go_patterns):
            finding = self._judged(matched.finding, allowed)
            yield finding if finding.accepted else self._go_answered(analysis, matched)

    def _go_repaired(self, analysis: GoAnalysis, file: GoFile, located: GoLocated) -> Finding:
        finding = located.finding
        answer = repaired_go(file.source, file.root, finding.span, located.leak, analysis.declared(file))
        if isinstance(answer, Fix):
            answer = verified_go(analysis, located, answer)
        if isinstance(answer, Refusal):
            return replace(finding, refusal=answer.reason)
        return replace(finding, fix=answer)

    def _go_answered(self, analysis: GoAnalysis, matched: GoMatched) -> Finding:
        answer = matched.match.repair()
        if isinstance(answer, Fix):
            answer = verified_go_pattern(analysis, matched, answer, self.go_patterns)
        if isinstance(answer, Refusal):
            return replace(matched.finding, refusal=answer.reason)
        return replace(matched.finding, fix=answer)

    def _reported(self, found: Iterable[Finding]) -> Iterator[Finding]:
        """Of what was found, what nothing accepts."""
        return (self.with_evidence(finding) for finding in found if not finding.accepted)

    def with_evidence(self, finding: Finding) -> Finding:
        """The finding with what a run showed of it."""
        observed = self.observed.get(finding.fingerprint)
        return replace(finding, observed=observed) if observed is not None else finding

    def _judged(self, finding: Finding, allowed: Suppressions) -> Finding:
        """The finding, marked where a comment or the baseline accepts it."""
        if allowed.allows(finding.rule, finding.suppression_lines):
            return replace(finding, accepted=Acceptance.COMMENT)
        if finding.fingerprint in self.baseline:
            return replace(finding, accepted=Acceptance.BASELINE)
        return finding

    def _found(self, module: Module) -> Iterator[Finding]:
        """All findings of a file, each accepted, or with its repair or why there is none."""
        allowed = self._suppressions(module.source)
        patterns = self._patterns_for(module)
        refining = {name: item for name, item in patterns.items() if item.refines}
        refined: dict[Span, Matched] | None = None
        for located in self.analysis.leaks(module):
            finding = self._judged(located.finding, allowed)
            if finding.accepted is not Acceptance.COMMENT:
                if refined is None:
                    refined = {m.finding.span: m for m in self.analysis.matches(module, refining)}
                finding = self._refined(located, refined.get(located.finding.span), refining) or self.with_fix(located)
                finding = self._judged(finding, NONE)
            yield finding
        plain = {name: item for name, item in patterns.items() if not item.refines}
        for matched in self.analysis.matches(module, plain):
            finding = self._judged(matched.finding, allowed)
            yield finding if finding.accepted else self.with_answer(matched, plain)

    def _patterns_for(self, module: Module) -> dict[str, PatternCodemod]:
        """The patterns worth asking: those without words are for every file that acquires something."""
        if is_test(module.path):  # lives no longer than one run
            return {}
        triggered = {name for name, item in self.patterns.items() if item.refines or not (item.words or item.imports)}
        data = module.source.data
        triggered.update(self.triggers.of(data, module.path, Imports.of(data), self.words.of(data)))
        return {name: item for name, item in self.patterns.items() if name in triggered}

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
            return self._reported(self._found_in_go(go, file)) if file is not None else iter(())
        analysis = self.analysis.with_module(self.analysis.parsed(source))
        module = analysis.modules.load(source.path)
        run = copy(self)
        run.analysis = analysis
        return run._reported(run._found(module)) if module else iter(())
