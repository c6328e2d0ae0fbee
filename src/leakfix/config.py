"""Settings: ``leakfix.toml`` or ``[tool.leakfix]`` in pyproject.toml, read defensively.

Whatever is wrong with a configuration ends as one ConfigError: what, where, and what was probably meant.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

CATEGORIES = ("leak", "growth", "advice")
DEFAULT_CATEGORIES = frozenset({"leak", "growth"})
LARGEST_CONFIG = 1_000_000
MOST_JOBS = 256
MOST_SECONDS = 3600

VENDORED = (
    "node_modules",
    "bower_components",
    "site-packages",
    "dist-packages",
    ".venv",
    "venv",
    "virtualenv",
    "vendor",
    "vendored",
    "third_party",
    "third-party",
    "__pypackages__",
    "__pycache__",
    ".tox",
    ".nox",
    ".eggs",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
)

_RESOURCE_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the file, the key and the likely right one."""


@dataclass(frozen=True)
class Wishes:
    """What repairs may or should do beyond the least.

    dependencies: libraries they may add to the project's manifest; those it declares are used anyway.
    request_timeout: seconds after which a query made for a request is to end; None for as long as the request.
    """

    dependencies: tuple[str, ...] = ()
    request_timeout: int | None = None


NO_WISHES = Wishes()


@dataclass(frozen=True)
class Config:
    """What the user asked for.

    select, ignore: rule names, globs, categories or ``all``; an empty select means the default categories.
    exclude: names and globs of folders and files a search leaves out.
    wishes: what repairs may or should do beyond the least.
    resources, types, owners: the user's rows for ``resources.table_from``.
    root: the folder exclude patterns with a slash are relative to.
    file: where all this came from; None when nothing was found.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = VENDORED
    wishes: Wishes = NO_WISHES
    resources: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    types: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    owners: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    jobs: int | None = None
    cache: bool = True
    root: str = "."
    file: str | None = None

    def selected(self, rule: str, category: str) -> bool:
        """Whether a rule of a category is to run; ignore wins over select."""
        if any(_names(pattern, rule, category) for pattern in self.ignore):
            return False
        if not self.select:
            return category in DEFAULT_CATEGORIES
        return any(_names(pattern, rule, category) for pattern in self.select)

    def overridden(self, select: Iterable[str] | None, ignore: Iterable[str] | None) -> Config:
        """The settings after the command line: its select replaces the file's choice, its ignore adds."""
        changed = self if select is None else replace(self, select=tuple(select), ignore=())
        return changed if ignore is None else replace(changed, ignore=(*changed.ignore, *ignore))

    def check_names(self, rules: Iterable[str]) -> None:
        """Raise ConfigError where select or ignore names a rule that is not there."""
        known = list(rules)
        for key, patterns in (("select", self.select), ("ignore", self.ignore)):
            for pattern in patterns:
                if not is_known(pattern, known):
                    raise ConfigError(f"{key}: there is no rule {pattern!r}{nearest_rule(pattern, known)}")

    def check_dependencies(self, known: Iterable[str]) -> None:
        """Raise ConfigError where ``allow-dependencies`` names a library that no repair uses."""
        names = sorted(known)
        for name in self.wishes.dependencies:
            if name not in names:
                meant = _did_you_mean(difflib.get_close_matches(name, names, n=1)) or f"; known are {', '.join(names)}"
                raise ConfigError(f"allow-dependencies: no repair uses {name!r}{meant}")


def is_known(pattern: str, rules: Iterable[str]) -> bool:
    """Whether a pattern is ``all``, a category, or names at least one rule."""
    return pattern == "all" or pattern in CATEGORIES or any(fnmatchcase(rule, pattern) for rule in rules)


def nearest_rule(name: str, rules: Iterable[str]) -> str:
    """The ending of an error message: which rule was probably meant."""
    known = list(rules)
    whole = difflib.get_close_matches(name, [*known, *CATEGORIES, "all"], n=1)
    ending = [rule for rule in known if rule.rpartition("/")[2] == name.rpartition("/")[2]]
    return _did_you_mean([*whole, *ending[:1]])


def load(named: str | None = None, directory: str | None = None) -> Config:
    """Read the named file, else the nearest one upward from the directory, else the defaults.

    Raises ConfigError.
    """
    if named is not None:
        return _from_values(named, _section(named, _parsed(named)) or {})
    folder = directory or os.getcwd()
    while True:
        for name in ("leakfix.toml", "pyproject.toml"):
            file = os.path.join(folder, name)
            values = _section(file, _parsed(file)) if os.path.exists(file) else None
            if values is not None:
                return _from_values(file, values)
        if os.path.dirname(folder) == folder:
            return Config()
        folder = os.path.dirname(folder)


def _names(pattern: str, rule: str, category: str) -> bool:
    return pattern == "all" or pattern == category or fnmatchcase(rule, pattern)


def _did_you_mean(candidates: list[str]) -> str:
    return f"; did you mean {candidates[0]!r}?" if candidates else ""


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list nested as deep
        return f"this {type(value).__name__}"


def _parsed(file: str) -> dict[str, Any]:
    import tomllib

    text = _text(file)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(f"{file}: nested too deeply") from error
    except Exception as error:  # tomllib lets more than TOMLDecodeError escape
        raise ConfigError(f"{file}: not valid TOML: {error}") from error


def _text(file: str) -> str:
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{file}: not a regular file")
        with open(file, "rb") as stream:
            raw = stream.read(LARGEST_CONFIG + 1)
        if len(raw) > LARGEST_CONFIG:
            raise ConfigError(f"{file}: larger than {LARGEST_CONFIG:,} bytes, which no configuration is")
        return raw.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8: {error.reason} at byte {error.start}") from error


def _section(file: str, document: dict[str, Any]) -> dict[str, Any] | None:
    """The part of a document that is ours; None where a pyproject.toml has nothing to say."""
    if os.path.basename(file) != "pyproject.toml":
        return document
    tool = document.get("tool", {})
    section = tool.get("leakfix") if isinstance(tool, dict) else None
    if section is not None and not isinstance(section, dict):
        raise ConfigError(f"{file}: [tool.leakfix] must be a table")
    return section


def _from_values(file: str, values: Mapping[str, Any]) -> Config:
    for key in values:
        if key not in _READERS:
            close = difflib.get_close_matches(key, _READERS, n=1)
            meant = _did_you_mean(close) or f"; the keys are {', '.join(sorted(_READERS))}"
            raise ConfigError(f"{file}: unknown key {key!r}{meant}")
    read = {key: _READERS[key](f"{file}: {key}", value) for key, value in values.items()}
    exclude = (*read.get("exclude", VENDORED), *read.get("extend-exclude", ()))
    return Config(
        select=read.get("select", ()),
        ignore=read.get("ignore", ()),
        exclude=exclude,
        wishes=Wishes(read.get("allow-dependencies", ()), read.get("request-timeout")),
        resources=read.get("resource", ()),
        types=read.get("type", ()),
        owners=read.get("owner", ()),
        jobs=read.get("jobs"),
        cache=read.get("cache", True),
        root=os.path.dirname(os.path.abspath(file)),
        file=file,
    )


def _strings(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{where} must be a list of strings, not {_shown(value)}")
    if not all(item.strip() for item in value):
        raise ConfigError(f"{where} holds an empty string")
    return tuple(value)


def _seconds(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_SECONDS:
        raise ConfigError(f"{where} must be a whole number of seconds from 1 to {MOST_SECONDS}, not {_shown(value)}")
    return value


def _jobs(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_JOBS:
        raise ConfigError(f"{where} must be a whole number from 1 to {MOST_JOBS}, not {_shown(value)}")
    return value


def _switch(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{where} must be true or false, not {_shown(value)}")
    return value


def _rows(where: str, value: object) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ConfigError(f"{where} must be an array of tables, each headed by two pairs of brackets")
    return tuple(value)


def _resources(where: str, value: object) -> tuple[Mapping[str, Any], ...]:
    rows = _rows(where, value)
    for row in rows:
        name = row.get("id")
        if not isinstance(name, str) or not _RESOURCE_ID.fullmatch(name):
            raise ConfigError(f'{where}: every row needs an id like "library/kind", not {_shown(name)}')
    return rows


_READERS: dict[str, Any] = {
    "select": _strings,
    "ignore": _strings,
    "exclude": _strings,
    "extend-exclude": _strings,
    "allow-dependencies": _strings,
    "request-timeout": _seconds,
    "jobs": _jobs,
    "cache": _switch,
    "resource": _resources,
    "type": _rows,
    "owner": _rows,
}
