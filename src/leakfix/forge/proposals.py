"""What is to be proposed: for each rule and package one branch with its repairs."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leakfix.finding import Finding, Severity
from leakfix.forge.message import KEY, commit_message, trailer
from leakfix.forge.repository import NewCommit, Person, Repository
from leakfix.project.discover import ROOT_MARKS
from leakfix.project.manifest import additions
from leakfix.report.difference import Row, rows
from leakfix.review.decisions import Answer, NotPossible, Review
from leakfix.source import SourceFile

if TYPE_CHECKING:
    from leakfix.result import Report

PREFIX = "leakfix/"
_SEVERITIES = [Severity.ERROR, Severity.WARNING, Severity.NOTE]


@dataclass(frozen=True, slots=True)
class Repair:
    """One finding and the file it is in before and after its repair."""

    finding: Finding
    before: SourceFile
    after: SourceFile


@dataclass(frozen=True)
class Proposal:
    """The repairs of one rule in one package.

    key: what makes it the same proposal in every run. package: its folder, "" for the root.
    files: whole, by their path in the repository.
    """

    key: str
    rule: str
    package: str
    repairs: tuple[Repair, ...]
    files: dict[str, bytes]

    @property
    def branch(self) -> str:
        """Where it is pushed to."""
        told = re.sub(r"[^a-z0-9]+", "-", self.package.lower()).strip("-")[:40]
        rule = self.rule.replace("/", "-")
        digest = hashlib.sha256(self.key.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return f"{PREFIX}{rule}-{told + '-' if told else ''}{digest}"

    @property
    def title(self) -> str:
        """What the pull request is called."""
        where = f" in {self.package}" if self.package else ""
        count = len(self.repairs)
        return f"Repair {self.rule}{where}" + (f" ({count} places)" if count > 1 else "")

    @property
    def content(self) -> str:
        """What tells one set of repairs from another, wherever in their files they stand."""
        changed = [
            (repair.finding.path, [(row.sign, row.text) for row in _changes(repair)])
            for repair in sorted(self.repairs, key=lambda repair: repair.finding.fingerprint)
        ]
        return hashlib.sha256(json.dumps(changed).encode()).hexdigest()[:16]

    @property
    def findings(self) -> list[Finding]:
        """What is repaired."""
        return [repair.finding for repair in self.repairs]

    @property
    def weight(self) -> tuple[int, str]:
        """What comes first when not all may be opened."""
        return min(_SEVERITIES.index(finding.severity) for finding in self.findings), self.key


def _changes(repair: Repair) -> Iterator[Row]:
    return (row for row in rows(repair.before, repair.after, context=0) if row.sign in "+-")


def proposals(report: Report, accepts: Callable[[Finding], bool], root: str) -> list[Proposal]:
    """The proposals of a checked tree, each independent of the others. root: the tree's folder."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        if accepts(finding):
            groups.setdefault((finding.rule, package_of(finding.path, root)), []).append(finding)
    found = []
    for (rule, package), findings in groups.items():
        review = Review(report.findings, report.sources, report.run.checked, offers=findings.__contains__)
        repairs = tuple(_repaired(review))
        files = {repair.finding.path: review.state(repair.finding.path).now.raw for repair in repairs}
        done = [(review.state(path).now, [r.finding for r in repairs if r.finding.path == path]) for path in files]
        files |= {change.path: change.after.raw for change in additions(done)}
        if repairs:
            found.append(Proposal(f"{rule}:{package}", rule, package, repairs, files))
    return sorted(found, key=lambda proposal: proposal.weight)


def _repaired(review: Review) -> Iterator[Repair]:
    for item in review.items:
        if review.is_open(item):
            try:
                review.answer(item, Answer.ACCEPT)
            except NotPossible:
                continue
            decision = review.decision(item)
            if decision is not None:
                yield Repair(item.finding, decision.before, decision.after)


def package_of(path: str, root: str) -> str:
    """The innermost folder above a file that is a project of its own, from the root of the tree; "" for the root."""
    folder = posixpath.dirname(path)
    while folder:
        if any(os.path.exists(os.path.join(root, folder, mark)) for mark in ROOT_MARKS):
            return folder
        folder = posixpath.dirname(folder)
    return ""


def committed(repository: Repository, proposal: Proposal, base: str, person: Person) -> str:
    """The commit of a proposal upon a base; the same for the same, whenever it is made."""
    message = commit_message(proposal.findings, proposal.key)
    ref = f"refs/leakfix/{proposal.branch}"
    repository.delete(ref)
    return repository.write([NewCommit(message, proposal.files)], base, ref, person)[-1]


def untouched(repository: Repository, tip: str, person: Person) -> bool:
    """Whether leakfix made a commit for a person, and nobody changed it since.

    Its author is its committer and its time that of the commit before: amending or rebasing changes that.
    """
    info = repository.info(tip)
    mine = info.author == info.committer and info.author.startswith(f"{person.name} <{person.email}> ")
    if not trailer(info.message, KEY) or not mine or len(info.parents) != 1:
        return False
    before = repository.info(info.parents[0]).committer
    return _time(info.committer) == _time(before)


def _time(who: str) -> str:
    return who.rpartition("> ")[2].split(" ")[0]


def severities(findings: Sequence[Finding]) -> str:
    """``2 errors, 1 warning``."""
    parts = []
    for severity in _SEVERITIES:
        count = sum(finding.severity is severity for finding in findings)
        if count:
            parts.append(f"{count} {severity}{'' if count == 1 else 's'}")
    return ", ".join(parts)
