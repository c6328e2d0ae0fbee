"""Which files are worth parsing, from their bytes alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from leakfix.project.imports import Imports, words_of
from leakfix.resources import ResourceTable

_BEFORE_TYPE = re.compile(rb"(?:->|(?<![\"'])[ \t]*:|[\[|])[ \t]*[\"']?(?:\w+\.)*\Z")
_LONGEST_BEFORE = 60
_ASKED = re.compile(rb"(?:\[[^]\n]*\])?[ \t]*\.[ \t]*(\w+)")
_BOM = b"\xef\xbb\xbf"


class _Word:
    """A word to look for; the plain search before the pattern is what makes it quick."""

    def __init__(self, word: str) -> None:
        self.plain = word.encode()

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        return re.compile(rb"\b" + re.escape(self.plain) + rb"\b")

    def occurrences(self, data: bytes) -> list[re.Match[bytes]]:
        return list(self._pattern.finditer(data)) if self.plain in data else []

    def stands_in(self, data: bytes) -> bool:
        return self.plain in data and self._pattern.search(data) is not None


@dataclass(frozen=True, slots=True)
class _Words:
    """What tells, in a file that imports a package, that it gets hold of something by itself.

    calls: functions of the package.
    objects: what it has made, each with what a file imports that uses it; they tell by what is asked of them.
    classes: its classes; in an annotation they only tell what somebody else made.
    methods: what acquires on such an object.
    """

    calls: list[_Word]
    objects: list[tuple[frozenset[bytes], _Word]]
    classes: list[_Word]
    methods: list[_Word]

    def tell(self, data: bytes, rest: bytes, imported: frozenset[bytes]) -> bool:
        """Whether they do; ``rest`` is the data without plain imports of the package, ``imported`` what these name."""
        if any(word.stands_in(data) for word in self.calls):
            return True
        if any(not named.isdisjoint(imported) and self._is_asked(word, data, rest) for named, word in self.objects):
            return True
        for word in self.classes:
            used = word.occurrences(rest)
            if used and (not _only_annotate(rest, used) or any(method.stands_in(rest) for method in self.methods)):
                return True
            if not used and word.stands_in(data):  # imported for others to import
                return True
        return False

    def _is_asked(self, word: _Word, data: bytes, rest: bytes) -> bool:
        """Whether an object is handed on, or asked for more than a mere attribute; or imported for others to import."""
        used = word.occurrences(rest)
        asked = (_ASKED.match(rest, match.end()) for match in used)
        telling = [method.plain for method in (*self.methods, *self.calls)]
        said = any(attribute is None or attribute[1] in telling for attribute in asked)
        return said if used else word.stands_in(data)


class Prefilter:
    """Keeps the files that import a library of the tables and use one of the words that lead to its resources."""

    def __init__(self, table: ResourceTable) -> None:
        self._words = {}
        for root, words in table.file_words.items():
            classes = {word for word in words if word[:1].isupper()}
            objects: dict[str, set[bytes]] = {}
            for module, _, word in (name.partition(".") for name in sorted(table.object_words.get(root, ()))):
                objects.setdefault(word, {root.encode(), word.encode(), b"*"}).add(module.encode())
            self._words[root.encode()] = _Words(
                calls=[_Word(word) for word in sorted(words - classes - objects.keys())],
                objects=[(frozenset(named), _Word(word)) for word, named in objects.items()],
                classes=[_Word(word) for word in sorted(classes)],
                methods=[_Word(word) for word in sorted(table.method_words.get(root, ()))],
            )
        self.telling = frozenset(word.encode() for word in table.telling_words)

    def roots(self, imports: Imports) -> frozenset[bytes]:
        """The packages of the tables that a file imports."""
        return imports.roots & self._words.keys()

    def passes(self, data: bytes, imports: Imports, roots: Collection[bytes], words: frozenset[bytes]) -> bool:
        """Whether a file that imports these packages, and has these words, can acquire something by itself."""
        if not self.telling.isdisjoint(words):
            return True
        if not roots:
            return False
        rest = data
        for module, names in imports.statements:
            if b" as " not in names and (
                module.partition(b".")[0] in roots or any(w in roots for w in words_of(names))
            ):
                rest = rest.replace(b"import" + names, b"")
        return any(self._words[root].tell(data, rest, imports.names) for root in roots)


Shape = str | Callable[[bytes, str], bool]
_Shape = re.Pattern[bytes] | Callable[[bytes, str], bool]


class Triggers:
    """Which patterns a file is worth parsing for. What it imports is known; plain words are sought before shapes."""

    def __init__(self, patterns: Mapping[str, tuple[Iterable[str], Iterable[str], Shape]]) -> None:
        """Take in, by rule: packages or words one of which must be there, and a shape (a regular expression, "")."""
        self._packages: dict[bytes, list[str]] = {}
        self._words: dict[bytes, list[str]] = {}
        self._shapes: dict[str, _Shape] = {}
        for rule, (packages, words, shape) in patterns.items():
            for package in packages:
                self._packages.setdefault(package.encode(), []).append(rule)
            for word in words:
                self._words.setdefault(word.encode(), []).append(rule)
            if shape:
                self._shapes[rule] = re.compile(shape.encode(), re.MULTILINE) if isinstance(shape, str) else shape

    @property
    def words(self) -> Collection[bytes]:
        """The plain words that are sought."""
        return self._words.keys()

    def of(self, data: bytes, path: str, imports: Imports, words: frozenset[bytes]) -> list[str]:
        """The rules whose packages or words, and whose shape, a file has. words: which of ``words`` it has."""
        data = data.removeprefix(_BOM)
        near = {rule: None for package in self._packages.keys() & imports.roots for rule in self._packages[package]}
        near |= {rule: None for word in sorted(words & self._words.keys()) for rule in self._words[word]}
        shapes = {self._shapes[rule]: False for rule in near if rule in self._shapes}  # several may ask for the same
        had = {shape for shape in shapes if _has(shape, data, path)}
        return [rule for rule in near if rule not in self._shapes or self._shapes[rule] in had]


def _has(shape: _Shape, data: bytes, path: str) -> bool:
    return shape.search(data) is not None if isinstance(shape, re.Pattern) else shape(data, path)


def only_annotates(name: bytes, data: bytes) -> bool:
    """Whether all that a file's text, its imports left out, does with a class is to annotate."""
    used = _Word(name.decode()).occurrences(data)
    return bool(used) and name[:1].isupper() and _only_annotate(data, used)


def _only_annotate(data: bytes, used: list[re.Match[bytes]]) -> bool:
    return all(_is_annotation(data, match) for match in used)


def _is_annotation(data: bytes, match: re.Match[bytes]) -> bool:
    if data[match.end() : match.end() + 1] == b"(":
        return False
    start = match.start()
    return _BEFORE_TYPE.search(data, max(0, start - _LONGEST_BEFORE), start) is not None
