"""Repairs as commits on a new branch, made from a commit; the user's work tree is neither read nor written."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from leakfix.finding import Finding
from leakfix.forge.message import RULE, commit_message, trailer
from leakfix.forge.repository import GitFailed, NewCommit, Person, Repository
from leakfix.project.manifest import additions
from leakfix.review.decisions import Answer, NotPossible, Review
from leakfix.source import SourceFile

if TYPE_CHECKING:
    from leakfix.result import Report


@dataclass(frozen=True, slots=True)
class Repaired:
    """Repairs that make one commit. files: whole, by their path in the repository, which the findings have, too."""

    findings: tuple[Finding, ...]
    files: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Branch:
    """What became of a branch. is_new: whether anything was changed."""

    name: str
    base: str
    commits: tuple[str, ...]
    findings: tuple[Finding, ...]
    is_new: bool


def repaired(
    report: Report, accepts: Callable[[Finding], bool], prefix: str = "", split: bool = False
) -> Iterator[Repaired]:
    """The accepted repairs, rule by rule (or one by one), each upon those before.

    prefix: the folder of the repository that the report's paths are relative to.
    """
    review = Review(report.findings, report.sources, report.run.checked)
    rules = sorted({finding.rule for finding in report.findings})
    done: list[tuple[SourceFile, list[Finding]]] = []
    declared: dict[str, bytes] = {}
    for rule in rules:
        fixed: list[Finding] = []
        files: dict[str, bytes] = {}
        for item in review.items:
            if item.finding.rule != rule or not accepts(item.finding) or not review.is_open(item):
                continue
            with contextlib.suppress(NotPossible):
                review.answer(item, Answer.ACCEPT)
                path = _joined(prefix, item.path)
                fixed.append(replace(item.finding, path=path))
                files[path] = review.state(item.path).now.raw
                done.append((review.state(item.path).now, [item.finding]))
                for change in additions(done):
                    if declared.get(change.path) != change.after.raw:
                        declared[change.path] = files[_joined(prefix, change.path)] = change.after.raw
                if split:
                    yield Repaired(tuple(fixed), files)
                    fixed, files = [], {}
        if fixed:
            yield Repaired(tuple(fixed), files)


def _joined(prefix: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(prefix, path))


def require_usable(repository: Repository, name: str) -> None:
    """Raise GitFailed where no commits may be put on a branch of this name, whatever they are."""
    if not repository.is_branch_name(name):
        raise GitFailed(f"{name!r} is no name for a branch")
    if name in repository.checked_out():
        raise GitFailed(f"{name}: a work tree is on this branch; take another name")
    if repository.is_symbolic(f"refs/heads/{name}"):
        raise GitFailed(f"{name}: this is another name of some other branch; take another one")


def make_branch(
    repository: Repository, name: str, base: str, changes: Sequence[Repaired], person: Person, force: bool
) -> Branch:
    """Put the repairs on a branch that begins at a commit. Raises GitFailed with what is in the way."""
    require_usable(repository, name)
    if not changes:
        return Branch(name, base, (), (), is_new=False)
    ref = f"refs/heads/{name}"
    former = repository.tip(ref)
    if former is not None and not force and not is_ours(repository, former, base):
        raise GitFailed(f"{name}: there is such a branch, with commits leakfix did not make; --force replaces it")
    wanted = [NewCommit(commit_message(change.findings), change.files) for change in changes]
    commits = _written(repository, wanted, base, ref, former, person)
    findings = tuple(finding for change in changes for finding in change.findings)
    return Branch(name, base, tuple(commits), findings, is_new=repository.tip(ref) != former)


def _written(
    repository: Repository, wanted: Sequence[NewCommit], base: str, ref: str, former: str | None, person: Person
) -> list[str]:
    """The commits, made first and then put on the branch in one step."""
    commits = repository.write(wanted, base, None, person)
    if former is not None and _same(repository, former, commits):
        return _chain(repository, former, len(commits))
    if repository.wants_signatures():
        commits = repository.signed(commits, base)
    repository.move(ref, commits[-1], former)
    return commits


def _same(repository: Repository, former: str, commits: Sequence[str]) -> bool:
    """Whether a branch already has these commits, signed or not."""
    told = [repository.info(commit) for commit in _chain(repository, former, len(commits))]
    wanted = [repository.info(commit) for commit in commits]
    alike = [(info.tree, info.author, info.message) for info in told] == [
        (info.tree, info.author, info.message) for info in wanted
    ]
    return alike and bool(told) and told[0].parents == wanted[0].parents


def _chain(repository: Repository, tip: str, length: int) -> list[str]:
    """The last commits up to a tip, the oldest first."""
    chain = [tip]
    while len(chain) < length and repository.info(chain[0]).parents:
        chain.insert(0, repository.info(chain[0]).parents[0])
    return chain


def is_ours(repository: Repository, tip: str, base: str) -> bool:
    """Whether leakfix made the commit at the tip and nobody changed it since, or there is none of its own.

    Its author is its committer, and its time that of the commit before. Amending, rebasing, or a change to a commit
    below it makes another committer or another time.
    """
    if tip == base:
        return True
    info = repository.info(tip)
    if not trailer(info.message, RULE) or info.author != info.committer or len(info.parents) != 1:
        return False
    return _time(info.committer) == _time(repository.info(info.parents[0]).committer)


def _time(who: str) -> str:
    return who.rpartition("> ")[2].split(" ")[0]
