"""What is known of the project in the working directory: its tests, its Python, its installer, its databases.

Everything is read off its files; nothing of it is run or imported.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from leakfix.config import Config
from leakfix.instrument.needs import Need, needs_in
from leakfix.project.discover import discover
from leakfix.project.files import read_file
from leakfix.project.kinds import is_test
from leakfix.resources import ResourceTable, ServerRow

OLDEST_PYTHON = (3, 11)
"""What leakfix itself runs on."""
_USUAL_PYTHON = (3, 12)
_TEST_FOLDERS = ("tests", "test")
_ONE_OFF = re.compile(r"(?:^|/)(?:alembic|migrations?|scripts?|notebooks?)/")
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+(\w+)", re.MULTILINE)
_TELLING = re.compile(
    r"\.env(?:\.(?:example|sample|template|test|ci|dist))?|(?:docker-)?compose[\w.-]*\.ya?ml|alembic\.ini"
)
_REQUIRED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MOST_BYTES = 1_000_000

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Pytest:
    """What pytest's settings say. paths: ``testpaths``; python_path: ``pythonpath``; file: where it stands."""

    file: str = ""
    paths: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    leakfix: bool = False


@dataclass(frozen=True)
class Project:
    """The project in the working directory."""

    config: Config
    table: ResourceTable
    _texts: dict[str, bytes] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        """A file's bytes; none where it cannot be read or is enormous."""
        if path not in self._texts:
            try:
                data = read_file(path)
            except OSError:
                data = b""
            self._texts[path] = data if len(data) <= _MOST_BYTES else b""
        return self._texts[path]

    def text(self, path: str) -> str:
        """A file's text; empty where there is none."""
        return self.read(path).decode("utf-8", "replace").replace("\r\n", "\n")

    @cached_property
    def files(self) -> list[str]:
        """Its Python files."""
        return [path for path in discover(["."], self.config).files if path.endswith(".py")]

    @cached_property
    def tests(self) -> list[str]:
        """The files pytest would collect tests from, and every conftest.py."""
        named = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test|tests|conftest)\.py$")
        return [path for path in self.files if named.search(path)]

    @cached_property
    def sources(self) -> list[str]:
        """What runs in production: neither tests nor what is run once by hand."""
        return [path for path in self.files if not is_test(path) and not _ONE_OFF.search(path)]

    # -- what it says of itself -------------------------------------------------------------------------------------

    @cached_property
    def pyproject(self) -> Mapping[str, Any]:
        """Its pyproject.toml; empty where there is none that can be read."""
        return _parsed(self.text("pyproject.toml"))

    def tool(self, *names: str) -> Mapping[str, Any]:
        """A table below ``[tool]`` of the pyproject.toml; empty where there is none."""
        return table_at(self.pyproject, "tool", *names)

    @cached_property
    def is_package(self) -> bool:
        """Whether installing it makes what it defines importable."""
        built = "build-system" in self.pyproject and ("project" in self.pyproject or "poetry" in self.tool())
        return built or os.path.isfile("setup.py") or "[metadata]" in self.text("setup.cfg")

    @cached_property
    def needs(self) -> list[Need]:
        """Where the requirements of its tests are listed, the most telling place first."""
        return needs_in(self.pyproject, self.text)

    def requires(self, package: str) -> bool:
        """Whether a package stands among the requirements of the project or its tests."""
        return normalised(package) in self.requirements

    @cached_property
    def requirements(self) -> frozenset[str]:
        """The packages it asks for anywhere, by their normalised names (PEP 503)."""
        return frozenset(normalised(match.group()) for text in self._requirements() if (match := _REQUIRED.match(text)))

    def _requirements(self) -> Iterator[str]:
        project, poetry = table_at(self.pyproject, "project"), self.tool("poetry")
        yield from _strings(project.get("dependencies"))
        for listed in table_at(project, "optional-dependencies").values():
            yield from _strings(listed)
        yield from table_at(poetry, "dependencies")
        for need in self.needs:
            yield from need.packages
        for name in ("requirements.txt", "requirements.in", "requirements/base.txt", "requirements/production.txt"):
            yield from (line.strip() for line in self.text(name).splitlines())
        for file in ("setup.py", "setup.cfg"):
            yield from re.findall(r"[\w.-]+", self.text(file))

    # -- its tests --------------------------------------------------------------------------------------------------

    @cached_property
    def pytest(self) -> Pytest:
        """What pytest would take its settings from, in pytest's own order of files."""
        for name in ("pytest.ini", ".pytest.ini"):
            if os.path.isfile(name):
                return _pytest(name, _section(self.text(name), "pytest"))
        table = self.tool("pytest")
        settings = table_at(table, "ini_options") or {key: table[key] for key in table if key != "ini_options"}
        if settings:
            return _pytest("pyproject.toml", settings)
        for name, section in (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
            found = _section(self.text(name), section)
            if found:
                return _pytest(name, found)
        return Pytest()

    @cached_property
    def test_folder(self) -> str | None:
        """The folder all tests are below; None where there are none."""
        named = [path.rstrip("/") or "." for path in self.pytest.paths]
        folders = [path for path in map(os.path.normpath, named) if os.path.isdir(path) and not path.startswith("..")]
        if folders:
            return PurePosixPath(os.path.commonpath(folders) or ".").as_posix()
        usual = next((name for name in _TEST_FOLDERS if os.path.isdir(name)), None)
        tests = [path for path in self.tests if not path.endswith("conftest.py")]
        if usual is not None and (not tests or all(path.startswith(usual + "/") for path in tests)):
            return usual
        return "." if tests or os.path.isfile("conftest.py") else None

    @cached_property
    def imported_by_tests(self) -> frozenset[str]:
        """Top-level names that its tests import."""
        return frozenset(name.decode() for path in self.tests for name in _IMPORT.findall(self.read(path)))

    # -- its Python -------------------------------------------------------------------------------------------------

    @cached_property
    def pinned_python(self) -> Version | None:
        """What .python-version asks for."""
        match = re.match(r"\s*(\d+)\.(\d+)", self.text(".python-version"))
        return (int(match[1]), int(match[2])) if match else None

    @cached_property
    def python_range(self) -> tuple[Version | None, Version | None]:
        """The oldest Python it runs on, and the first it does not; None where nothing is said."""
        project, poetry = table_at(self.pyproject, "project"), table_at(self.tool("poetry"), "dependencies")
        text = project.get("requires-python") or poetry.get("python") or ""
        if not text:
            match = re.search(
                r"""python_requires\s*=\s*["']?([^"'\n]+)""", self.text("setup.cfg") + self.text("setup.py")
            )
            text = match[1] if match else ""
        return _range(str(text))

    @property
    def python(self) -> Version | None:
        """The Python that CI should run: its own, and one that leakfix runs on; None where there is no such."""
        oldest, beyond = self.python_range
        chosen = self.pinned_python or (max(oldest, OLDEST_PYTHON) if oldest else None)
        if chosen is None:
            chosen = _USUAL_PYTHON if beyond is None or beyond > _USUAL_PYTHON else (beyond[0], beyond[1] - 1)
        return chosen if chosen >= OLDEST_PYTHON and (beyond is None or chosen < beyond) else None

    # -- its databases ----------------------------------------------------------------------------------------------

    @cached_property
    def uses_database(self) -> bool:
        """Whether anything imports a library that hands out connections."""
        return any(self._roots.intersection(_IMPORT.findall(self.read(path))) for path in self.sources)

    @cached_property
    def _roots(self) -> frozenset[bytes]:
        acquired = {name for row in self.table.resources for name in row.acquire if "/" not in name}
        made = {name for row in self.table.pools for name in row.makers}
        return frozenset(name.partition(".")[0].encode() for name in acquired | made) - {
            b"",
            b"tempfile",
            b"contextlib",
        }

    @cached_property
    def servers(self) -> list[ServerRow]:
        """The database servers that it has drivers of and that its settings speak of."""
        return [row for row in self.table.servers if any(map(self.requires, row.drivers)) and self._speaks_of(row)]

    def _speaks_of(self, row: ServerRow) -> bool:
        return any(pattern_of(row).search(text) for text in self.telling_texts())

    def telling_texts(self) -> Iterator[str]:
        """The texts that may hold addresses of databases."""
        yield from (self.text(path) for path in self.files)
        for name in sorted(os.listdir(".")):
            if _TELLING.fullmatch(name) and os.path.isfile(name):
                yield self.text(name)


def pattern_of(row: ServerRow) -> re.Pattern[str]:
    """Finds a word of the settings, or an address: scheme with driver, user, password, host, port and database."""
    schemes, words = "|".join(map(re.escape, row.schemes)), "|".join(map(re.escape, row.settings))
    address = (
        rf"\b(?P<scheme>(?:{schemes})(?:\+\w+)?)(?=://|[\"'])"
        r"(?:://(?P<user>\w+):(?P<password>\w+)@(?P<host>[\w.-]+)(?::(?P<port>\d+))?/(?P<database>\w+))?"
    )
    return re.compile(f"{address}|{words}" if words else address)


def normalised(package: str) -> str:
    """A package's name as all its spellings come to (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def table_at(document: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """A table in a TOML document; empty where there is none."""
    for name in names:
        found = document.get(name)
        if not isinstance(found, dict):
            return {}
        document = found
    return document


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _strings(listed: object) -> list[str]:
    return [item.strip() for item in listed if isinstance(item, str)] if isinstance(listed, list) else []


def _section(text: str, name: str) -> Mapping[str, str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
        return dict(parser[name]) if parser.has_section(name) else {}
    except configparser.Error:
        return {}


def _pytest(file: str, settings: Mapping[str, object]) -> Pytest:
    switch = str(settings.get("leakfix", "")).strip().lower()
    options = _words(settings.get("addopts"))
    return Pytest(
        file,
        _words(settings.get("testpaths")),
        _words(settings.get("pythonpath")),
        options,
        switch in ("1", "true", "yes", "on") or "--leakfix" in options,
    )


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(map(str, value))
    try:
        return tuple(shlex.split(str(value or "")))
    except ValueError:
        return tuple(str(value).split())


def _range(text: str) -> tuple[Version | None, Version | None]:
    """The bounds of a version specifier such as ``>=3.9,<4.0`` (PEP 440) or ``^3.9`` (Poetry), by minor versions."""
    oldest: Version | None = None
    beyond: Version | None = None
    for sign, major, minor in re.findall(r"(>=|<=|==|~=|<|>|\^|~|(?<![\d.]))\s*(\d+)(?:\.(\d+))?[\d.*]*", text):
        version = (int(major), int(minor or 0))
        if sign in ("<", "<="):
            beyond = version if sign == "<" else (version[0], version[1] + 1)
        elif sign in ("==", "~", ""):
            oldest, beyond = version, (version[0], version[1] + 1)
        else:
            oldest = version
    return oldest, beyond
