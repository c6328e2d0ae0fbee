"""The keys of ``[tool.leakfix]``: what each takes, what it is without one, and what is said about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from leakfix.config.model import MOST_JOBS, TIME_LIMIT, WISHES, ConfigError, did_you_mean

MOST_SECONDS = 3600
_RESOURCE_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")

Reader = Callable[[str, object], Any]


@dataclass(frozen=True)
class Kind:
    """What a value must be. read: checks it, or raises ConfigError; schema: the same in JSON Schema, rows left open."""

    read: Reader
    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Key:
    """One key. default: as TOML; example: lines of TOML."""

    kind: Kind
    default: str
    about: str
    example: str


def shown(value: object) -> str:
    """A value in an error message."""
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list nested as deep
        return f"this {type(value).__name__}"


def _strings(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{where} must be a list of strings, not {shown(value)}")
    if not all(item.strip() for item in value):
        raise ConfigError(f"{where} holds an empty string")
    return tuple(value)


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ConfigError(f"{where} must be the path of a file, not {shown(value)}")
    return value


def _whole(least: int, most: int, what: str) -> Reader:
    def read(where: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ConfigError(f"{where} must be a whole number {what}from {least} to {most}, not {shown(value)}")
        return value

    return read


def _switch(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{where} must be true or false, not {shown(value)}")
    return value


def _table(where: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a table, not {shown(value)}")
    return value


def _by_pattern(where: str, value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    read = [(pattern, _strings(f"{where}.{pattern!r}", rules)) for pattern, rules in _table(where, value).items()]
    if not all(pattern.removeprefix("!").strip() for pattern, _ in read):
        raise ConfigError(f"{where} holds an empty pattern")
    return tuple(read)


def _options(where: str, value: object) -> tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]:
    return tuple((rule, _of_rule(f"{where}.{rule!r}", given)) for rule, given in _table(where, value).items())


def _of_rule(where: str, value: object) -> tuple[tuple[str, Any], ...]:
    given = _table(where, value)
    for key in given:
        if key not in WISHES:
            meant = did_you_mean(key, WISHES) or f"; the options of rules are {', '.join(WISHES)}"
            raise ConfigError(f"{where}: unknown option {key!r}{meant}")
    return tuple((key, KEYS[key].kind.read(f"{where}.{key}", item)) for key, item in given.items())


def _rows(where: str, value: object) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ConfigError(f"{where} must be an array of tables, each headed by two pairs of brackets")
    return tuple(value)


def _resources(where: str, value: object) -> tuple[Mapping[str, Any], ...]:
    rows = _rows(where, value)
    for row in rows:
        name = row.get("id")
        if not isinstance(name, str) or not _RESOURCE_ID.fullmatch(name):
            raise ConfigError(f'{where}: every row needs an id like "library/kind", not {shown(name)}')
    return rows


_STRING = {"type": "string", "pattern": r"\S"}
_LIST = {"type": "array", "items": _STRING}
_RULE = {"$ref": "#/definitions/rule"}
_RULE_LIST = {"type": "array", "items": _RULE}
_ROWS = {"type": "array", "items": {"type": "object"}}

STRINGS = Kind(_strings, "list of strings", _LIST)
RULES = Kind(_strings, "list of rule names, globs and categories", _RULE_LIST)
BY_PATTERN = Kind(
    _by_pattern,
    "table: file pattern → list of rules",
    {"type": "object", "propertyNames": {"pattern": r"^(?!!?\s*$)"}, "additionalProperties": _RULE_LIST},
)
PATH = Kind(_text, "path", _STRING)
SWITCH = Kind(_switch, "true or false", {"type": "boolean"})
SECONDS = Kind(
    _whole(1, MOST_SECONDS, "of seconds "), "seconds", {"type": "integer", "minimum": 1, "maximum": MOST_SECONDS}
)
JOBS = Kind(_whole(1, MOST_JOBS, ""), "whole number", {"type": "integer", "minimum": 1, "maximum": MOST_JOBS})
OPTIONS = Kind(_options, "table: rule name or glob → table of options", {})
ROWS = Kind(_rows, "array of tables", _ROWS)
RESOURCES = Kind(_resources, "array of tables", _ROWS)

KEYS: dict[str, Key] = {
    "extend": Key(
        PATH,
        "none",
        "Another settings file, from the folder of this one, that these settings build upon: what they set replaces"
        " what it sets; the extend-* keys, ignore, rules and rows add to it. `~` and environment variables are"
        " expanded."
        " Its patterns keep their meaning: they are relative to its own folder.",
        'extend = "../leakfix.toml"',
    ),
    "select": Key(
        RULES,
        '["leak", "growth"]',
        "The rules that run: names, globs, categories (leak, growth, advice), or all.",
        'select = ["leak", "*/n-plus-one"]',
    ),
    "extend-select": Key(
        RULES,
        "[]",
        "Rules that run beside those of select.",
        'extend-select = ["advice"]',
    ),
    "ignore": Key(
        RULES,
        "[]",
        "Rules that do not run, whatever selects them.",
        'ignore = ["*/engine-per-call"]',
    ),
    "per-file-ignores": Key(
        BY_PATTERN,
        "{}",
        "Rules that do not run in some files. A pattern without a slash is about names of files, one with a slash"
        " about paths from the folder of the settings, one that begins with ! about all files it does not name.",
        '[tool.leakfix.per-file-ignores]\n"scripts/*" = ["leak"]\n"!src/**" = ["growth"]',
    ),
    "extend-per-file-ignores": Key(
        BY_PATTERN,
        "{}",
        "The same, in addition to what a file named by extend has.",
        '[tool.leakfix.extend-per-file-ignores]\n"conftest.py" = ["all"]',
    ),
    "exclude": Key(
        STRINGS,
        "the vendored trees: node_modules, site-packages, .venv, vendor, third_party, ...",
        "Folders and files a search leaves out; replaces the default. Patterns without a slash are about names, others"
        " about paths from the folder of the settings. Files named on the command line are looked at anyway; see"
        " force-exclude.",
        'exclude = ["generated", "docs/examples"]',
    ),
    "extend-exclude": Key(
        STRINGS,
        "[]",
        "Folders and files a search leaves out, beside those of exclude.",
        'extend-exclude = ["generated"]',
    ),
    "force-exclude": Key(
        SWITCH,
        "false",
        "Leave excluded files out even where they are named on the command line, as hooks name them.",
        "force-exclude = true",
    ),
    "baseline": Key(
        PATH,
        '".leakfix-baseline.json"',
        "The file with the findings that were accepted for now, from the folder of the settings.",
        'baseline = "ci/leakfix-baseline.json"',
    ),
    "rules": Key(
        OPTIONS,
        "{}",
        "Options of single rules, by name or glob; `leakfix explain RULE` tells which a rule has. They go before the"
        " same keys at the top.",
        '[tool.leakfix.rules."echo/query-without-context"]\nrequest-timeout = 5',
    ),
    "allow-dependencies": Key(
        STRINGS,
        "[]",
        "Libraries a repair may add to the project's manifest; those it declares are used anyway.",
        'allow-dependencies = ["cachetools"]',
    ),
    "request-timeout": Key(
        SECONDS,
        "none",
        "Where repaired handlers of requests get a context, it ends after so many seconds.",
        "request-timeout = 5",
    ),
    "time-limit": Key(
        SECONDS,
        str(TIME_LIMIT),
        "How many seconds of processor time the analysis of one file may take; where it would take longer, the file is"
        " told as not analysed. Of the settings of the working directory alone.",
        "time-limit = 30",
    ),
    "jobs": Key(
        JOBS,
        "the number of processors",
        "How many processes work. Of the settings of the working directory alone.",
        "jobs = 4",
    ),
    "cache": Key(SWITCH, "true", "Whether results may be kept between runs.", "cache = false"),
    "resource": Key(
        RESOURCES,
        "[]",
        "In-house resources: what acquires them, what releases them. Each is a rule of its id's name.",
        "[[tool.leakfix.resource]]\n"
        'id = "inhouse/connection"\n'
        'noun = "pooled connection"\n'
        'acquire = ["inhouse.pool.acquire"]\n'
        "release = []\n"
        'release_with = ["inhouse.pool.give_back"]\n'
        'held = "forever"',
    ),
    "type": Key(
        ROWS,
        "[]",
        "Classes of in-house libraries, with the other names and the calls that rows of resources would not know.",
        '[[tool.leakfix.type]]\nname = "inhouse.pool.Pool"\nmade_by = ["inhouse.make_pool"]',
    ),
    "owner": Key(
        ROWS,
        "[]",
        "Calls that take over what they are given, so that the caller need not release it.",
        '[[tool.leakfix.owner]]\nhow = "keeps"\nnames = ["inhouse.close_at_exit"]',
    ),
}
