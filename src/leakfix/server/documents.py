"""Which folder a document belongs to, and what was found in its present text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pygls.uris import to_fs_path, urlparse
from pygls.workspace import TextDocument

from leakfix.background import Worker
from leakfix.finding import Finding, Safety
from leakfix.result import FileRepair
from leakfix.server.folder import Folder, Place
from leakfix.server.settings import Settings
from leakfix.session import Look
from leakfix.source import SourceFile

LANGUAGES = {"python": ".py", "go": ".go"}

Result = TypeVar("Result")


@dataclass(frozen=True)
class Looked:
    """What was found in one version of a document. number: counts up, for clients that ask whether it is still so."""

    version: int | None
    generation: int
    number: int
    look: Look
    folder: Folder


class Documents:
    """All that is known of open documents. Only the newest text of each is ever analysed.

    folders: the paths of the workspace's folders as they are now. opened: all open documents.
    tell: called with what a person has to know.
    """

    def __init__(
        self,
        worker: Worker,
        folders: Callable[[], list[str]],
        opened: Callable[[], Iterable[TextDocument]],
        tell: Callable[[str], None],
    ) -> None:
        self._worker = worker
        self._opened = opened
        self._roots = folders
        self._tell = tell
        self._folders: dict[tuple[str, str | None], Folder] = {}
        self._looked: dict[str, Looked] = {}
        self._places: dict[str, Place] = {}
        self._generation = 0
        self._number = 0
        self.settings: Mapping[str, Settings] = {}
        """What the client has set, by the folder's path; "" for all others."""

    def place(self, document: TextDocument) -> Place | None:
        """Where a document is analysed; None for other languages, notebooks, and what is not the editor's own text."""
        scheme = urlparse(document.uri)[0]
        suffix = LANGUAGES.get(document.language_id or "")
        if scheme == "untitled" and suffix is not None:
            root = next(iter(self._roots()), os.path.expanduser("~"))
            return Place(root, f"{(document.filename or 'untitled').removesuffix(suffix)}{suffix}", False)
        path = to_fs_path(document.uri) if scheme == "file" else None
        if path is None or not path.endswith(tuple(LANGUAGES.values())):
            return None
        inside = [root for root in self._roots() if path.startswith(root.rstrip(os.sep) + os.sep)]
        root = max(inside, key=len, default=os.path.dirname(path))
        return Place(root, os.path.relpath(path, root).replace(os.sep, "/"), bool(inside))

    async def looked(self, document: TextDocument) -> Looked | None:
        """The findings of a document as it is now; None where it is not one to be looked at. Raises what analysis does.

        A text that is replaced by a newer one before its turn comes is not analysed.
        """
        while True:
            place, version, generation = self.place(document), document.version, self._generation
            if place is None:
                return None
            known = self._looked.get(document.uri)
            if known is not None and (known.version, known.generation) == (version, generation):
                return known
            self._places[document.uri] = place
            folder = self._folder(place)
            arguments = place.path, self._texts(place), self._settings(place)
            look = await self._worker.run(_newest, document, version, folder, *arguments)
            if look is not None and (document.version, self._generation) == (version, generation):
                self._number += 1
                self._looked[document.uri] = Looked(version, generation, self._number, look, folder)

    async def repaired(self, document: TextDocument) -> FileRepair | None:
        """A document before and after all of its safe repairs."""
        place = self.place(document)
        if place is None:
            return None
        texts, settings = self._texts(place), self._settings(place)
        return await self._worker.run(self._folder(place).repaired, place.path, texts, settings, _is_safe)

    async def at_home(self, looked: Looked, function: Callable[[], Result]) -> Result:
        """What a function gives that needs the files around a document."""
        return await self._worker.run(looked.folder.at_home, function)

    def close(self, uri: str) -> None:
        """A document is no longer open; what is on disk counts when its folder is asked next."""
        self._looked.pop(uri, None)
        place = self._places.pop(uri, None)
        if place is not None and not place.whole:
            self._folders.pop((place.root, place.path), None)

    async def refresh(self) -> None:
        """Files, configuration or settings may have changed: nothing that was found counts any more."""
        self._generation += 1
        for folder in list(self._folders.values()):
            await self._worker.run(folder.refresh)

    def keep_folders(self) -> None:
        """Forget folders that are no longer in the workspace."""
        roots = self._roots()
        self._folders = {key: folder for key, folder in self._folders.items() if key[1] or key[0] in roots}

    def _folder(self, place: Place) -> Folder:
        key = (place.root, None if place.whole else place.path)
        if key not in self._folders:
            self._folders[key] = Folder(*key, self._tell)
        return self._folders[key]

    def _texts(self, place: Place) -> dict[str, str]:
        """The texts of all open documents of a place's folder, by path."""
        found = {}
        for document in self._opened():
            other = self.place(document)
            if other is not None and (other == place or (place.whole and other.whole and other.root == place.root)):
                found[other.path] = document.source
        return found

    def _settings(self, place: Place) -> Settings:
        return self.settings.get(place.root) or self.settings.get("") or Settings()


def _newest(
    document: TextDocument,
    version: int | None,
    folder: Folder,
    path: str,
    texts: Mapping[str, str],
    settings: Settings,
) -> Look | None:
    """The findings of a document, if it still is of that version."""
    return folder.look(path, texts, settings) if document.version == version else None


def _is_safe(finding: Finding, before: SourceFile, after: SourceFile) -> bool:
    return finding.fix is not None and finding.fix.safety is Safety.SAFE
