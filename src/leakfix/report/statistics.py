"""How many findings of each rule there are, and how many of them can be repaired."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from leakfix.finding import Finding, Safety


@dataclass(frozen=True)
class Count:
    """The findings of one rule: how many, and how many have a repair of which kind."""

    rule: str
    category: str
    findings: int
    safe: int
    review: int


def counted(findings: Iterable[Finding]) -> list[Count]:
    """The rules that were found, the most frequent first."""
    listed = list(findings)
    number = Counter((finding.rule, str(finding.category)) for finding in listed)
    fixes = Counter((finding.rule, finding.fix.safety) for finding in listed if finding.fix is not None)
    counts = [
        Count(rule, category, count, fixes[rule, Safety.SAFE], fixes[rule, Safety.REVIEW])
        for (rule, category), count in number.items()
    ]
    return sorted(counts, key=lambda count: (-count.findings, count.rule))


def rendered(findings: Iterable[Finding]) -> Iterator[str]:
    """One line for each rule, as text."""
    counts = counted(findings)
    width = max((len(count.rule) for count in counts), default=0)
    for count in counts:
        kinds = [f"{count.safe} safe"] * bool(count.safe) + [f"{count.review} to review"] * bool(count.review)
        told = f"  fixes: {', '.join(kinds)}" if kinds else ""
        yield f"{count.findings:>6}  {count.rule:<{width if told else 0}}{told}\n"


def dumped(findings: Iterable[Finding]) -> str:
    """The same as JSON."""
    return json.dumps([vars(count) for count in counted(findings)], indent=2)
