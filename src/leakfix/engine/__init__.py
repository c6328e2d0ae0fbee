"""The story on one screen: discover, filter, analyse, repair, verify. Writes nothing."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from leakfix.cache.facts import NOTHING, FactsChanged, Known
from leakfix.cache.facts import known as known_of
from leakfix.cache.facts import values as facts_of
from leakfix.cache.kept import Kept
from leakfix.cache.memory import Memory, report_values, source_of
from leakfix.cache.program import Program
from leakfix.config import SETTINGS, Config
from leakfix.engine.divided import Divided, runs
from leakfix.engine.looking import Look, importing, index, look
from leakfix.engine.run import Run
from leakfix.finding import Finding
from leakfix.project import manifest
from leakfix.project import trace as tracing
from leakfix.project.discover import discover, displayed, is_whole
from leakfix.project.files import read_file
from leakfix.project.trace import Trace, has_one_of
from leakfix.registry import Registry
from leakfix.result import Decide, FileError, FileRepair, Report, Rule

if TYPE_CHECKING:
    from leakfix.runtime.evidence import Evidence, Seen

__all__ = ["NO_TEXTS", "Report", "Run", "check", "importing", "index", "prepare", "reading", "repair"]

_RECURSION = 12_000
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
            kept.forget()
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
    parts = runs(config, registry, files, reading(texts))
    if len(parts) > 1:
        kept = None
    if kept is not None:
        _ask_for_settings(config)
    known = _known(kept, files, all(map(is_whole, paths)))
    looks = [look(run, own, files, paths, jobs, known) for run, own in parts]
    analysed = [item for each in looks for item in each.analysed]
    findings = [finding for item in analysed for finding in item.findings]
    missed: tuple[Seen, ...] | None = None
    if evidence is not None:
        from leakfix.confirm import compared

        observed, missed = compared(findings, evidence, files)
        for run, _ in parts:
            run.observed = observed
        findings = [parts[0][0].with_evidence(finding) for finding in findings]
    errors = {FileError(path, message) for path, message in found.errors}
    errors.update(error for each in looks for error in each.errors)
    errors.update(FileError(item.path, message) for item in analysed for message in item.errors)
    report = Report(
        tuple(sorted(findings, key=_worst_first)),
        tuple(sorted(errors, key=lambda error: (error.path, error.message))),
        len(files),
        len(set().union(*(each.parsed for each in looks))),
        time.monotonic() - started,
        {item.path: item.source or source_of(item.path) for item in analysed if item.findings},
        None if known.redone is not None else parts[0][0] if len(parts) == 1 else Divided(parts),
        missed,
        tuple(sorted((finding for item in analysed for finding in item.accepted), key=_worst_first)),
        any(run.has_baseline for run, _ in parts),
        lambda: _rules([run.registry for run, _ in parts]),
    )
    late = any(item.late for each in looks for item in each.indexed) or any(item.late for item in analysed)
    if kept is not None and not registry.broken and not late:
        kept.keep(_memory(kept, known, looks[0], registry, files, report))
    return report


def _rules(registries: Sequence[Registry]) -> Mapping[str, Rule]:
    return {name: codemod for registry in registries for name, codemod in registry.codemods.items()}


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


def _known(kept: Kept | None, files: Sequence[str], whole: bool) -> Known:
    """What earlier runs found that still holds. whole: whether all that the files use lies among them."""
    memory = kept.memory if kept is not None else None
    if kept is None or memory is None or not memory.program.is_unchanged():
        return NOTHING
    change = memory.change(files)
    if change.beyond or (change and not whole):
        kept.forget()
        return NOTHING
    try:
        return known_of(memory.facts, memory.affected(change) if change else frozenset())
    except (KeyError, TypeError, ValueError):
        kept.forget()
        return NOTHING


def _memory(kept: Kept, known: Known, seen: Look, registry: Registry, files: list[str], report: Report) -> Memory:
    trace = Trace()
    for part in seen.traces:
        trace.add(part)
    if kept.memory is not None and known.redone is not None:
        trace = kept.memory.continued(trace, known.redone)
    facts = facts_of(seen.indexed, seen.analysed, seen.released, seen.exported)
    return Memory(trace, Program.now(registry.packages), files, report_values(report), facts)


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
