"""Which codemods and resource rows there are: those of installed plugins, and the user's own rows.

A plugin is a package named by the entry-point group ``leakfix.codemods``; ours is the first. It has a folder
per library with ``resources.toml`` and one module per codemod. What cannot be loaded is left out and told.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from leakfix.codemod import GoPatternCodemod, LeakCodemod, PatternCodemod
from leakfix.config import Config, ConfigError
from leakfix.plugins import packages as _plugin_packages
from leakfix.resources import BadRow, ResourceTable, table_from


@dataclass(frozen=True)
class Codemod:
    """One rule: what ``leakfix rules`` and ``leakfix explain`` tell, and the resource or the pattern it is about."""

    name: str
    category: str
    repairs: str
    docstring: str
    resource: str | None
    examples: str | None = None
    pattern: PatternCodemod | None = None
    go_pattern: GoPatternCodemod | None = None
    file: str | None = None
    """Where it is written: its module, or the configuration with its row."""

    @property
    def options(self) -> tuple[str, ...]:
        """The keys its repairs look at, which may be set for it alone."""
        item = self.pattern or self.go_pattern
        if item is None:
            return ()
        return (*(("allow-dependencies",) if item.requires else ()), *item.options)

    def section(self, heading: str) -> str:
        """What the docstring says under one of its headings; empty where it has none such."""
        _, found, rest = f"\n{self.docstring}".partition(f"\n{heading}\n{'-' * len(heading)}\n")
        return re.split(r"\n\n[^\n]+\n-{3,}\n", rest)[0].strip() if found else ""


@dataclass(frozen=True)
class Registry:
    """Everything leakfix knows in one run. ``broken`` tells what could not be loaded."""

    codemods: Mapping[str, Codemod]
    table: ResourceTable
    broken: tuple[str, ...] = ()

    @classmethod
    def load(cls, config: Config) -> Registry:
        """Load the installed plugins and the user's rows.

        Raises ConfigError for a bad row of the user and for rule names that do not exist.
        """
        found = _Found()
        for name in _plugin_packages():
            _collect_package(found, name)
        table = _table_with(found, config)
        for row in table.resources:
            _name_resource(found, row.id, row.noun)
        registry = cls(dict(sorted(found.codemods.items())), table, tuple(found.broken))
        try:
            registry.require_known(config)
        except ConfigError as error:
            if not registry.broken:
                raise
            return cls(registry.codemods, table, (*registry.broken, str(error)))
        return registry

    def rule_for(self, resource: str) -> str:
        """The rule that reports a resource."""
        return self._rules[resource]

    @cached_property
    def _rules(self) -> dict[str, str]:
        return {codemod.resource: name for name, codemod in self.codemods.items() if codemod.resource}

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that leakfix and its codemods are in, imported all."""
        return ("leakfix", *(name for name in _plugin_packages() if name in sys.modules))

    @property
    def dependencies(self) -> frozenset[str]:
        """The libraries that repairs may bring into a project where it lets them."""
        patterns = (pattern for item in self.codemods.values() for pattern in (item.pattern, item.go_pattern))
        return frozenset(each.name for pattern in patterns if pattern is not None for each in pattern.requires)

    def require_known(self, config: Config) -> None:
        """Raise ConfigError where settings name a rule, an option or a library that is not there."""
        config.check_names(self.codemods)
        config.check_options(self.dependencies, {name: item.options for name, item in self.codemods.items()})


@dataclass
class _Found:
    codemods: dict[str, Codemod] = field(default_factory=dict)
    documents: list[Mapping[str, Any]] = field(default_factory=list)
    resources: set[str] = field(default_factory=set)
    claimed: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)


def _collect_package(found: _Found, name: str) -> None:
    package = _imported(found, name)
    if package is None:
        return
    for library in pkgutil.iter_modules(package.__path__):
        if library.ispkg and (folder := _imported(found, f"{name}.{library.name}")) is not None:
            _collect_library(found, library.name, folder)


def _collect_library(found: _Found, library: str, folder: ModuleType) -> None:
    for path in folder.__path__:
        _collect_rows(found, os.path.join(path, "resources.toml"))
    for module in pkgutil.iter_modules(folder.__path__):
        if module.name.startswith("_") or module.ispkg:
            continue
        if (loaded := _imported(found, f"{folder.__name__}.{module.name}")) is not None:
            _collect_codemod(found, f"{library}/{module.name.replace('_', '-')}", loaded)


def _imported(found: _Found, name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        found.broken.append(f"{name} cannot be imported: {type(error).__name__}: {error}")
        return None


def _collect_rows(found: _Found, file: str) -> None:
    import tomllib

    if not os.path.exists(file):
        return
    try:
        with open(file, "rb") as stream:
            document = tomllib.load(stream)
        rows = _checked(table_from([document])).resources
    except (OSError, ValueError, RecursionError, AttributeError, TypeError) as error:
        found.broken.append(f"{file}: {error}")
        return
    twice = found.resources & {row.id for row in rows}
    if twice:
        found.broken.append(f"{file}: {', '.join(sorted(twice))} is defined by another plugin already")
        return
    found.resources |= {row.id for row in rows}
    found.documents.append(document)


def _collect_codemod(found: _Found, name: str, module: ModuleType) -> None:
    kinds = LeakCodemod | PatternCodemod | GoPatternCodemod
    values = [value for value in vars(module).values() if isinstance(value, kinds)]
    if len(values) != 1:
        found.broken.append(f"{module.__name__} must hold one codemod, it holds {len(values)}")
        return
    value = values[0]
    resource = value.resource if isinstance(value, LeakCodemod) else None
    if resource is not None and resource not in found.resources:
        found.broken.append(f"{module.__name__}: there is no resource {resource!r}")
        return
    if name in found.codemods or resource in found.claimed:
        found.broken.append(f"{module.__name__}: {name} or its resource belongs to another codemod already")
        return
    if resource is not None:
        found.claimed.add(resource)
    docstring = (module.__doc__ or "").strip()
    pattern = value if isinstance(value, PatternCodemod) else None
    go_pattern = value if isinstance(value, GoPatternCodemod) else None
    found.codemods[name] = Codemod(
        name,
        value.category,
        value.repairs,
        docstring,
        resource,
        _examples_of(module, name),
        pattern,
        go_pattern,
        module.__file__,
    )


def _examples_of(module: ModuleType, name: str) -> str | None:
    """The folder of a codemod's fixtures, in the source tree; in a wheel that of its example, in ``_examples``."""
    package = module.__name__.partition(".")[0]
    file = module.__file__ or ""
    root = file[: file.rfind(os.sep + package + os.sep)]
    library, _, fault = name.partition("/")
    places = [os.path.join(root, up, "fixtures", library) for up in ("..", ".")]
    places.append(os.path.join(os.path.dirname(file), "_examples"))
    spelled = (os.path.join(place, form) for place in places for form in (fault, fault.replace("-", "_")))
    return next((os.path.normpath(folder) for folder in spelled if os.path.isdir(folder)), None)


def _table_with(found: _Found, config: Config) -> ResourceTable:
    own = {"resource": config.resources, "type": config.types, "owner": config.owners}
    try:
        _checked(table_from([own]))
        return table_from([*found.documents, own])
    except (BadRow, TypeError, AttributeError) as error:
        raise ConfigError(f"{config.file}: {error}") from error


def _checked(table: ResourceTable) -> ResourceTable:
    """The table, if every value of its rows has the type the schema says. Raises BadRow."""
    for row in table.rows:
        name = getattr(row, "id", getattr(row, "name", f"one {type(row).__name__.removesuffix('Row').lower()} row"))
        for key, wanted in _hints(type(row)).items():
            if not _fits(getattr(row, key), wanted):
                raise BadRow(f"{key.rstrip('_')} of {name!r} must be {_described(wanted)}")
    return table


_hints: Callable[[Any], Mapping[str, Any]] = cache(get_type_hints)


def _fits(value: object, wanted: Any) -> bool:
    if wanted in (str, bool):
        return isinstance(value, wanted)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if get_origin(wanted) is Literal:
        return isinstance(value, str) and value in get_args(wanted)
    if get_origin(wanted) is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    return any(value is None if kind is type(None) else _fits(value, kind) for kind in get_args(wanted))


def _described(wanted: Any) -> str:
    if get_origin(wanted) is tuple:
        return "a list of strings"
    if get_origin(wanted) is Literal:
        return "one of " + ", ".join(map(repr, get_args(wanted)))
    named = {str: "a string", bool: "true or false", int: "a whole number"}
    return named.get(wanted) or " or ".join(_described(kind) for kind in get_args(wanted) if kind is not type(None))


def _name_resource(found: _Found, resource: str, noun: str) -> None:
    """A row without a codemod, such as the user's own, is a rule by itself."""
    if resource in found.claimed:
        return
    name = resource if "/" in resource else f"user/{resource}"
    if name in found.codemods:
        found.broken.append(f"resource {resource} has the name of a codemod and is not reported under its own")
        return
    text = f"A {noun} that some path does not release. Described by the row `{resource}`."
    found.codemods[name] = Codemod(name, "leak", f"releases every {noun}", text, resource)
