"""What git knows of a folder, asked so that a hostile repository cannot run anything.

A repository's own configuration may name programs (file system monitors, hooks, transports); every one that
listing files could reach is switched off, and the environment's GIT_* variables do not leak in.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from subprocess import CompletedProcess

from leakfix.project.stamps import digest

_SECONDS = 60
_GITLINK = b"160000 "
_UNREADABLE = re.compile(rb"^warning: could not open directory '(.*)': (.*)$", re.MULTILINE)
_LISTING = ("ls-files", "-z", "-t", "-s", "-c", "-o", "--exclude-standard")
_HARDENED = (
    "--no-pager",
    "--no-optional-locks",
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "protocol.allow=never"),
    *("-c", "safe.bareRepository=explicit"),
)


class Listed(NamedTuple):
    """One entry of a listing.

    path: relative to the listed folder.
    tracked: whether the index holds it.
    repository: whether it is a submodule, or a repository that merely lies there.
    """

    path: str
    tracked: bool
    repository: bool


class Listing(NamedTuple):
    """What git lists below a folder, a digest of all it said, and the folders (as absolute paths) it could not open."""

    entries: tuple[Listed, ...]
    digest: bytes
    unreadable: tuple[tuple[str, str], ...]


def work_tree(folder: str) -> str | None:
    """The nearest folder upward that holds a ``.git``; cheap, and no proof that git will answer."""
    at = os.path.realpath(folder)
    while not os.path.lexists(os.path.join(at, ".git")):
        if os.path.dirname(at) == at:
            return None
        at = os.path.dirname(at)
    return at


def listing(folder: str, endings: tuple[str, ...]) -> Listing | None:
    """Repositories, and files of these endings that are tracked or not ignored, below a folder.

    None where git is missing, refuses or does not answer.
    """
    top = work_tree(folder)
    done = _git(folder, *_LISTING) if top else None
    if top is None or done is None:
        return None
    wanted = (*map(os.fsencode, endings), b"/")
    raw = [entry for entry in done.stdout.split(b"\0") if entry.endswith(wanted) or entry[2:9] == _GITLINK]
    entries = tuple(map(_listed, raw))
    closed = ((os.fsdecode(name), os.fsdecode(why)) for name, why in _UNREADABLE.findall(done.stderr))
    unreadable = tuple((os.path.join(top, name.rstrip("/")), why) for name, why in closed)
    return Listing(entries, digest(done.stdout), unreadable)


class Started:
    """A listing that git is making while something else is done."""

    def __init__(self, folder: str) -> None:
        """Let git begin; where it cannot, there is nothing to compare."""
        import subprocess

        program = _program()
        self._process = None
        if program is not None and work_tree(folder):
            with suppress(OSError):
                self._process = subprocess.Popen(
                    [program, *_HARDENED, *_LISTING],
                    cwd=folder,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )

    def digest(self) -> bytes:
        """What ``listing`` would have taken down of it; empty where git failed."""
        if self._process is None:
            return b""
        output = self._process.communicate()[0]
        return digest(output) if self._process.returncode == 0 else b""

    def close(self) -> None:
        """Let git end."""
        if self._process is not None and self._process.stdout is not None:
            self._process.kill()
            self._process.stdout.close()
            self._process.wait()


def _listed(entry: bytes) -> Listed:
    """Read ``? path`` or ``H mode id stage<tab>path``."""
    tag, rest = entry[:1], entry[2:]
    if tag == b"?":
        return Listed(os.fsdecode(rest.rstrip(b"/")), False, rest.endswith(b"/"))
    about, _, path = rest.partition(b"\t")
    return Listed(os.fsdecode(path), True, about.startswith(_GITLINK))


def is_ignored(folder: str) -> bool:
    """Whether the folder itself is ignored, so that an empty listing says nothing about it."""
    absolute = os.path.abspath(folder)
    return _git(os.path.dirname(absolute), "check-ignore", "-q", "--", f"./{os.path.basename(absolute)}") is not None


def _git(folder: str, *arguments: str) -> CompletedProcess[bytes] | None:
    import subprocess

    program = _program()
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *_HARDENED, *arguments],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done if done.returncode == 0 else None


def _program() -> str | None:
    """Git from an absolute folder of PATH: an empty or relative one would be the scanned tree."""
    import shutil

    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which("git", path=os.pathsep.join(folder for folder in folders if os.path.isabs(folder)))


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }
