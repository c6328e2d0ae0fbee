"""What the engine concludes of single files; as plain values too, so that a later run can go on from there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from leakfix.cache.values import from_finding, to_finding
from leakfix.finding import Finding
from leakfix.source import SourceFile


@dataclass
class Indexed:
    """What a look at a file gave. round: 0 for the first look at all files, then with what others export known."""

    path: str
    parsed: bool = False
    acquires: bool = False
    matches: bool = False
    exports: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    error: str | None = None
    round: int = 0
    late: bool = False
    """Whether its time was up: another run may come further."""


@dataclass
class Analysed:
    """The findings of one file."""

    path: str
    source: SourceFile | None = None
    findings: list[Finding] = field(default_factory=list)
    accepted: list[Finding] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    late: bool = False

    def add(self, found: Iterable[Finding]) -> None:
        """Sort what was found into findings and what is accepted."""
        for finding in found:
            (self.accepted if finding.accepted else self.findings).append(finding)


class FactsChanged(Exception):
    """A fact about the whole project is another than it was: what was concluded of single files does not hold."""


@dataclass(frozen=True)
class Known:
    """What is known of the files that need not be looked at again, and of the project.

    redone: the files that do; None where all do.
    """

    redone: frozenset[str] | None = None
    indexed: tuple[Indexed, ...] = ()
    analysed: tuple[Analysed, ...] = ()
    released: frozenset[str] = frozenset()
    exported: frozenset[str] = frozenset()

    def wants(self, path: str) -> bool:
        """Whether a file has to be looked at."""
        return self.redone is None or path in self.redone

    def of_round(self, number: int) -> list[Indexed]:
        """What is known of that round."""
        return [item for item in self.indexed if item.round == number]

    def require(self, released: Iterable[str], exported: Iterable[str] | None = None) -> None:
        """Raise FactsChanged where the project's own facts are others now."""
        if self.redone is None:
            return
        if self.released != frozenset(released) or (exported is not None and self.exported != frozenset(exported)):
            raise FactsChanged


NOTHING = Known()


def values(
    indexed: Iterable[Indexed], analysed: Iterable[Analysed], released: Iterable[str], exported: Iterable[str]
) -> dict[str, Any]:
    """Everything that was concluded, as plain values."""
    return {
        "indexed": [
            [
                *(item.path, item.parsed, item.acquires, item.matches, item.error, item.round),
                *(sorted(item.exports), sorted(item.released), sorted(item.words)),
            ]
            for item in indexed
        ],
        "analysed": [
            [item.path, [from_finding(each) for each in (*item.findings, *item.accepted)], item.errors]
            for item in analysed
        ],
        "released": sorted(released),
        "exported": sorted(exported),
    }


def known(facts: dict[str, Any], redone: frozenset[str]) -> Known:
    """What of it still holds. Raises KeyError, TypeError, ValueError where the values are no facts."""
    indexed = (_to_indexed(*each) for each in facts["indexed"] if each[0] not in redone)
    analysed = (_to_analysed(*each) for each in facts["analysed"] if each[0] not in redone)
    released, exported = frozenset(facts["released"]), frozenset(facts["exported"])
    return Known(redone, tuple(indexed), tuple(analysed), released, exported)


def _to_analysed(path: str, findings: list[dict[str, Any]], errors: list[str]) -> Analysed:
    result = Analysed(path, errors=errors)
    result.add(map(to_finding, findings))
    return result


def _to_indexed(
    path: str,
    parsed: bool,
    acquires: bool,
    matches: bool,
    error: str | None,
    number: int,
    exports: list[str],
    released: list[str],
    words: list[str],
) -> Indexed:
    sets = frozenset(exports), frozenset(released), frozenset(words)
    return Indexed(path, parsed, acquires, matches, *sets, error, number)
