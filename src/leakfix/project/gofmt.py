"""gofmt, where it is installed: whether Go source is laid out as everybody lays it out."""

from __future__ import annotations

import os
from functools import lru_cache

_SECONDS = 10


def is_formatted(data: bytes) -> bool | None:
    """Whether gofmt would change nothing; None where it is not there, or cannot read the source."""
    import subprocess

    program = _program()
    if program is None:
        return None
    try:
        done = subprocess.run([program], input=data, capture_output=True, timeout=_SECONDS, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout == data if done.returncode == 0 else None


@lru_cache(maxsize=1)
def _program() -> str | None:
    """From an absolute folder of PATH: a relative one would be the scanned tree."""
    import shutil

    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which("gofmt", path=os.pathsep.join(folder for folder in folders if os.path.isabs(folder)))
