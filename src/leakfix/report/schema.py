"""The JSON Schema of ``[tool.leakfix]`` and ``leakfix.toml``, made from what reads them."""

from __future__ import annotations

from dataclasses import MISSING, fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from leakfix.config import CATEGORIES
from leakfix.config.keys import KEYS
from leakfix.config.model import WISHES
from leakfix.registry import Registry
from leakfix.resources import OwnerRow, Resource, TypeRow

_ROWS = {"resource": Resource, "type": TypeRow, "owner": OwnerRow}


def document(registry: Registry) -> dict[str, Any]:
    """The schema (draft 7, as editors read it). Rules of other plugins and in-house resources are valid, too."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "leakfix",
        "description": "Settings of leakfix: leakfix.toml, or [tool.leakfix] in pyproject.toml.",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _property(name) for name in sorted(KEYS)},
        "definitions": {
            "rule": {
                "description": "The name of a rule, a glob, a category, or all.",
                "anyOf": [
                    {"enum": ["all", *CATEGORIES, *registry.codemods]},
                    {"type": "string", "pattern": r"[/*?]"},
                ],
            },
            "options": {
                "type": "object",
                "additionalProperties": False,
                "properties": {key: _property(key) for key in sorted(WISHES)},
            },
            **{name: _row(kind) for name, kind in _ROWS.items()},
        },
    }


def _property(name: str) -> dict[str, Any]:
    key = KEYS[name]
    about = {"description": key.about}
    if name in _ROWS:
        return {**about, "type": "array", "items": {"$ref": f"#/definitions/{name}"}}
    if name == "rules":
        return {**about, "type": "object", "additionalProperties": {"$ref": "#/definitions/options"}}
    return {**about, **key.kind.schema}


def _row(kind: type[Resource] | type[TypeRow] | type[OwnerRow]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [item.name.rstrip("_") for item in fields(kind) if item.default is MISSING],
        "properties": {item.name.rstrip("_"): _of(hints[item.name]) for item in fields(kind)},
    }


def _of(wanted: Any) -> dict[str, Any]:
    """The schema of a field of a row."""
    simple: dict[Any, dict[str, Any]] = {
        str: {"type": "string"},
        bool: {"type": "boolean"},
        int: {"type": "integer", "minimum": 0},
    }
    if wanted in simple:
        return simple[wanted]
    if get_origin(wanted) is Literal:
        return {"enum": list(get_args(wanted))}
    if get_origin(wanted) is tuple:
        return {"type": "array", "items": {"type": "string"}}
    kinds = [_of(each) for each in get_args(wanted) if each is not NoneType]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
