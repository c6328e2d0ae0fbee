"""Git's share of ``leakfix branch`` beside a recipe with a work tree, in one run over one repository.

    python benchmarks/branch.py [ROUNDS]

A repository of 60 files with 100 leaks of four rules is made and checked once. Then the two take turns: reading the
commit into a folder and putting the repairs on a branch, as the command does; and ``git worktree add``, writing the
files, ``git add`` and ``git commit`` for each rule, ``git worktree remove``. The first round does not count. Goal: two
seconds of git at most.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from leakfix import engine
from leakfix.config import Config
from leakfix.forge import branches
from leakfix.forge.export import exported
from leakfix.forge.message import commit_message
from leakfix.forge.repository import Repository
from leakfix.registry import Registry

FILES, FIXES, GOAL = 60, 100, 2.0
DRIVERS = ("sqlite3", "pymysql", "pg8000", "pyodbc")
FUNCTION = """\


def count_{number}(path):
    connection = {driver}.connect(path)
    cursor = connection.cursor()
    cursor.execute("SELECT {number}")
    row = cursor.fetchone()
    connection.close()
    return row
"""
IDENTITY = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org")


def main() -> None:
    """Time both and print their medians and the ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory(prefix="leakfix-benchmark-") as folder:
        tree = Path(folder) / "tree"
        _make(tree)
        repository = Repository(str(tree))
        base = repository.commit_of("HEAD")
        changes = _repaired(repository, base)
        recipes: dict[str, Callable[[], None]] = {
            "leakfix": lambda: _with_fast_import(repository, base, changes),
            "worktree": lambda: _with_a_work_tree(tree, Path(folder) / "linked", changes),
        }
        _report(_timed(tree, recipes, rounds), changes)
        repository.close()


def _make(tree: Path) -> None:
    for number in range(FILES):
        driver = DRIVERS[number % len(DRIVERS)]
        functions = range(number, FIXES, FILES)
        path = tree / f"package_{number % 6}" / f"module_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(FUNCTION.format(number=function, driver=driver) for function in functions)
        path.write_text(f"import {driver}\n{text}")
    _git(tree, "init", "-q")
    _git(tree, "config", "commit.gpgSign", "false")
    _git(tree, "add", ".")
    _git(tree, "commit", "-q", "-m", "a project with leaks")


def _repaired(repository: Repository, base: str) -> list[branches.Repaired]:
    config = Config()
    with exported(repository, base) as folder, contextlib.chdir(folder):
        report = engine.check(["."], config, Registry.load(config), jobs=1)
        changes = list(branches.repaired(report, lambda finding: finding.fix is not None))
    fixes, files = (
        sum(len(change.findings) for change in changes),
        {file for change in changes for file in change.files},
    )
    assert (fixes, len(files), len(changes)) == (FIXES, FILES, len(DRIVERS)), (fixes, len(files), len(changes))
    return changes


def _timed(tree: Path, recipes: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in recipes}
    made: dict[str, str] = {}
    for number in range(rounds + 1):
        for name, recipe in recipes.items():
            with _new_objects(tree):
                started = time.perf_counter()
                recipe()
                if number:
                    taken[name].append(time.perf_counter() - started)
                made[name] = _git(tree, "rev-parse", "fix^{tree}")
                _git(tree, "branch", "-q", "-D", "fix")
    assert made["leakfix"] == made["worktree"], "both make the same files"
    return taken


@contextlib.contextmanager
def _new_objects(tree: Path) -> Iterator[None]:
    """Have every round write its objects anew."""
    yield
    _git(tree, "reflog", "expire", "--expire=now", "--all")
    _git(tree, "prune", "--expire=now")


def _with_fast_import(repository: Repository, base: str, changes: Sequence[branches.Repaired]) -> None:
    with exported(repository, base):
        pass
    branches.make_branch(repository, "fix", base, changes, repository.person(), force=False)


def _with_a_work_tree(tree: Path, linked: Path, changes: Sequence[branches.Repaired]) -> None:
    _git(tree, "worktree", "add", "-q", "-b", "fix", str(linked))
    for change in changes:
        for name, data in change.files.items():
            (linked / name).write_bytes(data)
        _git(linked, "add", "--", *change.files)
        _git(linked, "commit", "-q", "-m", commit_message(change.findings))
    _git(tree, "worktree", "remove", "--force", str(linked))


def _git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", *IDENTITY, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _report(taken: dict[str, list[float]], changes: Sequence[branches.Repaired]) -> None:
    medians = {name: statistics.median(times) for name, times in taken.items()}
    print(f"{FIXES} fixes in {FILES} files, {len(changes)} commits")
    for name, times in taken.items():
        print(f"{name:8} median {medians[name]:.3f} s, from {min(times):.3f} to {max(times):.3f} s")
    print(
        f"ratio    {medians['leakfix'] / medians['worktree']:.2f}, goal of {GOAL:.0f} s: {medians['leakfix'] <= GOAL}"
    )


if __name__ == "__main__":
    main()
