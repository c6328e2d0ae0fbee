"""Which findings are new, compared with those of an earlier state of the same files.

Lines, functions and files may have moved meanwhile: what is known again by one sign is not asked about by the next,
and no earlier finding accounts for two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass

from leakfix.finding import Finding
from leakfix.project.baseline import content_of
from leakfix.source import SourceFile

_Sign = Callable[[Finding], Hashable]


@dataclass(frozen=True)
class State:
    """The findings of one state of the files, and the files they are in."""

    findings: Iterable[Finding]
    sources: Mapping[str, SourceFile]

    def text(self, finding: Finding) -> str:
        """The code a finding is about."""
        return " ".join(self.sources[finding.path].text(finding.span).split())

    def content(self, finding: Finding) -> str:
        """What a finding consists of, without names of functions and files."""
        return content_of(finding, self.sources[finding.path])


def introduced(now: State, before: State, former: Mapping[str, str], gone: Collection[str]) -> list[Finding]:
    """The findings of now that were none before.

    former: for files that had another path, that path. gone: paths of before that are no more, nor came to be others.
    """
    left, rest = list(now.findings), list(before.findings)

    def at(finding: Finding) -> str:
        return former.get(finding.path, finding.path)

    def known(sign: _Sign, earlier: _Sign, among: Callable[[Finding], bool] = lambda finding: True) -> None:
        """Take away what has the same sign."""
        nonlocal left, rest
        signs = Counter(earlier(finding) for finding in rest if among(finding))
        used: Counter[Hashable] = Counter()
        still = []
        for finding in left:
            if used[sign(finding)] < signs[sign(finding)]:
                used[sign(finding)] += 1
            else:
                still.append(finding)
        remaining = []
        for finding in rest:
            if among(finding) and used[earlier(finding)]:
                used[earlier(finding)] -= 1
            else:
                remaining.append(finding)
        left, rest = still, remaining

    known(lambda f: (at(f), f.fingerprint), lambda f: (f.path, f.fingerprint))
    known(lambda f: (at(f), f.rule, f.function, now.text(f)), lambda f: (f.path, f.rule, f.function, before.text(f)))
    known(lambda f: (at(f), now.content(f)), lambda f: (f.path, before.content(f)))
    known(now.content, before.content, lambda f: f.path in gone)
    return left
