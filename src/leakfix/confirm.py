"""Which findings a run confirmed, and what it showed that the analysis did not find."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from leakfix.finding import Finding, Observed
from leakfix.project.files import read_file
from leakfix.runtime.evidence import Evidence, Seen, fate, together
from leakfix.runtime.frames import Line

_ALLOWED = b"leakfix: allow"


def compared(
    findings: Sequence[Finding], evidence: Evidence, files: Collection[str]
) -> tuple[Mapping[str, Observed], tuple[Seen, ...]]:
    """What was seen of each finding, by its fingerprint; and what leaked in these files without being found.

    Where the analysis blames the caller of a function that hands something out, so does the stack of what was seen.
    """
    places = defaultdict[str, list[Finding]](list)
    for finding in findings:
        places[finding.path].append(finding)
    seen_of = defaultdict[str, list[Seen]](list)
    missed = list[Seen]()
    for seen in evidence.sites:
        found = _finding_of(seen, places)
        if found is not None:
            seen_of[found.fingerprint].append(seen)
        elif seen.unreleased and seen.path in files and not _is_allowed(seen):
            missed.append(seen)
    observed = {key: _observed(_worst(each)) for key, each in seen_of.items()}
    return observed, tuple(together(missed))


def _worst(sites: Sequence[Seen]) -> Seen:
    """Of the lines of one finding, the one that left most behind."""
    return max(together(sites), key=lambda seen: seen.unreleased)


def _finding_of(seen: Seen, places: Mapping[str, list[Finding]]) -> Finding | None:
    for line in seen.stack or (Line(seen.path, seen.line, seen.function),):
        here = [each for each in places.get(line.path, ()) if each.line <= line.line <= each.end_line]
        same = [each for each in here if each.resource == seen.noun]
        if same or here:
            return (same or here)[0]
    return None


def _is_allowed(seen: Seen) -> bool:
    """Whether a comment in the line of acquisition says that it may stay open."""
    try:
        lines = read_file(seen.path).splitlines()
    except (OSError, ValueError):
        return False
    return seen.line <= len(lines) and _ALLOWED in lines[seen.line - 1]


def _observed(seen: Seen) -> Observed:
    stack = tuple(f"{line.path}:{line.line} in {line.function}" for line in seen.stack)
    return Observed(seen.acquired, seen.unreleased, fate(seen), stack, seen.tests)
