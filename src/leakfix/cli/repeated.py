"""The same command line again: where nothing has changed since, what was said then is said once more.

Nothing of click, the settings or the analysis is imported for that: on a small file they take longer than all else.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from leakfix.cache.framed import framed, unframed
from leakfix.cache.snapshot import Snapshot
from leakfix.cache.store import Store, named
from leakfix.report.style import has_colour

_FORMAT = "1"


class Said:
    """What a command writes to stdout and stderr, and its exit code.

    out: text in parts; between each two stands how to write the seconds it took. is_text: whether it is for people,
    in the terminal's encoding; all else is UTF-8, whatever that is.
    """

    def __init__(self, out: list[str], is_text: bool, err: str = "", code: int = 0) -> None:
        self.out, self.is_text, self.err, self.code = out, is_text, err, code

    def say(self, seconds: float) -> None:
        """Write it. seconds: what it took."""
        out = "".join(format(seconds, part) if at % 2 else part for at, part in enumerate(self.out))
        if self.is_text:
            sys.stdout.write(out)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(out.encode("utf-8", "surrogateescape"))
            sys.stdout.buffer.flush()
        if self.err:
            sys.stdout.flush()
            sys.stderr.write(self.err)


def repeat(arguments: Sequence[str]) -> int | None:
    """Say what was said before; None where nothing was, or something changed since."""
    started = time.monotonic()
    if not arguments or arguments[0] != "check":
        return None
    said = _kept(arguments)
    if said is None:
        return None
    said.say(time.monotonic() - started)
    return said.code


def _kept(arguments: Sequence[str]) -> Said | None:
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        snapshot, told = unframed(Store().load(_key(arguments)) or b"", 2)
        if Snapshot.loaded(snapshot).holds():
            return Said(*json.loads(told))
    return None


def keep(arguments: Sequence[str], said: Said, snapshot: Snapshot) -> None:
    """Keep what was said, for as long as all stands as it did."""
    told = json.dumps([said.out, said.is_text, said.err, said.code]).encode("ascii")
    with suppress(OSError):
        Store().save(_key(arguments), framed([snapshot.dumped(), told]))


def _key(arguments: Sequence[str]) -> str:
    """What the answer to a command line depends on beside the disk. Raises OSError."""
    colours = [str(has_colour(stream)) for stream in (sys.stdout, sys.stderr)]
    about = [_FORMAT, str(sys.stdout.encoding), os.path.expanduser("~"), *colours]
    return named([*about, *arguments])
