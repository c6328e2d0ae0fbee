"""A temporary folder for one repository; what killed processes left behind is removed by the next to come.

A folder is in use as long as somebody holds the lock of its lock file, which the system gives up with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator

_PREFIX, _LOCK = "leakfix-fleet-", "lock"


@contextlib.contextmanager
def workspace() -> Iterator[str]:
    """A folder that is gone afterwards."""
    _remove_abandoned()
    folder, lock = _made()
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def _made() -> tuple[str, int]:
    while True:
        folder = tempfile.mkdtemp(prefix=_PREFIX)
        lock = _locked(folder, os.O_CREAT | os.O_EXCL)
        if lock is not None:
            return folder, lock


def _remove_abandoned() -> None:
    """Remove folders nobody holds; those without a lock file are just being made, or not ours."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        found = [entry for entry in entries if entry.name.startswith(_PREFIX)]
        for entry in found:
            if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid():
                _remove_if_abandoned(entry.path)


def _remove_if_abandoned(folder: str) -> None:
    lock = _locked(folder, 0)
    if lock is not None:
        _remove(folder)
        os.close(lock)


def _locked(folder: str, creating: int) -> int | None:
    """The locked lock file; None where it is missing or somebody else's."""
    try:
        lock = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | creating, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            return lock
    except OSError:
        pass
    os.close(lock)  # somebody else's, or removed by somebody who was quicker to lock it
    return None


def _remove(folder: str) -> None:
    """Remove a folder, its lock file last: what stays, because an orphan still writes there, is found again by it."""
    with contextlib.suppress(OSError):
        for name in set(os.listdir(folder)) - {_LOCK}:
            _remove_tree(os.path.join(folder, name))
        if os.listdir(folder) == [_LOCK]:
            os.unlink(os.path.join(folder, _LOCK))
            os.rmdir(folder)


def _remove_tree(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)
