"""A bare git repository as a forge keeps it, read and changed by git's own plumbing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Neither the settings of who runs the tests nor those of a repository the tests are run in have a say.
_IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "A Person", "EMAIL": "person@example.org"}.items()
}
_SEPARATOR = "\x1f"


def clean_environment() -> dict[str, str]:
    """An environment in which git knows no settings but those of the repository."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**inherited, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}


@dataclass(frozen=True)
class Commit:
    sha: str
    tree: str
    parents: tuple[str, ...]
    author: tuple[str, str, str]  # name, address, date
    committer: tuple[str, str, str]
    message: str


@dataclass(frozen=True)
class BareRepository:
    """The repository at a path."""

    path: Path

    @classmethod
    def create(cls, path: Path, branch: str = "main", files: Mapping[str, str] | None = None) -> BareRepository:
        """Make a repository whose only branch has one commit; with no branch at all where ``files`` is empty."""
        path.mkdir(parents=True)
        made = cls(path)
        made.git("init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}")
        if files is None or files:
            made.commit(branch, files or {"README.md": "A shop.\n"}, "The beginning")
        return made

    def copy(self, path: Path) -> BareRepository:
        """A fork of the repository, without what protects its branches."""
        shutil.copytree(self.path, path, ignore=shutil.ignore_patterns("hooks"))
        return BareRepository(path)

    def git(self, *arguments: str, given: str | None = None, environment: Mapping[str, str] | None = None) -> str:
        """Run git in the repository and return what it says."""
        return self._output(arguments, given, environment).rstrip("\n")

    def _output(
        self, arguments: Sequence[str], given: str | None = None, environment: Mapping[str, str] | None = None
    ) -> str:
        every = {**clean_environment(), **_IDENTITY, **(environment or {})}
        command = ["git", "--git-dir", str(self.path), *arguments]
        done = subprocess.run(command, input=given, env=every, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    @property
    def default_branch(self) -> str:
        return self.git("symbolic-ref", "--short", "HEAD")

    def branches(self) -> dict[str, str]:
        """Every branch and its commit."""
        rows = self.git("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads").splitlines()
        return {name: sha for sha, _, name in (row.partition(" ") for row in rows)}

    def head(self, branch: str) -> str | None:
        """The commit of a branch, if there is such a branch."""
        return self.branches().get(branch)

    def commit(
        self,
        branch: str,
        files: Mapping[str, str | None],
        message: str,
        author: tuple[str, str] = ("A Person", "person@example.org"),
        onto: str | None = None,
    ) -> str:
        """Commit files to a branch (None removes one); a new branch begins at ``onto``, a branch or a commit."""
        parent = self.head(branch) or (self.git("rev-parse", onto) if onto else None)
        index = {"GIT_INDEX_FILE": str(self.path / "index-of-a-test")}
        self.git("read-tree", *([parent] if parent else ["--empty"]), environment=index)
        self.git("update-index", "--index-info", given=self._entries(files), environment=index)
        tree = self.git("write-tree", environment=index)
        names = {"GIT_AUTHOR_NAME": author[0], "GIT_AUTHOR_EMAIL": author[1]}
        names |= {"GIT_COMMITTER_NAME": author[0], "GIT_COMMITTER_EMAIL": author[1]}
        parents = ["-p", parent] if parent else []
        sha = self.git("commit-tree", tree, *parents, "-m", message, environment=names)
        self.git("update-ref", f"refs/heads/{branch}", sha)
        return sha

    def _entries(self, files: Mapping[str, str | None]) -> str:
        lines = []
        for name, text in files.items():
            blob = "0" * 40 if text is None else self.git("hash-object", "-w", "--stdin", given=text)
            lines.append(f"{'0' if text is None else '100644'} {blob}\t{name}\n")
        return "".join(lines)

    def delete(self, branch: str) -> None:
        """Delete a branch."""
        self.git("update-ref", "-d", f"refs/heads/{branch}")

    def rename(self, old: str, new: str) -> None:
        """Rename a branch, the default one too."""
        default = self.default_branch
        self.git("branch", "-M", old, new)
        if default == old:
            self.git("symbolic-ref", "HEAD", f"refs/heads/{new}")

    def adopt(self, other: BareRepository, sha: str) -> None:
        """Take over a commit of another repository of the same network."""
        if other.path != self.path:
            self.git("fetch", "--quiet", str(other.path), sha)

    def contains(self, commit: str, other: str) -> bool:
        """Whether a commit has another one among its ancestors."""
        return not self.git("rev-list", "-n", "1", other, f"^{commit}")

    def between(self, base: str, head: str) -> list[Commit]:
        """The commits of a head that a base lacks, oldest first."""
        return [self.read(sha) for sha in self.git("rev-list", "--reverse", head, f"^{base}").split()]

    def read(self, sha: str) -> Commit:
        """A commit and what it says of itself."""
        fields = "%H %T %P %an %ae %aI %cn %ce %cI %B".split()
        said = self.git("show", "--no-patch", f"--format={_SEPARATOR.join(fields)}", sha).split(_SEPARATOR)
        return Commit(
            sha=said[0],
            tree=said[1],
            parents=tuple(said[2].split()),
            author=(said[3], said[4], said[5]),
            committer=(said[6], said[7], said[8]),
            message=said[9].rstrip("\n"),
        )

    def merge(self, base: str, head: str, message: str) -> str:
        """Merge a commit into a branch; returns the merge."""
        tip = self.head(base)
        assert tip is not None, f"no branch {base}"
        tree = self.git("merge-tree", "--write-tree", tip, head)
        merge = self.git("commit-tree", tree, "-p", tip, "-p", head, "-m", message)
        self.git("update-ref", f"refs/heads/{base}", merge)
        return merge

    def files(self, commit: str) -> dict[str, str]:
        """Every file of a commit or branch."""
        names = self.git("ls-tree", "-r", "--name-only", "-z", commit).split("\0")
        return {name: self._output(("show", f"{commit}:{name}")) for name in names if name}

    def changes(self, base: str, head: str) -> tuple[int, int, int]:
        """How many lines a head adds and removes since it left the base, and in how many files."""
        rows = [row.split("\t") for row in self.git("diff", "--numstat", f"{base}...{head}").splitlines()]
        counts = [[int(count) if count.isdigit() else 0 for count in row[:2]] for row in rows]
        return sum(row[0] for row in counts), sum(row[1] for row in counts), len(rows)
