"""How much memory this process occupies."""

from __future__ import annotations

import os
import sys


def resident() -> int:
    """Bytes resident now; where the system does not say, the most there ever were (``getrusage``), else 0."""
    try:
        with open("/proc/self/statm", "rb") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return most_resident()


def most_resident() -> int:
    """The most bytes that were ever resident; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
