"""What may be imported: nothing of what is scanned."""

from __future__ import annotations

import os
import sys


def forget_working_directory() -> None:
    """Take the working directory off the import path: it is what is scanned, and must never be run.

    ``-m`` and PYTHONPATH put entries before the standard library; what stands behind it was installed.
    """
    library = os.path.dirname(os.__file__)
    own = os.path.realpath(os.path.dirname(os.path.dirname(__file__)))
    early = sys.path.index(library) if library in sys.path else len(sys.path)
    kept = [entry for entry in sys.path[:early] if _is_trusted(entry, own)]
    sys.path[:early] = kept


def _is_trusted(entry: str, own: str) -> bool:
    if not os.path.isabs(entry):
        return False
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:
        return True
    real = os.path.realpath(entry)
    if real == own:
        return True
    if here == os.sep:
        return real != here
    return not (real + os.sep).startswith(here + os.sep)
