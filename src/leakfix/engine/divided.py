"""A project whose folders tell of different in-house resources: one run for each, used as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from leakfix.config import Config
from leakfix.engine.run import Run
from leakfix.finding import Finding
from leakfix.project.files import read_file
from leakfix.registry import Registry
from leakfix.result import Decide, FileRepair
from leakfix.source import SourceFile


def runs(
    config: Config, registry: Registry, files: Sequence[str], read: Callable[[str], bytes] = read_file
) -> list[tuple[Run, set[str]]]:
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
    return [(Run(config, its, read, own), own) for _, its, own in groups if own or len(groups) == 1]


class Divided:
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
