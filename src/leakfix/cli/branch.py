"""``leakfix branch``: repairs as commits on a new branch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from leakfix.cli.check import exit_code
from leakfix.cli.options import searching, settings
from leakfix.cli.terminal import complain, progress
from leakfix.finding import Finding, Safety

if TYPE_CHECKING:
    from leakfix.forge.branches import Branch


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
            prefix = _prefix(repository)
            with progress("reading the commit"), exported(repository, commit) as folder:
                inside = os.path.join(folder, *prefix.split("/")) if prefix else folder
                os.makedirs(inside, exist_ok=True)
                with contextlib.chdir(inside):
                    run = settings(**options)
                    from leakfix import engine

                    report = engine.check(run.paths, run.config, run.registry, run.jobs)
                    changes = list(branches.repaired(report, accepts, prefix, split))
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


def _prefix(repository: Any) -> str:
    """The working directory's place in the repository."""
    if not repository.top:
        return ""
    relative = os.path.relpath(os.path.realpath(os.getcwd()), os.path.realpath(repository.top))
    return "" if relative == "." else relative.replace(os.sep, "/")


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
