"""From files to settings: where they are found, how they build upon each other."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from leakfix.config.globs import anchored
from leakfix.config.keys import KEYS
from leakfix.config.model import (
    BASELINE,
    SETTINGS,
    TIME_LIMIT,
    VENDORED,
    WISHES,
    Config,
    ConfigError,
    Wishes,
    did_you_mean,
)

LARGEST_CONFIG = 1_000_000
_OWN, _SHARED = SETTINGS
_MOST_EXTENDED = 20


@dataclass(frozen=True)
class Layer:
    """What one file sets. values: by key, as ``KEYS`` reads them."""

    file: str
    values: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """Where it stands."""
        return os.path.dirname(os.path.abspath(self.file))


class Nearest:
    """The settings of every folder: those of the nearest file upward from it, after what changes them all."""

    def __init__(self, here: str, changes: tuple[Callable[[Config], Config], ...] = ()) -> None:
        """here: the folder that others are told relative to."""
        self._here = here
        self._changes = changes
        self._by_name: dict[str, Config] = {}
        self._by_folder: dict[str, Config] = {}
        self._looked_into: set[str] = set()

    def of(self, folder: str) -> Config:
        """The settings of a folder. Raises ConfigError."""
        known = self._by_name.get(folder)
        if known is None:
            absolute = os.path.normpath(os.path.join(os.path.abspath(self._here), folder))
            known = self._by_name[folder] = self._upward(absolute)
        return known

    @property
    def folders(self) -> list[str]:
        """The folders that were looked into, as absolute paths."""
        return sorted(self._looked_into)

    @property
    def files(self) -> list[str]:
        """The files that settings were made of, and those that had nothing to say."""
        told = {file for config in self._by_folder.values() for file in config.files}
        silent = (os.path.join(folder, _SHARED) for folder in self._by_folder)
        return sorted(told.union(filter(os.path.isfile, silent)))

    def changed(self, change: Callable[[Config], Config]) -> Nearest:
        """The same after one more change of all settings."""
        return Nearest(self._here, (*self._changes, change))

    def _upward(self, folder: str) -> Config:
        passed = []
        while folder not in self._by_folder:
            passed.append(folder)
            self._looked_into.add(folder)
            above = os.path.dirname(folder)
            layer = _found_in(folder, self._is_above(folder))
            if layer is not None or above == folder:
                self._by_folder[folder] = self._governing(layer)
                break
            folder = above
        config = self._by_folder[folder]
        self._by_folder.update(dict.fromkeys(passed, config))
        return config

    def _is_above(self, folder: str) -> bool:
        here = os.path.abspath(self._here)
        return os.path.commonpath([here, folder]) == folder

    def _governing(self, layer: Layer | None) -> Config:
        config = Config() if layer is None else _from_layers(list(_chain(layer)))
        config = replace(config, here=self._here, nearest=self)
        for change in self._changes:
            config = change(config)
        return config


def read_named(file: str, here: str) -> Config:
    """The settings of one file, for all others. Raises ConfigError."""
    layer = Layer(file, _read(file, _section(file) or {}))
    return replace(_from_layers(list(_chain(layer))), here=here)


def _found_in(folder: str, is_above: bool) -> Layer | None:
    """What a folder has to say. is_above: the working directory, or above it; below, other people's files may lie."""
    for name in (_OWN, _SHARED):
        file = os.path.join(folder, name)
        if not os.path.exists(file) or (name == _SHARED and not is_above and not _mentions_us(file)):
            continue
        section = _section(file)
        if section is not None:
            return Layer(file, _read(file, section))
    return None


def _mentions_us(file: str) -> bool:
    """Whether a file has to be read as TOML at all: most have not, whatever else is the matter with them."""
    try:
        return b"leakfix" in _raw(file)
    except ConfigError:
        return False


def _chain(layer: Layer) -> Iterator[Layer]:
    """What a file builds upon, and then itself."""
    files = {os.path.realpath(layer.file)}
    layers = [layer]
    while "extend" in (child := layers[-1]).values:
        written = child.values["extend"]
        target = os.path.normpath(os.path.join(child.folder, os.path.expanduser(os.path.expandvars(written))))
        where = f"{child.file}: extend"
        if os.path.realpath(target) in files:
            raise ConfigError(f"{where}: {written!r} comes back to itself")
        if len(layers) > _MOST_EXTENDED:
            raise ConfigError(f"{where}: more than {_MOST_EXTENDED} files build upon each other")
        if not os.path.exists(target):
            raise ConfigError(f"{where}: there is no file {target}")
        section = _section(target)
        if section is None:
            raise ConfigError(f"{where}: {target} has no [tool.leakfix] section")
        files.add(os.path.realpath(target))
        layers.append(Layer(target, _read(target, section)))
    yield from reversed(layers)


def _section(file: str) -> dict[str, Any] | None:
    """The part of a file that is ours; None where a pyproject.toml has nothing to say."""
    document = _parsed(file, _raw(file))
    if os.path.basename(file) != _SHARED:
        return document
    tool = document.get("tool", {})
    section = tool.get("leakfix") if isinstance(tool, dict) else None
    if section is not None and not isinstance(section, dict):
        raise ConfigError(f"{file}: [tool.leakfix] must be a table")
    return section


def _parsed(file: str, raw: bytes) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: nested too deeply") from error
    except Exception as error:  # tomllib lets more than TOMLDecodeError escape
        raise ConfigError(f"{file}: not valid TOML: {error}") from error


def _raw(file: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise ConfigError(f"{file}: not a regular file")
        with open(file, "rb") as stream:
            raw = stream.read(LARGEST_CONFIG + 1)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    if len(raw) > LARGEST_CONFIG:
        raise ConfigError(f"{file}: larger than {LARGEST_CONFIG:,} bytes, which no configuration is")
    return raw


def _read(file: str, values: Mapping[str, Any]) -> dict[str, Any]:
    for key in values:
        if key not in KEYS:
            meant = did_you_mean(key, KEYS) or f"; the keys are {', '.join(sorted(KEYS))}"
            raise ConfigError(f"{file}: unknown key {key!r}{meant}")
    return {key: KEYS[key].kind.read(f"{file}: {key}", value) for key, value in values.items()}


def _from_layers(layers: list[Layer]) -> Config:
    """One set of settings from files of which each builds upon those before it."""
    last = layers[-1]
    config = Config()
    for layer in layers:
        config = config.layered(*map(layer.values.get, ("select", "ignore", "extend-select")))
    wishes = {WISHES[key]: layer.values[key] for layer in layers for key in WISHES if key in layer.values}
    return Config(
        select=config.select,
        extend_select=config.extend_select,
        ignore=config.ignore,
        per_file_ignores=(
            *_latest(layers, "per-file-ignores", ()),
            *_all(layers, "extend-per-file-ignores"),
        ),
        exclude=(*_latest(layers, "exclude", VENDORED), *_all(layers, "extend-exclude")),
        force_exclude=_latest(layers, "force-exclude", False),
        baseline=_latest(layers, "baseline", BASELINE),
        wishes=Wishes(**wishes),
        options=_all(layers, "rules"),
        resources=_all(layers, "resource"),
        types=_all(layers, "type"),
        owners=_all(layers, "owner"),
        time_limit=_latest(layers, "time-limit", TIME_LIMIT),
        jobs=_latest(layers, "jobs", None),
        cache=_latest(layers, "cache", True),
        root=last.folder,
        file=last.file,
        files=tuple(layer.file for layer in layers),
        origins={
            key: tuple(layer.file for layer in layers if key in layer.values)
            for key in sorted({key for layer in layers for key in layer.values})
        },
    )


def _latest(layers: list[Layer], key: str, otherwise: Any) -> Any:
    for layer in reversed(layers):
        if key in layer.values:
            return _moved(layers, layer, key)
    return otherwise


def _all(layers: list[Layer], key: str) -> tuple[Any, ...]:
    return tuple(item for layer in layers for item in _moved(layers, layer, key) or ())


def _moved(layers: list[Layer], layer: Layer, key: str) -> Any:
    """A value as it is to be read from the folder of the last file."""
    value = layer.values.get(key)
    if value is None or layer.folder == layers[-1].folder:
        return value
    if key in ("exclude", "extend-exclude"):
        return tuple(anchored(pattern, layer.folder) for pattern in value)
    if key in ("per-file-ignores", "extend-per-file-ignores"):
        return tuple((anchored(pattern, layer.folder), rules) for pattern, rules in value)
    return os.path.join(layer.folder, value) if key == "baseline" else value
