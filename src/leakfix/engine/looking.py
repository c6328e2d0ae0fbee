"""The looks at a project's files, by all workers: what acquires something, who uses what others export, findings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from leakfix.cache.facts import NOTHING, Analysed, Indexed, Known
from leakfix.engine.run import Run, is_go
from leakfix.languages.python.importers import Exports, reached
from leakfix.project.discover import is_whole
from leakfix.project.mentions import project_root
from leakfix.project.trace import Trace, trace
from leakfix.project.workers import Workers
from leakfix.result import FileError

_ROUNDS = 8


@dataclass(frozen=True)
class Look:
    """What one run gave of its files."""

    indexed: list[Indexed]
    analysed: list[Analysed]
    released: set[str]
    exported: set[str]
    traces: list[Trace]
    errors: list[FileError]
    parsed: set[str]


def look(
    run: Run, own: set[str], files: Sequence[str], paths: Sequence[str], jobs: int | None, known: Known = NOTHING
) -> Look:
    """Analyse some of the files found below some paths; what the others export and release counts for them, too."""
    with Workers(run, jobs, len(files) if known.redone is None else len(known.redone)) as workers:
        indexed = index(workers, paths, files, known)
        released = {word for item in indexed for word in item.released}
        exported = {name for item in indexed for name in item.exports}
        known.require(released, exported)
        acquire = {item.path for item in indexed if item.acquires and item.path in own}
        match = {item.path for item in indexed if item.matches and item.path in own} - acquire
        analysed = workers.map(Run.analyse_all, sorted(filter(known.wants, acquire | match)), match)
        traces = workers.each(Run.traced) if trace.on else []
    named = set(files)
    first = [item for item in indexed if item.round == 0 and item.path in named]
    errors = [FileError(item.path, item.error) for item in first if item.error]
    parsed = {item.path for item in indexed if item.parsed and item.path in named}
    return Look(indexed, [*analysed, *known.analysed], released, exported, traces, errors, parsed)


def index(workers: Workers[Run], paths: Sequence[str], files: Sequence[str], known: Known = NOTHING) -> list[Indexed]:
    """The first look at the files found below some paths, at what of the project they import and what imports them."""
    python, run = [path for path in files if not is_go(path)], workers.state
    indexed = workers.map(Run.index, [path for path in python if known.wants(path)])
    if not all(map(is_whole, paths)):
        indexed += workers.map(Run.index, reached(python, run.analysis.modules, run.read), wanted=False)
    indexed += [item for item in known.of_round(0) if not is_go(item.path)]
    released = {word for item in indexed for word in item.released}
    known.require(released)
    workers.each(Run.leave_out_released, released)
    if list(paths) == ["."] and project_root("_") == os.getcwd():
        words = dict.fromkeys(files, frozenset[str]()) | {item.path: item.words for item in indexed}
        workers.each(Run.mentioned, os.getcwd(), words)
    indexed += importing(workers, indexed, known)
    go = workers.map(Run.index_go, [path for path in files if is_go(path) and known.wants(path)])
    return indexed + go + [item for item in known.of_round(0) if is_go(item.path)]


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
