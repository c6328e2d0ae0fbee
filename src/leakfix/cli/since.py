"""``leakfix check --diff-base``: what the changes since another branch brought."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from leakfix.cli.branch import in_repository, place_in
from leakfix.cli.options import Settings
from leakfix.cli.terminal import complain, progress
from leakfix.config import Config
from leakfix.finding import Acceptance

if TYPE_CHECKING:
    from leakfix.cli.branch import Place
    from leakfix.forge.repository import Repository
    from leakfix.result import Report


@dataclass(frozen=True)
class Since:
    """A commit to compare with. former: the paths of its files that have others now, by these."""

    repository: Repository
    place: Place
    commit: str
    former: dict[str, str]


@contextlib.contextmanager
def opened(revision: str) -> Iterator[Since]:
    """The merge base of HEAD and a revision. Raises GitFailed."""
    from leakfix.forge.repository import Repository
    from leakfix.forge.since import merge_base, renames

    with contextlib.closing(Repository(os.getcwd())) as repository:
        place = place_in(repository)
        commit = merge_base(repository, revision)
        yield Since(repository, place, commit, renames(repository, commit))


def introduced(run: Settings, report: Report, since: Since) -> Report:
    """The report with what was found before among what is accepted.

    Raises GitFailed where a finding lies outside the repository.
    """
    from leakfix.forge.export import exported
    from leakfix.project.introduced import State
    from leakfix.project.introduced import introduced as new_ones

    report = replace(report, has_baseline=True)
    if not report.findings:
        return report
    place = since.place
    now = {finding.path: in_repository(finding.path, place) for finding in report.findings}
    files = since.repository.files(since.commit)
    before = {path: since.former.get(inside, inside) for path, inside in now.items()}
    gone: set[str] = set()
    if any(inside not in files for inside in before.values()):
        kept = set(since.former.values())
        gone = {path for path in files if path not in kept and not os.path.lexists(os.path.join(place.top, path))}
    wanted = sorted({*before.values(), *filter(_is_source, gone)} & files.keys())
    if not wanted:
        return report
    with progress("reading the base"), exported(since.repository, since.commit, wanted) as folder:
        inside = os.path.join(folder, place.prefix)
        os.makedirs(inside, exist_ok=True)
        with contextlib.chdir(inside):
            from leakfix import engine

            shown = {_from(place, path): path for path in wanted}
            base = engine.check(
                [path for path in shown if os.path.exists(path)], _bare(run.config), run.registry, run.jobs
            )
    for error in base.errors:
        complain("warning", f"{error.path}, as it was in {since.commit[:12]}: {error.message}")
    former = {path: _from(place, old) for path, old in before.items()}
    left = new_ones(
        State(report.findings, report.sources),
        State(base.findings, base.sources),
        former,
        {_from(place, path) for path in gone},
    )
    new = set(map(id, left))
    old = [replace(finding, accepted=Acceptance.BEFORE) for finding in report.findings if id(finding) not in new]
    return replace(report, findings=tuple(left), accepted=(*report.accepted, *old))


def _bare(config: Config) -> Config:
    return config.changed(lambda each: replace(each, baseline=None))


def _is_source(path: str) -> bool:
    from leakfix.forge.export import is_source

    return is_source(path)


def _from(place: Place, path: str) -> str:
    """A path of the repository, from the working directory."""
    return os.path.relpath(path, place.prefix or ".").replace(os.sep, "/")
