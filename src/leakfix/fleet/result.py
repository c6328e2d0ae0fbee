"""What became of one repository at one commit: one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

START = b'{"repository":'


class Status(StrEnum):
    """How it ended.

    CHECKED: leakfix looked at it, whatever it found.
    FAILED: it could not be fetched, or leakfix refused, and said why.
    TIMED_OUT, CRASHED: git or leakfix took too long; leakfix died, or the process that watched over it did.
    KNOWN: it had been checked at this commit before; this is never recorded.
    """

    CHECKED = "checked"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    CRASHED = "crashed"
    KNOWN = "known"


@dataclass(frozen=True)
class Result:
    """One repository at one commit.

    ref: what was asked for, None for the default branch; commit: None where it never became known.
    options: the rules that were selected or ignored, as on the command line.
    findings, errors, summary: as ``check --output-format json`` prints them.
    """

    repository: str
    ref: str | None
    commit: str | None
    status: Status
    message: str
    seconds: float
    leakfix: str
    options: tuple[str, ...] = ()
    findings: tuple[Mapping[str, Any], ...] = ()
    errors: tuple[Mapping[str, Any], ...] = ()
    summary: Mapping[str, Any] | None = None

    def line(self) -> bytes:
        """The result as one line, its end included."""
        return json.dumps(asdict(self), separators=(",", ":")).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Result:
        """Read a line. Raises ValueError where it is no result."""
        values = json.loads(line)
        if not isinstance(values, dict) or not {field.name for field in fields(cls)} <= values.keys():
            raise ValueError("not a result of leakfix fleet")
        known = {field.name: values[field.name] for field in fields(cls)}
        lists = {name: _mappings(known[name]) for name in ("findings", "errors")}
        known |= lists | {"status": Status(known["status"]), "options": _texts(known["options"])}
        result = cls(**known)
        if not _is_sound(result):
            raise ValueError("not a result of leakfix fleet")
        return result


def _mappings(value: object) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("not a list of objects")
    return tuple(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("not a list of texts")
    return tuple(value)


def _is_sound(result: Result) -> bool:
    return (
        all(isinstance(text, str) for text in (result.repository, result.message, result.leakfix))
        and all(text is None or isinstance(text, str) for text in (result.ref, result.commit))
        and isinstance(result.seconds, int | float)
        and (result.summary is None or isinstance(result.summary, dict))
    )
