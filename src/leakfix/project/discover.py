"""From the paths of the command line to the files to look at.

In a git work tree git lists the files, elsewhere a plain walk does. Either way vendored trees are left out,
links are not followed, and nothing but regular files is handed on.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from leakfix.config import Config, globs
from leakfix.project import git
from leakfix.project.stamps import settled, stamp_of
from leakfix.project.trace import has_one_of, trace

SUFFIXES = (".py", ".go")
_NEVER = frozenset({"..", ".git", ".hg", ".svn", ".jj"})
_BUILT = frozenset({"build", "dist"})
ROOT_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "manage.py", "requirements.txt", "go.mod")
_MARKS_ENVIRONMENT = "pyvenv.cfg"

Failure = tuple[str, str]


@dataclass(frozen=True)
class Discovery:
    """files: sorted, relative to the working directory. errors: paths with the reason they could not be read.

    named_errors: whether one of those paths stood on the command line.
    """

    files: list[str]
    errors: list[Failure]
    named_errors: bool


@dataclass
class _Search:
    """One search of one named folder."""

    excluded: Callable[[str], bool]
    files: set[str] = field(default_factory=set)
    errors: list[Failure] = field(default_factory=list)
    open_folders: dict[tuple[str, bool], bool] = field(default_factory=dict)


def is_whole(path: str) -> bool:
    """Whether nothing a project's files use of their own lies outside: its root, or a folder that is in no project."""
    if not os.path.isdir(path) or _is_root(path):
        return os.path.isdir(path)
    folder, above = os.path.abspath(path), ""
    while folder != above:
        folder, above = os.path.dirname(folder), folder
        if _is_root(folder):
            return False
    return True


def _is_root(path: str) -> bool:
    return has_one_of(path, ROOT_MARKS)


def discover(paths: Sequence[str], config: Config) -> Discovery:
    """Find the source files below the paths; a file named itself is taken whatever it is called."""
    failures = unusable(paths)
    failed = {path for path, _ in failures}
    search = _Search(_exclusion(config))
    for path in dict.fromkeys(map(displayed, paths)):
        if path in failed or _is_left_out(search, config, path):
            continue
        if os.path.isdir(path):
            _search_folder(search, path)
        else:
            search.files.add(path)
    files = sorted({displayed(file) if file.startswith("../") else file for file in search.files})
    return Discovery(files, sorted({*failures, *search.errors}), bool(failures))


def unusable(paths: Iterable[str]) -> list[Failure]:
    """Those of the named paths that are missing, cannot be read, or are neither file nor folder."""
    checked = ((path, _why_unusable(path)) for path in dict.fromkeys(map(displayed, paths)))
    return [(path, reason) for path, reason in checked if reason is not None]


def is_left_out(path: str, config: Config) -> bool:
    """Whether a search of the working directory would leave out a file of this relative path, were it there."""
    excluded, parts = _exclusion(config), path.split("/")
    above = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    return not _NEVER.isdisjoint(parts) or any(map(excluded, above))


def displayed(path: str) -> str:
    """A path as outputs show it: relative to the working directory, with ``/``."""
    try:
        relative = os.path.relpath(path or os.curdir)
    except ValueError:  # another drive
        relative = os.path.abspath(path)
    return relative.replace(os.sep, "/")


def _why_unusable(path: str) -> str | None:
    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return "not a regular file or folder"
        wanted = os.R_OK | os.X_OK if stat.S_ISDIR(mode) else os.R_OK
        if not os.access(path, wanted):
            return os.strerror(errno.EACCES)
    except (OSError, ValueError) as error:
        return _reason(error)
    return None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _search_folder(search: _Search, folder: str) -> None:
    listing = git.listing(folder, (*SUFFIXES, "/" + _MARKS_ENVIRONMENT))
    if listing is not None and trace.on:
        trace.git[folder] = listing.digest
    if listing is None or (not listing.entries and git.is_ignored(folder)):
        _walk(search, folder)
        return
    search.errors += [(displayed(path), reason) for path, reason in listing.unreadable]
    environments = tuple(_environments(listing.entries))
    for entry in listing.entries:
        wanted = entry.repository or entry.path.endswith(SUFFIXES)
        if wanted and not entry.path.startswith(environments):
            _take_listed(search, folder, entry)


def _environments(listed: Iterable[git.Listed]) -> Iterator[str]:
    """Folders, with a final slash, that are virtual environments whatever their name."""
    for entry in listed:
        parent, _, name = entry.path.rpartition("/")
        if name == _MARKS_ENVIRONMENT and parent:
            yield parent + "/"


def _take_listed(search: _Search, folder: str, entry: git.Listed) -> None:
    parent, _, name = entry.path.rpartition("/")
    path = _join(folder, entry.path)
    if name in _NEVER or not _is_open(search, folder, parent, entry.tracked) or search.excluded(path):
        return
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):  # tracked, and gone from the work tree
        return
    except OSError as error:
        search.errors.append((path, _reason(error)))
        return
    if stat.S_ISREG(mode) and not entry.repository:
        search.files.add(path)
    elif stat.S_ISDIR(mode) and entry.repository and os.path.lexists(os.path.join(path, ".git")):
        _search_folder(search, path)


def _is_open(search: _Search, folder: str, inside: str, tracked: bool) -> bool:
    """Whether a folder below the searched one is to be looked into: not left out, and not behind a link."""
    if not inside:
        return True
    path = _join(folder, inside)
    known = search.open_folders.get((path, tracked))
    if known is None:
        parent, _, name = inside.rpartition("/")
        unwanted = name in _NEVER or (name in _BUILT and not tracked) or search.excluded(path)
        known = not unwanted and not os.path.islink(path) and _is_open(search, folder, parent, tracked)
        search.open_folders[path, tracked] = known
    return known


def _walk(search: _Search, folder: str) -> None:
    """Search below a folder without git; an explicit stack, because trees can be deeper than Python's."""
    waiting = [folder]
    while waiting:
        at = waiting.pop()
        try:
            if trace.on:
                trace.walked[at] = settled(stamp_of(os.stat(at)))
            with os.scandir(at) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            search.errors.append((displayed(at), _reason(error)))
            continue
        if at != folder and any(entry.name == _MARKS_ENVIRONMENT for entry in entries):
            continue
        for entry in entries:
            _take_scanned(search, at, entry, waiting)


def _take_scanned(search: _Search, at: str, entry: os.DirEntry[str], waiting: list[str]) -> None:
    path = _join(at, entry.name)
    try:
        if entry.is_dir(follow_symlinks=False):
            unwanted = entry.name in _NEVER or entry.name in _BUILT or search.excluded(path)
            if not unwanted:
                waiting.append(path)
        elif _is_source(entry) and not search.excluded(path):
            search.files.add(path)
    except OSError as error:
        search.errors.append((path, _reason(error)))


def _is_source(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(SUFFIXES) and entry.is_file(follow_symlinks=False)


def _join(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder.rstrip('/')}/{name}"


def _exclusion(config: Config) -> Callable[[str], bool]:
    """Decides about a path by the settings of the folder it lies in."""
    by_settings: dict[int, Callable[[str], bool]] = {}
    by_folder: dict[str, Callable[[str], bool]] = {}

    def excluded(path: str) -> bool:
        folder = path.rpartition("/")[0]
        decides = by_folder.get(folder)
        if decides is None:
            governing = config.governing_folder(folder)
            if id(governing) not in by_settings:
                by_settings[id(governing)] = _excluded_by(governing)
            decides = by_folder[folder] = by_settings[id(governing)]
        return decides(path)

    return excluded


def _excluded_by(config: Config) -> Callable[[str], bool]:
    """Decides about a path: patterns without a slash are matched with its name, others with all of it."""
    plain = {pattern for pattern in config.exclude if not re.search(r"[/*?\[{]", pattern)}
    paths = [pattern for pattern in config.exclude if globs.is_path(pattern)]
    names = globs.alternatives(p for p in config.exclude if not globs.is_path(p) and p not in plain)
    inside = globs.alternatives(_anchored(p) for p in paths if not p.startswith("/"))
    whole = globs.alternatives(p.rstrip("/").removesuffix("/**") for p in paths if p.startswith("/"))
    here = config.here or os.getcwd()
    prefix = os.path.relpath(here, config.root).replace(os.sep, "/")

    def excluded(path: str) -> bool:
        name = path.rpartition("/")[2]
        if name in plain or (names is not None and names.match(name)):
            return True
        if inside is not None and inside.match(os.path.normpath(f"{prefix}/{path}").replace(os.sep, "/")):
            return True
        return whole is not None and whole.match(os.path.normpath(os.path.join(here, path))) is not None

    return excluded


def _anchored(pattern: str) -> str:
    return pattern.removeprefix("./").strip("/").removesuffix("/**")


def _is_left_out(search: _Search, config: Config, path: str) -> bool:
    """Whether a path that is named lies in what is excluded, where that is to count."""
    if not config.governing_folder(path.rpartition("/")[0]).force_exclude:
        return False
    parts = path.split("/")
    paths = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    return any(search.excluded(each) for each in paths if each.rpartition("/")[2] not in ("", ".", ".."))
