"""Reading and writing single files without ever losing one.

A write goes to a temporary file beside its target, is synced, and replaces the target in one step. Where that
would break something (hard links, an owner that cannot be given to a new file) the file is rewritten in place
while a synced copy of its former bytes stands beside it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable
from contextlib import suppress

from leakfix.project.trace import trace

_PREFIX, _SUFFIX = ".leakfix-", ".tmp"
_OWN_TEMPORARY = re.compile(r"\.leakfix-(\d+)-[0-9a-f]{16}\.tmp")
_BACKUP = re.compile(r"\.leakfix-backup-(\d+)-([0-9a-f]{16})-(\d+)-[0-9a-f]{16}\.tmp")
_MOST_AT_ONCE = 1 << 20
_LONGEST_WRITE = 600.0  # seconds; process numbers are used again
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


class NotWritten(OSError):
    """A file was left as it is; the message says why."""


def read_file(path: str) -> bytes:
    """The bytes of a regular file. Raises OSError; never opens a FIFO, socket or device."""
    _require_regular(path, os.stat(path))
    descriptor = os.open(path, os.O_RDONLY | _NO_WAIT | _CLOSE_ON_EXEC | _BINARY)
    try:
        status = os.fstat(descriptor)
        _require_regular(path, status)
        data = os.read(descriptor, status.st_size + 1)
        if len(data) != status.st_size:  # it grows, or is no file that knows its size
            pieces = [data]
            while pieces[-1]:
                pieces.append(os.read(descriptor, _MOST_AT_ONCE))
            data = b"".join(pieces)
    finally:
        os.close(descriptor)
    if trace.on:
        trace.read(path, status, data)
    return data


def write_atomically(path: str, expected_before: bytes, after: bytes) -> None:
    """Replace a file's bytes, or leave it untouched and raise NotWritten or another OSError.

    Nothing happens where the file already holds the new bytes: a second name of one file was written first.
    """
    target = target_of(path)
    status = os.lstat(target)
    _require_regular(path, status)
    if not status.st_mode & 0o222 or not os.access(target, os.W_OK):
        raise NotWritten(errno.EACCES, "is read-only", path)
    if read_file(target) == after:
        return
    _require_unchanged(path, target, expected_before)
    temporary = None if status.st_nlink > 1 else _temporary_like(target, status, after)
    if temporary is None:
        _rewrite_in_place(path, target, status, expected_before, after)
        return
    try:
        _require_unchanged(path, target, expected_before)
        os.replace(temporary, target)
    except BaseException:
        _remove(temporary)
        raise
    _sync_folder(os.path.dirname(target))


def create_atomically(path: str, content: bytes) -> None:
    """Make a file that holds all of its bytes from the first moment on; raises FileExistsError where there is one.

    Folders above it are made. Raises NotWritten where a link leads away from the working directory, or OSError.
    """
    folder = target_of(os.path.dirname(path) or os.curdir)
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, os.path.basename(path))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    temporary = os.path.join(folder, f"{_PREFIX}{os.getpid()}-{os.urandom(8).hex()}{_SUFFIX}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _CLOSE_ON_EXEC | _BINARY, 0o666)
    try:
        with os.fdopen(descriptor, "wb"):
            _write_synced(descriptor, content)
        _give_name(temporary, target)
    finally:
        _remove(temporary)
    _sync_folder(folder)


def replace_atomically(path: str, content: bytes) -> None:
    """Make a file hold these bytes, whatever it held. Raises OSError, and then it is as it was."""
    try:
        create_atomically(path, content)
    except FileExistsError:
        write_atomically(path, read_file(path), content)


def _give_name(temporary: str, target: str) -> None:
    """Give a whole file its name in one step that fails where the name is taken."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system: what can be had is a look right before
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(temporary, target)


def target_of(path: str) -> str:
    """Where a write to the path lands: itself, or a link's target under the working directory."""
    absolute, real, here = os.path.abspath(path), os.path.realpath(path), os.path.realpath(os.curdir)
    leads_away = not is_under(real, here) and (os.path.islink(path) or is_under(absolute, here))
    if leads_away:
        raise NotWritten(errno.EPERM, "is a link to a file outside the working directory", path)
    return real


def is_under(path: str, folder: str) -> bool:
    """Whether an absolute path lies in a folder."""
    return path.startswith(folder if folder.endswith(os.sep) else folder + os.sep)


def remove_stale(folders: Iterable[str]) -> list[str]:
    """Remove what interrupted runs left in these folders; returns a warning for each file that is kept."""
    warnings = []
    for folder in sorted(set(folders)):
        with suppress(OSError), os.scandir(folder or os.curdir) as entries:
            names = [entry.name for entry in entries if _is_temporary(entry)]
            warnings += [text for name in names if (text := _remove_if_stale(folder, name))]
    return warnings


def _require_regular(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)


def _require_unchanged(path: str, target: str, expected: bytes) -> None:
    if read_file(target) != expected:
        raise NotWritten(errno.EBUSY, "changed on disk since it was read", path)


def _temporary_like(target: str, status: os.stat_result, content: bytes) -> str | None:
    """A synced file with the target's mode, owner and attributes; None where it cannot have its owner."""
    name = f"{_PREFIX}{os.getpid()}-{os.urandom(8).hex()}{_SUFFIX}"
    temporary = os.path.join(os.path.dirname(target), name)
    descriptor = _create(temporary)
    try:
        with os.fdopen(descriptor, "wb"):
            if not _give_owner(descriptor, status):
                _remove(temporary)
                return None
            _copy_attributes(target, descriptor)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
            _write_synced(descriptor, content)
    except BaseException:
        _remove(temporary)
        raise
    return temporary


def _create(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _CLOSE_ON_EXEC | _BINARY
    return os.open(path, flags, 0o600)


def _give_owner(descriptor: int, status: os.stat_result) -> bool:
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) == (status.st_uid, status.st_gid):
        return True
    try:
        os.fchown(descriptor, status.st_uid, status.st_gid)
    except OSError:
        return False
    return True


def _copy_attributes(source: str, target: int) -> None:
    if not hasattr(os, "listxattr"):
        return
    with suppress(OSError):
        for name in os.listxattr(source):
            with suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))


def _write_synced(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _rewrite_in_place(path: str, target: str, status: os.stat_result, before: bytes, after: bytes) -> None:
    backup = _backup(target, status, before, after)
    try:
        descriptor = os.open(target, os.O_RDWR | _NO_FOLLOW | _NO_WAIT | _CLOSE_ON_EXEC | _BINARY)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            if not os.path.samestat(os.fstat(descriptor), status) or stream.readall() != before:
                raise NotWritten(errno.EBUSY, "changed on disk since it was read", path)
            try:
                _overwrite(descriptor, after)
            except BaseException:
                _overwrite(descriptor, before)
                raise
        with suppress(OSError):  # writing may clear special bits
            os.chmod(target, stat.S_IMODE(status.st_mode))
    finally:
        if read_file(target) in (before, after):
            _remove(backup)


def _backup(target: str, status: os.stat_result, before: bytes, after: bytes) -> str:
    """A synced copy of the former bytes; its name tells whose they are and what was to be written."""
    ending = f"{os.getpid()}-{os.urandom(8).hex()}"
    name = f"{_PREFIX}backup-{status.st_ino}-{_digest(after)}-{ending}{_SUFFIX}"
    backup = os.path.join(os.path.dirname(target), name)
    descriptor = _create(backup)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _write_synced(stream.fileno(), before)
    except BaseException:
        _remove(backup)
        raise
    _sync_folder(os.path.dirname(target))
    return backup


def _overwrite(descriptor: int, content: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    _write_synced(descriptor, content)
    os.ftruncate(descriptor, len(content))
    os.fsync(descriptor)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _sync_folder(folder: str) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | _CLOSE_ON_EXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _is_temporary(entry: os.DirEntry[str]) -> bool:
    named = entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)
    return named and entry.is_file(follow_symlinks=False)


def _remove_if_stale(folder: str, name: str) -> str | None:
    path = os.path.join(folder, name)
    backup = _BACKUP.fullmatch(name)
    running = backup[3] if backup else match[1] if (match := _OWN_TEMPORARY.fullmatch(name)) else None
    if running is not None and _is_fresh(path) and _is_another_process(int(running)):
        return None
    if backup and (original := _half_written(folder, path, int(backup[1]), backup[2])):
        return f"{original} was left half-written by an interrupted run; its former content is in {path}"
    _remove(path)
    return None


def _half_written(folder: str, backup: str, inode: int, written: str) -> str | None:
    """The file a backup must be kept for, if it holds neither the former nor the new bytes."""
    with os.scandir(folder or os.curdir) as entries:
        owners = [entry.path for entry in entries if entry.inode() == inode and entry.path != backup]
    if not owners:
        return None
    content = read_file(owners[0])
    if _digest(content) == written or content == read_file(backup):
        return None
    return owners[0]


def _is_fresh(path: str) -> bool:
    return time.time() - os.lstat(path).st_mtime < _LONGEST_WRITE


def _is_another_process(number: int) -> bool:
    if number == os.getpid() or os.name != "posix":
        return False
    try:
        os.kill(number, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
