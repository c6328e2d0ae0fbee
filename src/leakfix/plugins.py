"""Which packages of codemods are installed, and which rules their files are; nothing of them is imported for that."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

GROUP = "leakfix.codemods"


def packages() -> list[str]:
    """The packages that the entry points of what is installed name.

    They are read off the files that the packaging specification "Entry points" describes: to import importlib.metadata
    takes a sixth of the time of a small check. It is asked where the path of imports leads into an archive.
    """
    found: set[str] = set()
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except NotADirectoryError:
            from importlib.metadata import entry_points

            found.update(point.module for point in entry_points(group=GROUP))
            continue
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                found.update(_named_in(os.path.join(folder, name, "entry_points.txt")))
    return sorted(found)


def _named_in(file: str) -> Iterator[str]:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            lines = stream.read().splitlines()
    except OSError:
        return
    section = ""
    for line in map(str.strip, lines):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section == GROUP and "=" in line and not line.startswith("#"):
            yield line.partition("=")[2].partition("[")[0].partition(":")[0].strip()


def rule_names() -> list[str]:
    """The rules of these packages, by the names of their files; a file that is broken has one, too."""
    from importlib.util import find_spec

    found: set[str] = set()
    for package in packages():
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations if spec is not None else None) or ():
            found.update(_rules_in(folder))
    return sorted(found)


def _rules_in(folder: str) -> Iterator[str]:
    for library in os.listdir(folder):
        if not library.startswith("_") and os.path.isdir(os.path.join(folder, library)):
            for file in os.listdir(os.path.join(folder, library)):
                name, ending = os.path.splitext(file)
                if ending == ".py" and not name.startswith("_"):
                    yield f"{library}/{name.replace('_', '-')}"
