"""What the user asked for, as values."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Protocol

from leakfix.config import globs

CATEGORIES = ("leak", "growth", "advice")
DEFAULT_CATEGORIES = frozenset({"leak", "growth"})
COMMAND_LINE = "the command line"
SETTINGS = ("leakfix.toml", "pyproject.toml")
"""The files that settings stand in; in one folder the first goes before the second."""
BASELINE = ".leakfix-baseline.json"
MOST_JOBS = 256
TIME_LIMIT = 60

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

WISHES = {"allow-dependencies": "dependencies", "request-timeout": "request_timeout"}
"""The keys that may stand at the top or below a rule, and what they are as a wish."""


class Folders(Protocol):
    """The settings of every folder, each from the nearest file upward from it."""

    def of(self, folder: str) -> Config:
        """The settings of a folder. Raises ConfigError."""

    def changed(self, change: Callable[[Config], Config]) -> Folders:
        """The same after one more change of all settings."""

    @property
    def folders(self) -> list[str]:
        """The folders that were looked into, as absolute paths."""

    @property
    def files(self) -> list[str]:
        """The files that settings were made of, and those that had nothing to say."""


@dataclass(frozen=True)
class Config:
    """What the user asked for.

    select, extend_select, ignore: rule names, globs, categories or ``all``; an empty select means the default
        categories.
    per_file_ignores: patterns of files, ``!`` before one for all others, with what is to be ignored there as well.
    exclude: names and globs of folders and files a search leaves out.
    force_exclude: whether that holds for files that are named, too.
    baseline: the file with the findings that were accepted, from the root; None for none at all.
    wishes: what repairs may or should do beyond the least.
    options: the same by rule name or glob, as keys with their values; the last that names a rule counts.
    time_limit: seconds of processor time that the analysis of one file may take.
    resources, types, owners: the user's rows for ``resources.table_from``.
    root: the folder that patterns with a slash are relative to.
    file: where all this came from; None when nothing was found.
    files: that file, and those it builds upon.
    here: the folder that paths of files are relative to; None for the working directory.
    origins: for each key that was set, by whom.
    nearest: knows the settings of other folders; None where these hold everywhere.
    """

    select: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclude: tuple[str, ...] = VENDORED
    force_exclude: bool = False
    baseline: str | None = BASELINE
    wishes: Wishes = NO_WISHES
    options: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = ()
    resources: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    types: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    owners: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    time_limit: int = TIME_LIMIT
    jobs: int | None = None
    cache: bool = True
    root: str = "."
    file: str | None = None
    files: tuple[str, ...] = field(default=(), compare=False)
    here: str | None = field(default=None, compare=False)
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    nearest: Folders | None = field(default=None, compare=False, repr=False)

    def selected(self, rule: str, category: str) -> bool:
        """Whether a rule of a category is to run; ignore wins over select."""
        if any(_names(pattern, rule, category) for pattern in self.ignore):
            return False
        if any(_names(pattern, rule, category) for pattern in self.extend_select):
            return True
        if not self.select:
            return category in DEFAULT_CATEGORIES
        return any(_names(pattern, rule, category) for pattern in self.select)

    @property
    def rows(self) -> tuple[tuple[Mapping[str, Any], ...], ...]:
        """What these settings tell of in-house resources, in all."""
        return self.resources, self.types, self.owners

    def governing(self, path: str) -> Config:
        """The settings that hold for a file, what is ignored in it among what is ignored."""
        config = self.governing_folder(path.rpartition("/")[0])
        if not config.per_file_ignores:
            return config
        place = config.place(path)
        more = tuple(rule for pattern, rules in config.per_file_ignores if place.fits(pattern) for rule in rules)
        return _ignoring(config, more) if more else config

    def governing_folder(self, folder: str) -> Config:
        """The settings that hold for what lies in a folder."""
        return self if self.nearest is None else self.nearest.of(folder)

    def place(self, path: str) -> globs.Place:
        """Where a file is, as the patterns of these settings see it."""
        return globs.Place(os.path.join(self.here or os.getcwd(), path), self.root)

    def wishes_for(self, rule: str) -> Wishes:
        """What the repairs of a rule may or should do."""
        if not self.options:
            return self.wishes
        given = [values for pattern, values in self.options if fnmatchcase(rule, pattern)]
        return replace(self.wishes, **{WISHES[key]: value for values in given for key, value in values})

    def layered(
        self,
        select: Iterable[str] | None,
        ignore: Iterable[str] | None,
        extend_select: Iterable[str] | None = None,
    ) -> Config:
        """These settings below others: a select replaces all that was chosen, the other two add to it."""
        below = self if select is None else replace(self, select=tuple(select), ignore=(), extend_select=())
        if ignore is not None:
            below = replace(below, ignore=(*below.ignore, *ignore))
        return below if extend_select is None else replace(below, extend_select=(*below.extend_select, *extend_select))

    def overridden(
        self,
        select: Iterable[str] | None,
        ignore: Iterable[str] | None,
        extend_select: Iterable[str] | None = None,
    ) -> Config:
        """The settings of all files after the command line."""
        given = {"select": select, "ignore": ignore, "extend-select": extend_select}
        layer = {key: tuple(names) for key, names in given.items() if names is not None}
        if not layer:
            return self
        origins = {key: (*self.origins.get(key, ()) * (key != "select"), COMMAND_LINE) for key in layer}

        def change(config: Config) -> Config:
            below = config.layered(layer.get("select"), layer.get("ignore"), layer.get("extend-select"))
            return replace(below, origins={**config.origins, **origins})

        return self.changed(change)

    def changed(self, change: Callable[[Config], Config]) -> Config:
        """The settings of all files after a change to each."""
        return change(self) if self.nearest is None else self.nearest.changed(change).of("")

    def check_names(self, rules: Iterable[str]) -> None:
        """Raise ConfigError where settings name a rule that is not there."""
        known = list(rules)
        lists = {"select": self.select, "extend-select": self.extend_select, "ignore": self.ignore}
        for key, patterns in lists.items():
            self._require_known(key, patterns, known)
        self._require_known("per-file-ignores", [rule for _, rules in self.per_file_ignores for rule in rules], known)
        self._require_known("rules", [pattern for pattern, _ in self.options], known)

    def _require_known(self, key: str, patterns: Iterable[str], rules: list[str]) -> None:
        for pattern in patterns:
            if not is_known(pattern, rules):
                raise ConfigError(f"{self.where(key)}: there is no rule {pattern!r}{nearest_rule(pattern, rules)}")

    def check_options(self, known: Iterable[str], of_rule: Mapping[str, Iterable[str]]) -> None:
        """Raise ConfigError for a library no repair uses, and for an option that no rule has that it is given to.

        of_rule: the options of each rule.
        """
        names = sorted(known)
        allowed = {key: value for _, values in self.options for key, value in values}.get("allow-dependencies", ())
        for name in (*self.wishes.dependencies, *allowed):
            if name not in names:
                meant = did_you_mean(name, names) or f"; known are {', '.join(names)}"
                raise ConfigError(f"{self.where('allow-dependencies')}: no repair uses {name!r}{meant}")
        for pattern, values in self.options:
            named = {rule: set(has) for rule, has in of_rule.items() if fnmatchcase(rule, pattern)}
            for key, _ in values:
                if not any(key in has for has in named.values()):
                    there = sorted(set().union(*named.values()))
                    meant = f"; it has {', '.join(there)}" if there else "; it has none"
                    raise ConfigError(f"{self.where('rules')}: {pattern!r} has no option {key!r}{meant}")

    def where(self, key: str) -> str:
        """A key as messages name it, with the file that set it where that is known."""
        return ": ".join([*self.origins.get(key, ())[-1:], key])


def is_known(pattern: str, rules: Iterable[str]) -> bool:
    """Whether a pattern is ``all``, a category, or names at least one rule."""
    return pattern == "all" or pattern in CATEGORIES or any(fnmatchcase(rule, pattern) for rule in rules)


def nearest_rule(name: str, rules: Iterable[str]) -> str:
    """The ending of an error message: which rule was probably meant."""
    known = list(rules)
    whole = did_you_mean(name, [*known, *CATEGORIES, "all"])
    ending = [rule for rule in known if rule.rpartition("/")[2] == name.rpartition("/")[2]]
    return whole or (f"; did you mean {ending[0]!r}?" if ending else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The ending of an error message: the nearest of what is known; empty where none is near."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _names(pattern: str, rule: str, category: str) -> bool:
    return pattern == "all" or pattern == category or fnmatchcase(rule, pattern)


@lru_cache(maxsize=1024)
def _ignoring(config: Config, more: tuple[str, ...]) -> Config:
    return replace(config, ignore=(*config.ignore, *more), nearest=None)
