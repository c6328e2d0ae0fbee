"""What a client may set: ``enable``, ``select`` and ``ignore``, read defensively."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """enable: whether anything is reported. select, ignore: as on the command line; None where not set."""

    enable: bool = True
    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None


def read(values: object) -> tuple[Settings, list[str]]:
    """The settings of an object, and in words what of it was not understood and left out."""
    if values is None:
        return Settings(), []
    if not isinstance(values, Mapping):
        return Settings(), ["the settings of leakfix must be an object"]
    section = values.get("leakfix", values)
    values = section if isinstance(section, Mapping) else values
    wrong: list[str] = []
    enable = values.get("enable")
    if enable is not None and not isinstance(enable, bool):
        wrong.append("leakfix.enable must be true or false")
    return Settings(enable is not False, _names("select", values, wrong), _names("ignore", values, wrong)), wrong


def _names(key: str, values: Mapping[str, Any], wrong: list[str]) -> tuple[str, ...] | None:
    """A list of names, or one text with commas between them as on the command line."""
    names = values.get(key)
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",") if name.strip()]
    if names is None or names == []:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        wrong.append(f"leakfix.{key} must be a list of rules")
        return None
    return tuple(names)
