"""Settings for people: what holds and who said so, and what each key means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from leakfix.config import CATEGORIES, DEFAULT_CATEGORIES, Config
from leakfix.config.keys import KEYS, Key
from leakfix.project.discover import displayed
from leakfix.project.display import visible
from leakfix.registry import Registry

_DEFAULT = "default"
_ROWS = ("resource", "type", "owner")


def shown(path: str, config: Config, registry: Registry) -> Iterator[str]:
    """What holds for a path, as TOML with the file each value comes from, line by line."""
    yield f"# {visible(path)}: {visible(displayed(config.file)) if config.file else 'no configuration; the defaults'}\n"
    for key, value in values_of(config).items():
        by = ", ".join(visible(_named(origin)) for origin in _origins(config, key)) or _DEFAULT
        comment = f"# {by}"
        yield f"{key} = {_toml(value)}  {comment}\n" if value is not None else f"# {key}: none  {comment}\n"
    selected = [name for name, codemod in registry.codemods.items() if config.selected(name, codemod.category)]
    yield f"# {len(selected)} of {len(registry.codemods)} rules run:\n"
    yield from (f"#   {visible(name)}\n" for name in selected)


def values_of(config: Config) -> dict[str, Any]:
    """What holds for each key that has no other to add to it; None where nothing does."""
    rows = {"resource": config.resources, "type": config.types, "owner": config.owners}
    return {
        "select": list(config.select) or [name for name in CATEGORIES if name in DEFAULT_CATEGORIES],
        "extend-select": list(config.extend_select),
        "ignore": list(config.ignore),
        "per-file-ignores": {pattern: list(rules) for pattern, rules in config.per_file_ignores},
        "exclude": list(config.exclude),
        "force-exclude": config.force_exclude,
        "baseline": config.baseline,
        "rules": {rule: dict(values) for rule, values in config.options},
        "allow-dependencies": list(config.wishes.dependencies),
        "request-timeout": config.wishes.request_timeout,
        "time-limit": config.time_limit,
        "jobs": config.jobs,
        "cache": config.cache,
        **{key: [dict(row) for row in rows[key]] for key in _ROWS},
    }


def _origins(config: Config, key: str) -> tuple[str, ...]:
    """Who set a key, or added to it."""
    adding = config.origins.get(f"extend-{key}", ()) if key in ("exclude", "per-file-ignores") else ()
    return tuple(dict.fromkeys((*config.origins.get(key, ()), *adding)))


def _named(origin: str) -> str:
    return displayed(origin) if "/" in origin else origin


def _toml(value: Any) -> str:
    """A value on one line of TOML."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(str(key))} = {_toml(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str | bool):
        return json.dumps(value)
    return str(value)


def listing() -> Iterator[str]:
    """Every key with its kind and its default."""
    width = max(map(len, KEYS))
    for name, key in KEYS.items():
        yield f"{name:<{width}}  {key.kind.name}\n"


def described(name: str, key: Key) -> str:
    """One key, in full."""
    return f"{name}\n\n{key.about}\n\nType: {key.kind.name}\nDefault: {key.default}\n\nExample:\n\n{example(key)}\n"


def example(key: Key) -> str:
    """The lines of a pyproject.toml that set a key."""
    return key.example if key.example.startswith("[") else f"[tool.leakfix]\n{key.example}"
