"""What a run has to do, given what an earlier one has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from leakfix.fleet.repositories import Repository
from leakfix.fleet.result import Status
from leakfix.fleet.results import Entry, Results
from leakfix.fleet.task import Task


@dataclass(frozen=True)
class Plan:
    """The tasks of a run, and how many repositories it is about; what needs no task is reported as it is recorded."""

    tasks: tuple[Task, ...]
    total: int


def plan(repositories: Sequence[Repository], like: Task, results: Results) -> Plan:
    """Everything that is not known to be checked; a ref may have moved, which its task finds out."""
    tasks = []
    for repository in repositories:
        known = results.checked_commits(repository.url, like.version, like.options)
        entry = results.at_commit(repository.url, repository.ref) if repository.ref in known else None
        if entry is not None:
            results.report(entry)
        else:
            tasks.append(replace(like, repository=repository.url, ref=repository.ref, known=known))
    return Plan(tuple(tasks), len(repositories))


def plan_of_failures(repositories: Sequence[Repository] | None, like: Task, results: Results) -> Plan:
    """Only what is recorded as not checked, of these repositories or of all that are recorded."""
    wanted = None if repositories is None else {(repository.url, repository.ref) for repository in repositories}
    entries = [entry for entry in results.entries if wanted is None or entry.target in wanted]
    for entry in entries:
        results.report(entry)
    failed = [entry for entry in entries if entry.status != Status.CHECKED]
    return Plan(tuple(_again(entry, like, results) for entry in failed), len(entries))


def _again(entry: Entry, like: Task, results: Results) -> Task:
    known = results.checked_commits(entry.repository, like.version, like.options)
    return replace(like, repository=entry.repository, ref=entry.ref, known=known)
