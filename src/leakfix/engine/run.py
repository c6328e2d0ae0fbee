"""One analysis of a project, and what of it can be asked again as files change: what every worker has a copy of."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace

from leakfix.analysis import Analysis, Matched, Rules
from leakfix.analysis_go import GoAnalysis
from leakfix.cache.facts import Analysed, Indexed
from leakfix.codemod import PatternCodemod
from leakfix.config import Config
from leakfix.engine import answers
from leakfix.engine.chosen import Chosen
from leakfix.finding import Acceptance, Finding, Observed
from leakfix.intent import PATCHING
from leakfix.languages.go.packages import GoFile, Packages
from leakfix.languages.python.importers import Exports, Importers, ImportIndex
from leakfix.languages.python.modules import Import, Module
from leakfix.languages.python.project import Modules, Unparsable
from leakfix.lifetimes.shared import releases_for_all
from leakfix.patterns.text import Text
from leakfix.project.files import read_file
from leakfix.project.imports import Imports
from leakfix.project.kinds import is_test
from leakfix.project.mentions import Mentions
from leakfix.project.prefilter import Prefilter
from leakfix.project.suppressions import Suppressions, suppressions
from leakfix.project.timelimit import OutOfTime, limited
from leakfix.project.trace import Trace, trace
from leakfix.project.words import Words
from leakfix.registry import Registry
from leakfix.result import Decide, FileRepair
from leakfix.source import SourceFile, Span, UndecodableSource
from leakfix.verify import compiled

_MOST_REPAIRS = 200


def is_go(path: str) -> bool:
    """Whether a file is Go by its name."""
    return path.endswith(".go")


class Run:
    """What the workers share: the tables, the rules of each file, the words that make a function worth lowering.

    read: how files are read. files: those whose settings are looked up at once, before there are other processes.
    Raises ConfigError where the settings or the baseline of one of them are none.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        read: Callable[[str], bytes] = read_file,
        files: Collection[str] = (),
    ) -> None:
        self.config = config
        self.registry = registry
        self.read = read
        self.observed: Mapping[str, Observed] = {}
        self.table = registry.table
        self.prefilter = Prefilter(registry.table)
        shared = (word for row in self.table.resources if row.shared for word in row.release_with)
        self.shared_releases = {word: b"." + word.encode() + b"()" for word in shared}
        self.released: frozenset[str] = frozenset()
        self._chosen: dict[int, Chosen] = {}
        self._literals = {*self.prefilter.telling, *self.shared_releases.values()}
        self._words: Words | None = None
        self._last_triggered: tuple[tuple[str, bytes], list[str]] = (("", b""), [])
        for path in files:
            self.chosen(path)
        asked = {word for each in self._chosen.values() for item in each.patterns.values() for word in item.asks}
        asked |= PATCHING
        self.analysis = Analysis(self.table, Rules({}), Modules(read), Mentions(config, sorted(asked), read))
        self._literals.update(self.analysis.mentions.words)
        self.imports = ImportIndex()
        self.go = GoAnalysis(self.table, Rules({}), Packages(read))

    def chosen(self, path: str) -> Chosen:
        """What is to be looked for in a file. Raises ConfigError where its settings or their baseline are none."""
        config = self.config.governing(path)
        known = self._chosen.get(id(config))
        if known is None:
            known = self._chosen[id(config)] = Chosen.of(config, self.registry)
            if not self._literals.issuperset(known.triggers.words):
                self._literals.update(known.triggers.words)
                self._words = None
        return known

    @property
    def words(self) -> Words:
        """The words that are sought in every file, for all settings that are known."""
        if self._words is None:
            self._words = Words(self._literals)
        return self._words

    @property
    def has_baseline(self) -> bool:
        """Whether the settings of some file have accepted something."""
        return any(each.baseline.entries for each in self._chosen.values())

    def traced(self) -> Trace:
        """What this process read and asked."""
        return trace

    def leave_out_released(self, words: Iterable[str]) -> None:
        """What releases something that is shared by all stands somewhere in the project: that is nobody's leak."""
        self.released = frozenset(words)

    def mentioned(self, root: str, words: Mapping[str, frozenset[str]]) -> None:
        """What the index found of the words that patterns seek in other files."""
        self.analysis.mentions.listed(root, words)

    def index(self, paths: Sequence[str], wanted: bool = True) -> list[Indexed]:
        """Read files and see which acquire something and what they export; those with nothing to say are left out.

        wanted: whether they are to be analysed; those that are not need no settings.
        """
        found = []
        for path in paths:
            item = Indexed(path)
            try:
                data = self.read(path)
            except OSError as error:
                item.error = error.strerror or str(error)
            else:
                triggers = self.chosen(path).triggers if wanted and not is_test(path) else None
                imports = Imports.of(data)
                self.imports.add(path, imports)
                words = self.words.of(data)
                item.released = self._released(path, data, imports, words)
                # What a library's own files import of it is the project's code, not the library.
                roots = [r for r in self.prefilter.roots(imports) if not self._is_own(path, r.decode())]
                if self.prefilter.passes(data, imports, roots, words):
                    self._open(item, data)
                item.words = frozenset(self.analysis.mentions.words_in(data, words))
                item.matches = triggers is not None and bool(triggers.of(data, path, imports, words))
            if item != Indexed(path):
                found.append(item)
        return found

    def _released(self, path: str, data: bytes, imports: Imports, words: frozenset[bytes]) -> frozenset[str]:
        """What releases something that is shared by all, and may serve others than the function it stands in."""
        called = {word: call for word, call in self.shared_releases.items() if call in words}
        if not called or is_test(path):
            return frozenset()
        outside = {
            name.decode("utf-8", "replace")
            for package, name in imports.bound
            if package and not self._is_own(path, package.decode("utf-8", "replace"))
        }
        return frozenset([word for word, call in called.items() if releases_for_all(data, call, outside)])

    def index_go(self, paths: Sequence[str]) -> list[Indexed]:
        """Read Go files and see which may acquire something; tests live no longer than one run."""
        found = []
        for path in paths:
            item = Indexed(path)
            try:
                data = b"" if is_test(path) else self.read(path)
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
        importers = Importers(self.analysis.modules, exports, self._methods())
        found = []
        for path in self.imports.near(exports):
            with suppress(OSError):
                data = self.read(path)
                if importers.passes(path, data, Imports.of(data)):
                    found.append(Indexed(path))
                    self._open(found[-1], data)
        return found

    def _methods(self) -> set[str]:
        """What may acquire on an object: methods of libraries, and whatever any file is known to export."""
        return set[str]().union(*self.table.method_words.values(), *self.analysis.exported.values())

    def renew(self, paths: Sequence[str], gone: Sequence[str], moved: bool) -> list[Indexed]:
        """Look again at files that are not as they were; nothing that was concluded from them counts any more.

        moved: whether some came or went, so that imports may lead elsewhere.
        """
        former, every = self.analysis, [*paths, *gone]
        former.modules.forget(every, moved)
        for path in every:
            self.imports.remove(path)
            former.mentions.renew(path)
        self.analysis = Analysis(self.table, former.rules, former.modules, former.mentions, former.exported)
        self.go = GoAnalysis(self.table, self.go.rules, self.go.packages.without(every, moved))
        found = {item.path: item for item in self.index([path for path in paths if not is_go(path)])}
        importers = Importers(former.modules, former.exported, self._methods())
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
        if not self._in_time(lambda: self._opened(item, data)):
            item.late, item.error, item.exports = True, self._too_long, frozenset()

    def _in_time(self, work: Callable[[], None]) -> bool:
        """Whether a file's work was done within the time it may take; nothing half-done is used any more."""
        try:
            with limited(self.config.time_limit):
                work()
        except OutOfTime:
            former = self.analysis
            former.modules.drop()
            self.analysis = Analysis(self.table, former.rules, former.modules, former.mentions, former.exported)
            self.go = GoAnalysis(self.table, self.go.rules, self.go.packages.without((), moved=True))
            return False
        return True

    @property
    def _too_long(self) -> str:
        return f"not analysed: it would take more than {self.config.time_limit} s of processor time (time-limit)"

    def _opened(self, item: Indexed, data: bytes) -> None:
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

    def analyse_all(self, paths: Sequence[str], matching: Collection[str] = ()) -> list[Analysed]:
        """Find and repair the leaks of several files. matching: those in which nothing that acquires is known."""
        return [self.analyse(path, path in matching) for path in paths]

    def analyse(self, path: str, only_matches: bool = False) -> Analysed:
        """Find and repair the leaks of one file. only_matches: nothing that acquires is known in it."""
        result = Analysed(path)
        if only_matches and not self._is_worth(path):
            return result
        if not self._in_time(lambda: self._analyse_go(result) if is_go(path) else self._analyse_python(result)):
            return Analysed(path, errors=[self._too_long], late=True)
        return result

    def _is_worth(self, path: str) -> bool:
        """Whether the text of a file leaves a chance to one of the patterns it has the words of."""
        try:
            text = Text(path, self.read(path), self.analysis.mentions)
        except OSError:
            return False
        patterns = self.chosen(path).patterns
        worth = (patterns[name].worth for name in self._triggered(text) if name in patterns)
        return any(ask is None or ask(text) for ask in worth)

    def _analyse_python(self, result: Analysed) -> None:
        path = result.path
        module = self.analysis.modules.load(path)
        if module is None or not module.whole:
            return
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

    def _found(self, module: Module) -> Iterator[Finding]:
        """All findings of a file, each accepted, or with its repair or why there is none."""
        self.analysis.rules = self._rules_for(module.path)
        return self.chosen(module.path).baseline.marked(self._answered(module), module.source)

    def _answered(self, module: Module) -> Iterator[Finding]:
        """All findings of a file; what is sure to be accepted is not always repaired."""
        allowed = self._suppressions(module.source)
        baseline = self.chosen(module.path).baseline
        patterns = self._patterns_for(module)
        refining = {name: item for name, item in patterns.items() if item.refines}
        refined: dict[Span, Matched] | None = None
        names = self.chosen(module.path).names
        for located in (found for found in self.analysis.leaks(module) if found.finding.rule in names):
            finding = _judged(located.finding, allowed)
            if not finding.accepted:
                if refined is None:
                    refined = {m.finding.span: m for m in self.analysis.matches(module, refining)}
                matched = refined.get(finding.span)
                better = answers.refined(self.analysis, located, matched, refining)
                finding = better or answers.leak(self.analysis, located)
            yield finding
        plain = {name: item for name, item in patterns.items() if not item.refines}
        for matched in self.analysis.matches(module, plain):
            finding = _judged(matched.finding, allowed)
            is_settled = finding.accepted or finding.fingerprint in baseline
            yield finding if is_settled else answers.match(self.analysis, matched, plain)

    def _patterns_for(self, module: Module) -> dict[str, PatternCodemod]:
        """The patterns worth asking: those without words are for every file that acquires something."""
        if is_test(module.path):  # lives no longer than one run
            return {}
        chosen = self.chosen(module.path)
        triggered = {name for name, item in chosen.patterns.items() if item.refines or not (item.words or item.imports)}
        triggered.update(self._triggered(Text(module.path, module.source.data, self.analysis.mentions)))
        return {name: item for name, item in chosen.patterns.items() if name in triggered}

    def _triggered(self, text: Text) -> list[str]:
        """The patterns that the text of a file is near to; asked twice of one file, before and after it is parsed."""
        asked, names = self._last_triggered
        if asked != (text.path, text.data):
            imports, words = Imports.of(text.data), self.words.of(text.data)
            names = self.chosen(text.path).triggers.of(text.data, text.path, imports, words)
            self._last_triggered = ((text.path, text.data), names)
        return names

    def _found_in_go(self, analysis: GoAnalysis, file: GoFile) -> Iterator[Finding]:
        """All findings of a Go file, each accepted, or with its repair or why there is none."""
        analysis.rules = self._rules_for(file.path)
        return self.chosen(file.path).baseline.marked(self._answered_in_go(analysis, file), file.source)

    def _answered_in_go(self, analysis: GoAnalysis, file: GoFile) -> Iterator[Finding]:
        allowed = self._suppressions(file.source)
        chosen = self.chosen(file.path)
        for located in (found for found in analysis.leaks(file) if found.finding.rule in chosen.names):
            finding = _judged(located.finding, allowed)
            is_settled = finding.accepted or finding.fingerprint in chosen.baseline
            yield finding if is_settled else answers.go_leak(analysis, file, located)
        for matched in analysis.matches(file, chosen.go_patterns):
            finding = _judged(matched.finding, allowed)
            is_settled = finding.accepted or finding.fingerprint in chosen.baseline
            yield finding if is_settled else answers.go_match(analysis, matched, chosen.go_patterns)

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

    def _suppressions(self, source: SourceFile) -> Suppressions:
        return suppressions(source, self.registry.codemods.keys())

    def _reported(self, found: Iterable[Finding]) -> Iterator[Finding]:
        """Of what was found, what nothing accepts."""
        return (self.with_evidence(finding) for finding in found if not finding.accepted)

    def with_evidence(self, finding: Finding) -> Finding:
        """The finding with what a run showed of it."""
        observed = self.observed.get(finding.fingerprint)
        return replace(finding, observed=observed) if observed is not None else finding

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


def _judged(finding: Finding, allowed: Suppressions) -> Finding:
    """The finding, marked where a comment accepts it."""
    is_allowed = allowed.allows(finding.rule, finding.suppression_lines)
    return replace(finding, accepted=Acceptance.COMMENT) if is_allowed else finding
