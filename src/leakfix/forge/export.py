"""The source files of a commit in a folder of their own, where they can be checked whatever the work tree is like."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from leakfix.forge.repository import Blob, GitFailed, Repository
from leakfix.project.discover import SUFFIXES

_LARGEST = 8 << 20
_DEEPEST = 100
_PREFIX = "leakfix-export-"
_SETTLED = 60.0  # seconds; by then a new folder is locked
# What tells about a project besides its source: dependencies, settings of servers and poolers, leakfix's own files.
_TELLING = re.compile(
    r"\.(?:toml|cfg|ini|mod|txt|in|ya?ml|conf|lock|sh|env|json)$|(?:^|/)(?:Dockerfile|Procfile|Makefile|Pipfile|\.env)[^/]*$"
)
_NO_REPOSITORY = "gitdir: none\n"
# A folder and a file of one name (names that differ in case alone), and names this system has no room for.
_NO_SUCH_NAME = frozenset({errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Contents:
    """Files that are to be written. paths, sizes: by the ids of their contents."""

    paths: Mapping[str, list[str]]
    sizes: Mapping[str, int]


def is_source(path: str) -> bool:
    """Whether a file may have findings."""
    return path.endswith(SUFFIXES)


@contextlib.contextmanager
def exported(repository: Repository, commit: str, named: Collection[str] = ("",)) -> Iterator[str]:
    """A folder with the source files of a commit and with what tells about them. Raises GitFailed.

    named: files and folders of the repository that are asked for, "" for all: they must be here, which they need not
    be in a partial clone. Bytes are as they are in the repository: neither line ends nor filters are applied.
    """
    files = {path: blob for path, blob in repository.files(commit).items() if _is_wanted(path, named)}
    _remove_stale()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder, _locked(folder):
        root = os.path.realpath(folder)
        _write(os.path.join(root, ".git"), _NO_REPOSITORY.encode())  # marks the root, and keeps git from looking above
        _unpack(repository, _present(repository, commit, files, named), root)
        yield root


def _is_wanted(path: str, named: Collection[str]) -> bool:
    if path.count("/") > _DEEPEST:
        return False
    return is_source(path) or path in named or _TELLING.search(path) is not None


def _present(repository: Repository, commit: str, files: Mapping[str, Blob], named: Collection[str]) -> Contents:
    """Where the contents that are here and small enough are to be put, and how large they are."""
    paths: dict[str, list[str]] = {}
    for path, blob in files.items():
        paths.setdefault(blob.id, []).append(path)
    try:
        sizes = repository.sizes(paths)
    except GitFailed:
        missing = repository.missing(commit)
        sizes = repository.sizes(blob for blob in paths if blob not in missing)
    _require(sorted(path for path, blob in files.items() if blob.id not in sizes), named)
    return Contents(paths, {blob: size for blob, size in sizes.items() if size <= _LARGEST})


def _unpack(repository: Repository, contents: Contents, root: str) -> None:
    for blob, data in repository.read(contents.sizes):
        for path in contents.paths[blob]:
            target = os.path.join(root, *path.split("/"))
            try:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                _write(target, data)
            except OSError as error:
                if error.errno not in _NO_SUCH_NAME:
                    raise


def _require(missing: list[str], named: Collection[str]) -> None:
    """Raise GitFailed where source files that are asked for are missing."""
    asked = [path for path in missing if path in named or (is_source(path) and _is_below(path, named))]
    if asked:
        others = f" and {len(asked) - 1} more" if len(asked) > 1 else ""
        advice = "have git fetch what is missing, or name PATHS that are here"
        raise GitFailed(f"{asked[0]}{others}: not in this clone, which is a partial one; {advice}")


def _is_below(path: str, named: Collection[str]) -> bool:
    return any(not folder or path.startswith(folder + "/") for folder in named)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends."""
    descriptor = _lock(folder)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock(folder: str) -> int | None:
    """A locked descriptor of a folder; None where somebody else has it, or there are no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_stale() -> None:
    """Remove the folders of runs that were killed."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for folder in [entry.path for entry in entries if entry.name.startswith(_PREFIX) and _is_settled(entry)]:
            with contextlib.suppress(OSError):
                descriptor = _lock(folder)
                if descriptor is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(descriptor)


def _is_settled(entry: os.DirEntry[str]) -> bool:
    status = entry.stat(follow_symlinks=False)
    mine = hasattr(os, "getuid") and status.st_uid == os.getuid()
    return mine and stat.S_ISDIR(status.st_mode) and time.time() - status.st_mtime > _SETTLED


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
