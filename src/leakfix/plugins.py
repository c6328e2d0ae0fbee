"""Which packages of codemods are installed, and which rules their files are; nothing of them is imported for that."""

from __future__ import annotations

import os
from collections.abc import Iterator

GROUP = "leakfix.codemods"


def packages() -> list[str]:
    """The packages that the entry points name."""
    from importlib.metadata import entry_points

    return sorted({point.module for point in entry_points(group=GROUP)})


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
