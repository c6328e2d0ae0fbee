"""What a run showed, as plain values: written by processes that end, joined, and read by those that go on.

The document is one JSON object::

    {"leakfix": VERSION, "evidence": 1, "processes": N, "peak": most open at once in one process,
     "sites": [{"resource", "noun", "path", "line", "function", "acquired", "released", "open",
                "kept", "peak", "lost": {"until-gc": n, "until-unreferenced": n}, "held": as of findings or null,
                "stack": [{"path", "line", "function"}...], "released_at": [{"path", "line", "function", "count"}...],
                "tests": [...]}],
     "refused": {"TimeoutError: ...": count}, "memory": {"first", "last", "most"} in bytes, summed over processes}
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from leakfix import __version__
from leakfix.runtime.frames import Line, read
from leakfix.runtime.keepers import kept
from leakfix.runtime.ledger import CALLERS, Ledger, Site
from leakfix.runtime.memory import most_resident, resident

VERSION = 1
_MOST_TESTS = 20


class BadEvidence(ValueError):
    """A file is no evidence; the message says why."""


@dataclass(frozen=True)
class Seen:
    """What was seen at one acquiring line, called from certain lines.

    path: relative to the folder the program began in where it lies below it.
    lost: went without having been released, by how; open: was there at the end; kept: was there on purpose, in a place
    for what lives as long as the program; peak: most open at one time.
    held: the worst that was seen; None where everything was released.
    """

    resource: str
    noun: str
    path: str
    line: int
    function: str
    acquired: int = 0
    released: int = 0
    open: int = 0
    kept: int = 0
    peak: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    stack: tuple[Line, ...] = ()
    released_at: tuple[tuple[Line, int], ...] = ()
    tests: tuple[str, ...] = ()

    @property
    def unreleased(self) -> int:
        """How many were not released."""
        return self.open + sum(self.lost.values())

    @property
    def held(self) -> str | None:
        """How long a forgotten one stayed, at worst."""
        if self.open:
            return "forever"
        return next((how for how in ("until-gc", "until-unreferenced") if self.lost.get(how)), None)


@dataclass(frozen=True)
class Evidence:
    """What one or several processes showed."""

    sites: tuple[Seen, ...] = ()
    refused: dict[str, int] = field(default_factory=dict)
    processes: int = 1
    peak: int = 0
    memory: dict[str, int] = field(default_factory=dict)

    @property
    def unreleased(self) -> tuple[Seen, ...]:
        """The lines that did not release everything, whoever called them, the worst first."""
        left = (seen for seen in together(self.sites) if seen.unreleased)
        return tuple(sorted(left, key=lambda seen: -seen.unreleased))


def evidence(ledger: Ledger, folder: str | None = None) -> Evidence:
    """What a ledger has in it now. folder: what paths are told relative to."""
    last = resident()
    memory = {"first": ledger.first_resident or last, "last": last, "most": most_resident()}
    still = ledger.open()
    on_purpose = kept(still)
    keepers = Counter(holding.site for holding in still if holding.key in on_purpose)
    sites = tuple(_seen(site, keepers[site], folder) for site in ledger.sites() if site.acquired)
    return Evidence(tuple(_joined(sites)), dict(ledger.refusals), 1, ledger.peak, memory)


def _seen(site: Site, kept_of_it: int, folder: str | None) -> Seen:
    stack = tuple(shown(read(place), folder) for place in site.stack)
    released_at = tuple((shown(read(place), folder), count) for place, count in site.released_at.most_common(8))
    tests = tuple(tag for tag in site.tags if tag)[:_MOST_TESTS]
    lost: dict[str, int] = {str(how): count for how, count in site.lost.items()}
    at = stack[0]
    return Seen(
        site.resource.id, site.resource.noun, at.path, at.line, at.function, site.acquired, site.released,
        site.open - kept_of_it, kept_of_it, site.peak, lost, stack, released_at, tests,
    )  # fmt: skip


def shown(line: Line, folder: str | None) -> Line:
    """A line as people know it: by a path relative to the folder."""
    path = line.path
    if folder is not None and not path.startswith("<"):
        path = os.path.normpath(os.path.join(folder, path)).removeprefix(os.path.join(folder, ""))
    return replace(line, path=path.replace(os.sep, "/"))


def joined(parts: Iterable[Evidence]) -> Evidence:
    """What several processes showed together."""
    found = list(parts)
    refused, memory = Counter[str](), Counter[str]()
    for part in found:
        refused.update(part.refused)
        memory.update(part.memory)
    sites = _joined(seen for part in found for seen in part.sites)
    processes = sum(part.processes for part in found)
    return Evidence(tuple(sites), dict(refused), processes, max((part.peak for part in found), default=0), dict(memory))


def together(sites: Iterable[Seen]) -> list[Seen]:
    """One entry for each acquiring line, whoever called it."""
    return _joined(sites, callers=0)


def _joined(sites: Iterable[Seen], callers: int = CALLERS) -> list[Seen]:
    known: dict[tuple[object, ...], Seen] = {}
    for seen in sites:
        key = seen.resource, seen.path, seen.line, seen.stack[1 : 1 + callers]
        known[key] = _both(known[key], seen) if key in known else seen
    return sorted(known.values(), key=lambda seen: (seen.path, seen.line, seen.resource))


def _both(one: Seen, other: Seen) -> Seen:
    places = Counter(dict(one.released_at))
    places.update(dict(other.released_at))
    return replace(
        one,
        acquired=one.acquired + other.acquired,
        released=one.released + other.released,
        open=one.open + other.open,
        kept=one.kept + other.kept,
        peak=max(one.peak, other.peak),
        lost=dict(Counter(one.lost) + Counter(other.lost)),
        released_at=tuple(places.most_common(8)),
        tests=tuple(dict.fromkeys((*one.tests, *other.tests)))[:_MOST_TESTS],
    )


HOW = {"until-gc": "taken by the garbage collector", "until-unreferenced": "gone with the last reference"}


def told(found: Evidence, who: str) -> Iterator[str]:
    """What was not released, by acquiring line, for people."""
    left = found.unreleased
    count = sum(seen.unreleased for seen in left)
    most = f"at most {found.peak} open at once"
    yield f"leakfix: {who} left {count} open at {len(left)} line{'s' * (len(left) != 1)}, {most}\n"
    for seen in left:
        yield f"  {seen.path}:{seen.line} in {seen.function}: {fate(seen)}\n"
        yield from (f"    called at {line.path}:{line.line} in {line.function}\n" for line in seen.stack[1:4])
    for text, times in sorted(found.refused.items(), key=lambda item: -item[1])[:5]:
        yield f"  {times} x not acquired: {text}\n"


def fate(seen: Seen) -> str:
    """What became of what was acquired at a line: ``3 of 20 sessions not released: 2 still open, 1 ...``."""
    how = [f"{seen.open} still open"] if seen.open else []
    how += [f"{count} {HOW.get(kind, kind)}" for kind, count in sorted(seen.lost.items())]
    return f"{seen.unreleased} of {seen.acquired} not released ({seen.resource}): {', '.join(how)}"


def dumped(found: Evidence) -> str:
    """The evidence as JSON."""
    return json.dumps(document(found), indent=1)


def document(found: Evidence) -> dict[str, Any]:
    """The evidence as plain values."""
    return {
        "leakfix": __version__,
        "evidence": VERSION,
        "processes": found.processes,
        "peak": found.peak,
        "sites": [_site(seen) for seen in found.sites],
        "refused": found.refused,
        "memory": found.memory,
    }


def _site(seen: Seen) -> dict[str, Any]:
    values = {**asdict(seen), "held": seen.held, "tests": list(seen.tests)}
    values["released_at"] = [{**asdict(line), "count": count} for line, count in seen.released_at]
    return values


def loaded(text: str | bytes) -> Evidence:
    """The evidence of a document. Raises BadEvidence."""
    try:
        values = json.loads(text)
        if not isinstance(values, dict) or "evidence" not in values:
            raise BadEvidence("it is no report of `pytest --leakfix` or `leakfix run`")
        if values["evidence"] != VERSION:
            raise BadEvidence(f"it has version {values['evidence']!r}, this leakfix reads {VERSION}")
        sites = tuple(_read_site(site) for site in values["sites"])
        memory, refused = dict(values["memory"]), dict(values["refused"])
        return Evidence(sites, refused, int(values["processes"]), int(values["peak"]), memory)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, BadEvidence):
            raise
        raise BadEvidence(f"it cannot be read as evidence: {type(error).__name__}: {error}") from error


def _read_site(values: dict[str, Any]) -> Seen:
    texts = (str(values[key]) for key in ("resource", "noun", "path"))
    resource, noun, path = texts
    counts = {key: int(values[key]) for key in ("acquired", "released", "open", "kept", "peak")}
    lost = {str(how): int(count) for how, count in values["lost"].items()}
    released_at = tuple((_read_line(each), int(each["count"])) for each in values["released_at"])
    stack = tuple(_read_line(each) for each in values["stack"])
    tests = tuple(map(str, values["tests"]))
    return Seen(
        resource, noun, path, int(values["line"]), str(values["function"]), **counts, lost=lost, stack=stack,
        released_at=released_at, tests=tests,
    )  # fmt: skip


def _read_line(values: dict[str, Any]) -> Line:
    return Line(str(values["path"]), int(values["line"]), str(values["function"]))
