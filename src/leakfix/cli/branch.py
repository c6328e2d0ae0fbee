"""``leakfix branch``: repairs as commits on a new branch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from leakfix.cli.options import Settings, searching, settings
from leakfix.cli.outcome import exit_code
from leakfix.cli.terminal import complain, progress
from leakfix.config import load
from leakfix.finding import Finding, Safety
from leakfix.project.files import is_under

if TYPE_CHECKING:
    from leakfix.forge.branches import Branch
    from leakfix.forge.repository import Repository


@click.command("branch")
@click.argument("name")
@searching
@click.option("--base", default="HEAD", metavar="COMMIT", help="Begin at this commit.  [default: HEAD]")
@click.option("--split", is_flag=True, help="One commit for each fix instead of one for each rule.")
@click.option("--unsafe-fixes", is_flag=True, help="Commit the fixes that want a review, too.")
@click.option("--force", is_flag=True, help="Replace a branch of this name whoever made its commits.")
def command(name: str, base: str, split: bool, unsafe_fixes: bool, force: bool, **options: Any) -> int:
    """Repair leaks in PATHS of a commit, on the new branch NAME.

    Neither HEAD nor the index nor any file of the work tree is touched: what is not committed is not looked at, and
    stays as it is. The same call again changes nothing. Commits are signed where git is set up to sign.
    """
    return commit_to(name, base, unsafe_fixes, split, force, options)


def commit_to(name: str, base: str, unsafe_fixes: bool, split: bool, force: bool, options: Mapping[str, Any]) -> int:
    """Make the branch, tell about it, and return the exit code: 1 where findings remain."""
    from leakfix.forge import branches
    from leakfix.forge.export import exported
    from leakfix.forge.repository import GitFailed, Repository

    def accepts(finding: Finding) -> bool:
        return finding.fix is not None and (unsafe_fixes or finding.fix.safety is Safety.SAFE)

    try:
        repository = Repository(os.getcwd())
        with contextlib.closing(repository):
            commit = repository.commit_of(base)
            branches.require_usable(repository, name)
            place = place_in(repository)
            named = [in_repository(path, place) for path in options["paths"]] or [place.prefix]
            with progress("reading the commit"), exported(repository, commit, named) as folder:
                inside = os.path.join(folder, place.prefix)
                os.makedirs(inside, exist_ok=True)
                with contextlib.chdir(inside):
                    run = _settings(options, named, place, folder)
                    from leakfix import engine

                    report = engine.check(run.paths, run.config, run.registry, run.jobs, run.evidence)
                    changes = list(branches.repaired(report, accepts, place.prefix, split))
                    code = exit_code(run.paths, report, False)
            made = branches.make_branch(repository, name, commit, changes, repository.person(), force)
    except GitFailed as error:
        complain("error", str(error))
        return 2
    _tell(made)
    left = len(report.findings) - len(made.findings)
    if left:
        click.echo(f"{left} left without a fix that may be committed unseen; `leakfix review` shows them.")
    return code or int(bool(left))


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a repository the program runs. top: its work tree; prefix: the working directory, from there."""

    top: str
    prefix: str


def place_in(repository: Repository) -> Place:
    from leakfix.forge.repository import GitFailed

    here = os.path.realpath(os.getcwd())
    if not repository.top:
        return Place(here, "")
    place = Place(os.path.realpath(repository.top), _relative(here, os.path.realpath(repository.top)))
    if place.prefix.partition("/")[0] == ".git":
        raise GitFailed("this is the inside of a repository; run it in its work tree")
    return place


def in_repository(path: str, place: Place) -> str:
    """A path of the command line, from the top of the repository. Raises GitFailed."""
    from leakfix.forge.repository import GitFailed

    folder, name = os.path.split(os.path.abspath(path))
    found = _relative(os.path.join(os.path.realpath(folder), name), place.top)
    if found.partition("/")[0] == "..":
        raise GitFailed(f"{path}: outside the repository")
    return found


def _settings(options: Mapping[str, Any], named: Sequence[str], place: Place, folder: str) -> Settings:
    """The settings as the commit has them, or as a file that is named; nothing from above the exported folder."""
    paths = tuple(os.path.relpath(path or ".", place.prefix or ".") for path in named)
    file = options["config_file"]
    if file is not None:
        file = os.path.join(place.top, place.prefix, file)
        run = settings(**{**options, "paths": paths, "config_file": file})
        root = os.path.normpath(os.path.join(folder, _relative(os.path.dirname(os.path.realpath(file)), place.top)))
        return replace(run, config=replace(run.config, root=root))
    if not options["isolated"]:
        _end_search_for_settings(folder)
    return settings(**{**options, "paths": paths})


def _end_search_for_settings(folder: str) -> None:
    """A commit without settings has the default ones, not those of a folder above the temporary files."""
    found = load().file
    if found is not None and not is_under(os.path.realpath(found), folder):
        with open(os.path.join(folder, "leakfix.toml"), "x", encoding="ascii"):
            pass


def _relative(path: str, top: str) -> str:
    relative = os.path.relpath(path, top)
    return "" if relative == os.curdir else relative.replace(os.sep, "/")


def _tell(made: Branch) -> None:
    fixes = f"{len(made.findings)} fix{'' if len(made.findings) == 1 else 'es'}"
    if not made.commits:
        click.echo("Nothing to commit: no leaks with a fix that may be committed unseen.")
    elif made.is_new:
        commits = f"{len(made.commits)} commit{'' if len(made.commits) == 1 else 's'}"
        click.echo(f"Branch {made.name}: {fixes} in {commits} upon {made.base[:12]}.")
        click.echo(f"Look at it with: git log -p {made.base[:12]}..{made.name}")
    else:
        click.echo(f"Branch {made.name} has these {fixes} already.")
