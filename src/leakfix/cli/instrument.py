"""``leakfix instrument``: a check in the tests, a job in CI, alerts, so that leaks do not come back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from leakfix.cli.terminal import can_ask, complain
from leakfix.config import load

if TYPE_CHECKING:
    from leakfix.instrument import NewContent, Proposal
    from leakfix.instrument.known import Project

_WHAT = ("conftest", "ci", "alerts")


@click.command("instrument")
@click.argument("what", nargs=-1, type=click.Choice(_WHAT), metavar="[conftest] [ci] [alerts]")
@click.option("--yes", is_flag=True, help="Write without asking.")
@click.option("--diff", is_flag=True, help="Print one diff for `git apply` and write nothing.")
@click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Read this configuration.")
def command(what: Sequence[str], yes: bool, diff: bool, config_file: str | None) -> int:
    """Keep leaks from coming back to the project in the working directory.

    conftest: a fixture that fails tests which keep a connection. ci: a job that checks the code and runs the tests
    under watch. alerts: rules for Prometheus. Without any of them, tells what each would write. What exists is never
    overwritten. Exits with 1 where something that was asked for is not there.
    """
    if yes and diff:
        raise click.UsageError("--diff writes nothing, --yes does: choose one")
    if yes and not what:
        raise click.UsageError(f"--yes goes with what to write: {', '.join(_WHAT)}")
    project = _project(config_file)
    chosen = [name for name in _WHAT if name in what or not what]
    if diff:
        return max([_shown(name, project) for name in chosen])
    if not what:
        for name in chosen:
            for proposal in _proposals(name, project):
                _tell(name, proposal)
        return 0
    return max([_carried_out(name, project, yes) for name in chosen])


def _project(config_file: str | None) -> Project:
    from leakfix.cli.options import registry_for
    from leakfix.instrument.known import Project

    config = load(config_file)
    return Project(config, registry_for(config).table)


def _proposals(name: str, project: Project) -> list[Proposal]:
    from leakfix.instrument import alerts, ci, fixture

    if name == "ci":
        return ci.propose(project)
    return [fixture.propose(project) if name == "conftest" else alerts.propose(project)]


def _tell(name: str, proposal: Proposal) -> None:
    """One line on what would be done or why not, and one for each thing that is left to do by hand."""
    if proposal.files:
        paths = " and ".join(f"{'new ' if item.before is None else ''}{item.path}" for item in proposal.files)
        sys.stdout.write(f"{name}: {proposal.title}; would write {paths}\n")
    else:
        sys.stdout.write(f"{name}: nothing to write: {proposal.title}\n")
    for note in proposal.notes:
        sys.stdout.write(f"    {note}\n")


def _shown(name: str, project: Project) -> int:
    """Print the diff of one instrument; 1 where it is not there yet."""
    proposals = _proposals(name, project)
    for proposal in proposals:
        if not proposal.files:
            complain("note", f"{name}: nothing to write: {proposal.title}")
        for item in proposal.files:
            _print_patch(item)
        for note in proposal.notes:
            complain("note", note)
    return int(not all(proposal.exists for proposal in proposals))


def _print_patch(item: NewContent) -> None:
    from leakfix.report.diff import new_file, patch
    from leakfix.source import SourceFile

    if item.before is None:
        text = new_file(item.path, item.after)
    else:
        read = SourceFile.python if item.path.endswith(".py") else SourceFile.utf8
        text = patch(item.path, read(item.path, item.before), read(item.path, item.after))
    sys.stdout.flush()
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _carried_out(name: str, project: Project, yes: bool) -> int:
    """Write one instrument, having asked where somebody is there; 1 where it is not there after that, 2 on failure."""
    return max([_decided(name, proposal, yes) for proposal in _proposals(name, project)])


def _decided(name: str, proposal: Proposal, yes: bool) -> int:
    if not proposal.files:
        complain("note" if proposal.exists else "warning", f"{name}: nothing was written: {proposal.title}")
        for note in proposal.notes:
            complain("note", note)
        return 0 if proposal.exists else 1
    if not yes:
        for item in proposal.files:
            _print_patch(item)
        if not _is_wanted(name, proposal.title, can_ask):
            return 1
    return _write(proposal)


def _is_wanted(name: str, title: str, asks: Callable[[], bool]) -> bool:
    if not asks():
        complain("note", f"nothing was written; `leakfix instrument {name} --yes` writes it")
        return False
    return click.confirm(f"{name}: {title}. Write it?", default=False)


def _write(proposal: Proposal) -> int:
    from leakfix.project.files import create_atomically, write_atomically

    for item in proposal.files:
        try:
            if item.before is None:
                create_atomically(item.path, item.after)
            else:
                write_atomically(item.path, item.before, item.after)
        except OSError as error:
            complain("error", f"{item.path}: not written: {error.strerror or error}")
            return 2
        sys.stdout.write(f"{'created' if item.before is None else 'changed'}  {item.path}\n")
    for note in proposal.notes:
        complain("note", note)
    return 0
