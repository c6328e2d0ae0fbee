"""The source files of a commit in a folder of their own, where they can be checked whatever the work tree is like."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping

from leakfix.forge.repository import Blob, Repository
from leakfix.project.discover import SUFFIXES

_LARGEST = 8 << 20
# What tells about a project besides its source: dependencies, settings of servers and poolers, leakfix's own files.
_TELLING = re.compile(
    r"\.(?:toml|cfg|ini|txt|ya?ml|conf|lock|sh|env|json)$|(?:^|/)(?:Dockerfile|Procfile|Makefile|Pipfile|\.env)[^/]*$"
)
_NO_REPOSITORY = "gitdir: none\n"


def is_source(path: str) -> bool:
    """Whether a file may have findings."""
    return path.endswith(SUFFIXES)


@contextlib.contextmanager
def exported(repository: Repository, commit: str) -> Iterator[str]:
    """A folder with the source files of a commit and with what tells about them. Raises GitFailed.

    Bytes are as they are in the repository: neither line ends nor filters are applied.
    """
    files = {path: blob for path, blob in repository.files(commit).items() if is_source(path) or _TELLING.search(path)}
    with tempfile.TemporaryDirectory(prefix="leakfix-") as folder:
        root = os.path.realpath(folder)
        _write(os.path.join(root, ".git"), _NO_REPOSITORY.encode())  # marks the root, and keeps git from looking above
        _unpack(repository, files, root)
        yield root


def _unpack(repository: Repository, files: Mapping[str, Blob], root: str) -> None:
    paths: dict[str, list[str]] = {}
    for path, blob in files.items():
        paths.setdefault(blob.id, []).append(path)
    made = set()
    for blob_id, data in repository.contents(paths):
        for path in paths[blob_id] if len(data) <= _LARGEST else ():
            target = os.path.join(root, *path.split("/"))
            folder = os.path.dirname(target)
            if folder not in made:
                os.makedirs(folder, exist_ok=True)
                made.add(folder)
            with contextlib.suppress(IsADirectoryError, NotADirectoryError):  # names that differ in case alone
                _write(target, data)


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
