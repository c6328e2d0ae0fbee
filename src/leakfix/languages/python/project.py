"""The modules of a run: where an import leads on disk, and each file parsed at most once."""

from __future__ import annotations

import ast
import contextlib
import gc
import os
import re
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import pairwise

from leakfix.languages.python.modules import Import, Module, read_module
from leakfix.project.trace import listing, trace
from leakfix.source import SourceFile, UndecodableSource

_LAYOUT_FOLDERS = ("", "src", "lib")
_MAX_ANCESTORS = 10
_TOP_LEVEL = re.compile(rb"^(?=[A-Za-z_@])(?!(?:else|elif|except|finally)\b)", re.MULTILINE)
_BYTES_KEPT = 4_000_000


class Unparsable(ValueError):
    """The file is no Python this interpreter can parse; the message says why and what to do."""


def parse(source: SourceFile) -> ast.Module:
    """Parse a file. Raises Unparsable."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source.code, source.path)
    except SyntaxError as error:
        raise Unparsable(_why(source, error)) from error
    except (RecursionError, MemoryError):
        raise Unparsable("nested too deeply for the parser; not analysed") from None
    except ValueError as error:
        raise Unparsable(f"not Python source: {error}") from error
    finally:
        if collecting:
            gc.enable()


def _salvaged(source: SourceFile) -> ast.Module:
    """The top-level statements that parse of a file in another Python.

    Names resolve through it then; the file itself is reported and not analysed.
    """
    tree = ast.Module([], [])
    starts = [m.start() for m in _TOP_LEVEL.finditer(source.data)] + [len(source.data)]
    for start, end in pairwise(starts):
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            piece = ast.parse(source.data[start:end])
            ast.increment_lineno(piece, source.line_of(start) - 1)
            tree.body += piece.body
    return tree


def _why(source: SourceFile, error: SyntaxError) -> str:
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    where = f"line {error.lineno}: {error.msg}"
    if "Missing parentheses in call to 'print'" in (error.msg or "") or _looks_like_python_2(source):
        return f"{where}; this looks like Python 2, which leakfix does not read"
    return (
        f"{where}; not valid in Python {running}: if the file uses newer syntax, "
        f"run leakfix with {_newer_python(error.msg or '')}"
    )


def _newer_python(message: str) -> str:
    """The Python a syntax came with (PEP 758), where the parser's message tells."""
    return "Python 3.14 or newer" if "must be parenthesized" in message else "the Python the project runs on"


def _looks_like_python_2(source: SourceFile) -> bool:
    return bool(
        re.search(
            rb"^\s*(?:print\s+[\"'%\w]|except\s+[\w.]+\s*,\s*[a-z]\w*\s*:|raise\s+\w+\s*,|exec\s+[\"'\w])",
            source.data,
            re.M,
        )
    )


class Modules:
    """Loads modules on demand and keeps a bounded number of them."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self.read = read
        self._kept: OrderedDict[str, Module | None] = OrderedDict()
        self._bytes = 0
        self._found: dict[tuple[str, str], str | None] = {}
        self._folders: dict[str, frozenset[str]] = {}
        self._above: dict[str, list[str]] = {}

    def with_module(self, module: Module) -> Modules:
        """The same modules, one of them replaced (an edited file under verification)."""
        other = Modules(self.read)
        other._kept = OrderedDict(self._kept)
        other._kept[module.path] = module
        other._found, other._folders, other._above = self._found, self._folders, self._above
        return other

    def forget(self, paths: Iterable[str], moved: bool) -> None:
        """Read files anew when they are asked for; moved: some came or went, so that imports may lead elsewhere."""
        for path in paths:
            module = self._kept.pop(path, None)
            self._bytes -= len(module.source.data) if module else 0
        if moved:
            self._found.clear()
            self._folders.clear()

    def drop(self) -> None:
        """Parse everything anew when it is asked for."""
        self._kept.clear()
        self._bytes = 0

    def load(self, path: str) -> Module | None:
        """The module of a path; None where it cannot be read or parsed."""
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path]
        try:
            source = SourceFile.python(path, self.read(path))
            try:
                module = read_module(source, parse(source))
            except Unparsable:
                module = read_module(source, _salvaged(source), whole=False)
        except (OSError, UndecodableSource, RecursionError):
            module = None
        self._keep(path, module)
        return module

    def loaded(self, path: str) -> Module | None:
        """The module of a path if it is at hand and was parsed as a whole."""
        module = self._kept.get(path)
        return module if module is not None and module.whole else None

    def keep(self, module: Module) -> None:
        """Remember a module that was parsed elsewhere."""
        self._keep(module.path, module)

    def _keep(self, path: str, module: Module | None) -> None:
        if path in self._kept:
            return
        self._kept[path] = module
        self._bytes += len(module.source.data) if module else 0
        while self._bytes > _BYTES_KEPT and len(self._kept) > 8:
            _, old = self._kept.popitem(last=False)
            self._bytes -= len(old.source.data) if old else 0

    def find(self, importer: str, imported: Import) -> str | None:
        """The file an import names, looked for from the importing file's folders upward; None if it is not ours."""
        found = self._found_for(importer, imported)
        if trace.on:
            trace.imports.setdefault(importer, {})["." * imported.level + imported.module] = found
        return found

    def _found_for(self, importer: str, imported: Import) -> str | None:
        if imported.level:
            folder = os.path.dirname(importer)
            for _ in range(imported.level - 1):
                folder = os.path.normpath(os.path.join(folder, ".."))
            return self._in(folder, imported.module)
        return self._absolute(os.path.dirname(importer), imported.module)

    def _absolute(self, folder: str, dotted: str) -> str | None:
        key = (folder, dotted)
        if key not in self._found:
            self._found[key] = self._search(folder, dotted)
        return self._found[key]

    def _search(self, folder: str, dotted: str) -> str | None:
        """A package's folder can be on the import path too, where a script in it is what is run."""
        found = self._upward(folder, dotted, packages=False)
        if found is None and "." in dotted and dotted.partition(".")[0] not in sys.stdlib_module_names:
            found = self._upward(folder, dotted, packages=True)
        return found

    def _upward(self, folder: str, dotted: str, packages: bool) -> str | None:
        for at in self._ancestors(folder):
            if packages or "__init__.py" not in self._listing(at):
                for layout in _LAYOUT_FOLDERS:
                    found = self._in(os.path.join(at, layout) if layout else at, dotted)
                    if found:
                        return found
        return None

    def _ancestors(self, folder: str) -> list[str]:
        """The folder and those above it, up to the project's root."""
        known = self._above.get(folder)
        if known is None:
            known = self._above[folder] = [folder]
            while len(known) < _MAX_ANCESTORS and ".git" not in self._listing(known[-1]):
                above = os.path.normpath(os.path.join(known[-1], ".."))
                if os.path.abspath(above) == os.path.abspath(known[-1]):
                    break
                known.append("" if above == "." else above)
        return known

    def _in(self, folder: str, dotted: str) -> str | None:
        parts = dotted.split(".") if dotted else []
        for part in parts[:-1]:
            if part not in self._listing(folder):
                return None
            folder = os.path.join(folder, part)
        if not parts:
            return self._file(folder, "__init__.py")
        if parts[-1] in self._listing(folder):
            package = self._file(os.path.join(folder, parts[-1]), "__init__.py")
            if package:
                return package
        return self._file(folder, parts[-1] + ".py")

    def _file(self, folder: str, name: str) -> str | None:
        if name not in self._listing(folder):
            return None
        path = os.path.join(folder, name)
        return path if os.path.isfile(path) and not os.path.islink(path) else None

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._folders:
            self._folders[folder] = listing(folder)
        return self._folders[folder]
