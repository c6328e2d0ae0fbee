"""What tells one state of a file or folder from another.

Imported before everything else of a check, so it imports little itself.
"""

from __future__ import annotations

import hashlib
import os
import time

Stamp = tuple[int, int, int, int]
"""What the file system says without reading: size, times of change of content and of status (nanoseconds since 1970),
inode."""

ABSENT: Stamp = (-2, -2, -2, -2)
NEVER: Stamp = (-1, -1, -1, -1)
"""Equals no file's: what is stamped so has to be read again."""

LARGEST = 2**63 - 1
"""Of the numbers that stand for a file on some systems, as much is kept as eight bytes with a sign hold."""

_TICK, _LONGEST_TICK = 50_000_000, 2_000_000_000
"""Nanoseconds in which a second change may leave a stamp as it is: kernels count in ticks of up to 10 ms, file systems
that keep whole seconds in steps of up to two (FAT)."""


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp in what ``os.stat`` answered."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & LARGEST


def stamp(path: str) -> Stamp:
    """The stamp of a path; ``""`` is the working directory."""
    try:
        return stamp_of(os.stat(path or os.curdir))
    except (OSError, ValueError):
        return ABSENT


def settled(stamp: Stamp) -> Stamp:
    """The stamp, unless it is so fresh that another change might leave it as it is."""
    _, modified, changed, _ = stamp
    tick = _TICK if changed % 1_000_000_000 else _LONGEST_TICK
    return stamp if max(modified, changed) < time.time_ns() - tick else NEVER


def digest(data: bytes) -> bytes:
    """What stands for a file's content."""
    return hashlib.sha256(data, usedforsecurity=False).digest()[:16]
