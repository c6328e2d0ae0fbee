"""One folder's analysis for the server: its configuration as the command line sees it, its session, its documents.

Everything here runs on the server's one analysis thread, which stands in the folder while it works for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from leakfix.config import BASELINE, SETTINGS, Config, ConfigError, load
from leakfix.importpath import forget_working_directory
from leakfix.project.baseline import file_of
from leakfix.registry import Registry
from leakfix.result import Decide, FileRepair
from leakfix.server.settings import Settings
from leakfix.server.text import raw_of
from leakfix.session import Look, Session

CONFIGURATION = (*SETTINGS, BASELINE)

Result = TypeVar("Result")
_Stamps = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Place:
    """Where a document is analysed: the folder, its path there, and whether the folder is looked at as a whole."""

    root: str
    path: str
    whole: bool


class Folder:
    """A workspace's folder, or (not whole) the folder of a single file that is in none.

    tell: called with what a person has to know, once for each text.
    """

    def __init__(self, root: str, only: str | None, tell: Callable[[str], None]) -> None:
        self._root = root
        self._paths = (".",) if only is None else (only,)
        self._tell = tell
        self._told: set[str] = set()
        self._settings = Settings()
        self._session: Session | None = None
        self._made_for: tuple[Settings, _Stamps] | None = None
        self._config: Config | None = None
        """The configuration that was read last, be it used or not."""

    def look(self, path: str, texts: Mapping[str, str], settings: Settings) -> Look:
        """The findings of a document. texts: those of all open documents of the folder, by path."""
        session = self._ready(settings)
        if session is None or not settings.enable:
            return Look(None)
        wrong = _edit(session, texts)
        try:
            return session.look(path) if path not in wrong else Look(None, (), (wrong[path],))
        except ConfigError as error:
            self._once(str(error))
            return Look(None)

    def repaired(self, path: str, texts: Mapping[str, str], settings: Settings, decide: Decide) -> FileRepair | None:
        """A document before and after all repairs that are accepted; None where nothing can be said of it."""
        session = self._ready(settings)
        if session is None or not settings.enable or path in _edit(session, texts):
            return None
        try:
            return session.repaired(path, decide)
        except ConfigError as error:
            self._once(str(error))
            return None

    def refresh(self) -> None:
        """Something may have changed on disk."""
        if self._session is not None:
            os.chdir(self._root)
            try:
                self._session.refresh()
            except ConfigError as error:
                self._once(str(error))

    def at_home(self, function: Callable[[], Result]) -> Result:
        """What a function gives that is called in the folder."""
        os.chdir(self._root)
        return function()

    @property
    def registry(self) -> Registry | None:
        """The rules; None where the configuration cannot be used."""
        return self._session.registry if self._session is not None else None

    def _ready(self, settings: Settings) -> Session | None:
        """The session for the configuration as it is now; the former one as long as a new one cannot be used."""
        os.chdir(self._root)
        if self._made_for != (settings, self._stamps()):
            self._renew(settings)
            self._made_for = settings, self._stamps()
        return self._session

    def _renew(self, settings: Settings) -> None:
        forget_working_directory()
        try:
            config = self._config = load().overridden(settings.select, settings.ignore)
            registry = Registry.load(config)
            made = Session(config, registry, self._paths)
            made.check_settings()
        except ConfigError as error:
            self._once(f"{error}; {'the former configuration' if self._session else 'nothing'} is used until then")
            return
        self._told.clear()
        for text in registry.broken:
            self._once(text)
        for path, raw in self._session.texts.items() if self._session is not None else ():
            made.edit(path, raw)
        self._session = made

    def _stamps(self) -> _Stamps:
        """What tells whether the configuration is still the same: the files it is in, and where it is looked for."""
        nearest = self._config.nearest if self._config is not None else None
        folders = {*_upward(self._root), *(nearest.folders if nearest is not None else ())}
        files = {os.path.join(folder, name) for folder in folders for name in CONFIGURATION}
        files.update(nearest.files if nearest is not None else ())
        files.update(filter(None, [file_of(self._config)] if self._config is not None else ()))
        return tuple(stamp for file in sorted(files) if (stamp := _stamp(file)) is not None)

    def _once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._tell(text)


def _edit(session: Session, texts: Mapping[str, str]) -> dict[str, str]:
    """Let these texts count, and no others; what is wrong with those no editor could write so, by path."""
    wrong: dict[str, str] = {}
    for path in session.texts.keys() - texts.keys():
        session.close(path)
    for path, text in texts.items():
        try:
            session.edit(path, raw_of(path, text))
        except ValueError as error:
            session.close(path)
            wrong[path] = str(error)
    return wrong


def _upward(folder: str) -> Iterator[str]:
    above = ""
    while folder != above:
        yield folder
        folder, above = os.path.dirname(folder), folder


def _stamp(file: str) -> tuple[str, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return file, status.st_mtime_ns, status.st_size
