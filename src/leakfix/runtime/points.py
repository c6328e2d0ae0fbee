"""Where the tracker takes hold: the rows' symbolic names as attributes of modules and classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from leakfix.resources import Resource, ResourceTable


@dataclass(frozen=True)
class Point:
    """One way to acquire. path: names from the module on; method: of the class there, "" for the thing itself."""

    path: tuple[str, ...]
    method: str
    resource: Resource


def points(table: ResourceTable) -> Mapping[str, tuple[Point, ...]]:
    """The points by every module that may hold the beginning of their path."""
    found: dict[str, dict[Point, None]] = {}
    for row in table.resources:
        for name in row.acquire:
            for head, method in _spelled(table, name):
                words = head.split(".")
                for end in range(1, len(words)):
                    point = Point(tuple(words[end:]), method, row)
                    found.setdefault(".".join(words[:end]), {})[point] = None
    return {module: tuple(each) for module, each in found.items()}


def _spelled(table: ResourceTable, name: str) -> Iterator[tuple[str, str]]:
    """All ways to write the start of a symbolic name, with the method that follows an instance of it."""
    if "()" not in name and "[" not in name and "/" not in name:
        yield name, ""
    head, called, rest = table.canonical(name).partition("()")
    if "[" in head + rest or "(" in rest or "/" in head:
        return
    method = rest.removeprefix(".") or ("__call__" if called else "")
    row = next((row for row in table.types if row.name == head), None)
    for spelled in (head, *(row.names if row is not None else ())):
        yield spelled, method
