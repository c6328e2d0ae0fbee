"""What a work tree has changed since it and another branch were one."""

from __future__ import annotations

import os

from leakfix.forge.repository import GitFailed, Repository

_DEEPER = (
    "fetch more of the history (git fetch --unshallow; fetch-depth: 0 of actions/checkout; GIT_DEPTH: 0 of GitLab)"
)


def merge_base(repository: Repository, revision: str) -> str:
    """The last commit that HEAD and a revision have in common. Raises GitFailed."""
    try:
        other = repository.commit_of(revision)
    except GitFailed as error:
        raise GitFailed(f"{error}; {_DEEPER}" if _is_shallow(repository) else str(error)) from error
    head = repository.commit_of("HEAD")
    try:
        found = repository.run("merge-base", head, other).decode().split()
    except GitFailed as error:
        why = f"this clone is shallow; {_DEEPER}" if _is_shallow(repository) else "their histories are unrelated"
        raise GitFailed(f"HEAD and {revision} have no commit in common here: {why}") from error
    return found[0]


def renames(repository: Repository, commit: str) -> dict[str, str]:
    """The former path of each file that has another one in the index than in a commit; git compares contents.

    The work tree is not asked: for that git would have to run the filters that the repository names.
    """
    listing = repository.run(
        *("diff-index", "--cached", "--no-ext-diff", "--no-textconv", "--name-status", "-z", "-M", commit, "--")
    )
    fields = listing.split(b"\0")[:-1]
    found, at = {}, 0
    while at < len(fields):
        if fields[at].startswith(b"R"):
            found[os.fsdecode(fields[at + 2])] = os.fsdecode(fields[at + 1])
        at += 3 if fields[at][:1] in (b"R", b"C") else 2
    return found


def _is_shallow(repository: Repository) -> bool:
    return os.path.exists(os.path.join(repository.git_folder, "shallow"))
