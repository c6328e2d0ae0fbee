"""Which files use what others export, from their bytes: an import is followed to the file it names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from leakfix.languages.python.modules import Import
from leakfix.languages.python.project import Modules
from leakfix.project.imports import Imports, words_of
from leakfix.project.prefilter import only_annotates

_DOTTED = re.compile(rb"[\w.\x80-\xff]+")
_BEHIND_DOT = re.compile(rb"\.\s*([\w\x80-\xff]+)")
_PACKAGE = "__init__.py"
_MOST_REACHED = 3000


Exports = Mapping[str, frozenset[str]]
"""Names by the path of the file that exports them."""


class ImportIndex:
    """Which files may import what, by words alone; asked before a file is looked at again."""

    def __init__(self) -> None:
        self._words: dict[tuple[str, bytes], list[str]] = {}
        """Files by the last word of a module they import from, by a name they import from one, or in a plain import."""
        self._added: dict[str, list[tuple[str, bytes]]] = {}

    def add(self, path: str, imports: Imports) -> None:
        """Take in what a file imports."""
        words = [("from", word) for word in imports.last_words]
        words += [("name", word) for word in imports.names]
        words += [("plain", word) for word in imports.plain_words]
        for word in words:
            self._words.setdefault(word, []).append(path)
        self._added[path] = words

    def remove(self, path: str) -> None:
        """Forget what a file imported, if it was added."""
        for word in self._added.pop(path, ()):
            self._words[word].remove(path)

    def near(self, exports: Exports) -> list[str]:
        """The paths of files that may import something exported."""
        found: set[str] = set()
        for path, names in exports.items():
            from_it = self._with("from", _words_naming(path))
            found |= from_it & self._with("name", {*(name.encode() for name in names), b"*"})
            for word, above in _places_of(path):
                found |= self._with("plain", {word}) | (self._with("name", {word}) & self._with("from", {above, b"."}))
        return sorted(found)

    def _with(self, kind: str, words: Iterable[bytes]) -> set[str]:
        return set[str]().union(*(self._words.get((kind, word), ()) for word in words))


def _places_of(path: str) -> list[tuple[bytes, bytes]]:
    """The words that name a path's module and its package, each with that of the package it can be imported from."""
    folder, file = os.path.split(path)
    above, package = os.path.split(folder)
    words = [(file.removesuffix(".py"), package), (package, os.path.basename(above))]
    return [(os.fsencode(word), os.fsencode(outer)) for word, outer in words]


def _words_naming(path: str) -> set[bytes]:
    """The last words by which an import can name the module of a path or the package it is in."""
    folder, file = os.path.split(path)
    words = {file.removesuffix(".py"), os.path.basename(folder), *(["."] if file == _PACKAGE else [])}
    return {os.fsencode(word) for word in words}


def reached(paths: Sequence[str], modules: Modules, read: Callable[[str], bytes]) -> list[str]:
    """The project's files that these import, directly or through others, and that are not among them; bounded."""
    seen, waiting = set(paths), list(paths)
    found: list[str] = []
    while waiting and len(found) < _MOST_REACHED:
        path = waiting.pop()
        try:
            statements = Imports.of(read(path)).statements
        except OSError:
            continue
        targets = {target for module, names in statements for target in _targets(modules, path, module, names)}
        for target in sorted(targets):
            if target not in seen:
                seen.add(target)
                found.append(target)
                waiting.append(target)
    return sorted(found)


def _targets(modules: Modules, path: str, module: bytes, names: bytes) -> Iterator[str]:
    if not module:
        written = _DOTTED.findall(names)
    else:
        separator = b"" if module.endswith(b".") else b"."
        written = [module, *(module + separator + word for word in words_of(names))]
    for name in written:
        target = find_written(modules, path, name)
        if target:
            yield target


def find_written(modules: Modules, path: str, written: bytes) -> str | None:
    """The file that a module's name, as an import in a file writes it, names."""
    dotted = written.lstrip(b".")
    return modules.find(path, Import(dotted.decode("utf-8", "replace"), None, len(written) - len(dotted)))


class Importers:
    """Tells the files that import one of the exported names, by name, by star, or through its module or package.

    methods: what may acquire on an object, of libraries and of the project's own classes, inherited or not; where none
        is called, a class that only annotates leads to nothing.
    """

    def __init__(self, modules: Modules, exports: Exports, methods: Iterable[str]) -> None:
        self._modules = modules
        self._methods = {name.encode() for name in methods}
        self._exports = {path: {name.encode() for name in names} for path, names in exports.items() if names}
        self._below: dict[str, set[bytes]] = {}
        """All that the modules of a package export, by its folder."""
        for path, names in self._exports.items():
            self._below.setdefault(os.path.dirname(path), set()).update(names)
        self._last_words = {word for path in self._exports for word in _words_naming(path)}

    def passes(self, path: str, data: bytes, imports: Imports) -> bool:
        """Whether the file of that path, content and imports uses something exported."""
        return any(self._imports(path, data, module, names) for module, names in imports.statements)

    def _imports(self, path: str, data: bytes, module: bytes, names: bytes) -> bool:
        if not module:
            dotted = (name for name in _DOTTED.findall(names) if name.rpartition(b".")[2] in self._last_words)
            return any(self._uses(data, self._find(path, name)) for name in dotted)
        words = set(words_of(names))
        last = module.rpartition(b".")[2]
        if not last or last in self._last_words:
            exported = self._exports.get(self._find(path, module), set())
            if exported and (names.lstrip().startswith(b"*") or self._uses_some(data, names, words & exported)):
                return True
        separator = b"" if module.endswith(b".") else b"."
        inner = (module + separator + word for word in words & self._last_words)
        return any(self._uses(data, self._find(path, name)) for name in inner)

    def _uses_some(self, data: bytes, names: bytes, imported: set[bytes]) -> bool:
        """Whether one of the imported names may acquire: none does that only says what somebody else made."""
        if not imported or b" as " in names:
            return bool(imported)
        rest = data.replace(b"import" + names, b"")
        if any(not only_annotates(name, rest) for name in imported):
            return True
        return not self._methods.isdisjoint(_BEHIND_DOT.findall(rest))

    def _find(self, path: str, written: bytes) -> str:
        return find_written(self._modules, path, written) or ""

    def _uses(self, data: bytes, target: str) -> bool:
        names: Iterable[bytes] = self._exports.get(target, ())
        if os.path.basename(target) == _PACKAGE:
            names = self._below.get(os.path.dirname(target), ())
        return any(b"." + name in data for name in names)
