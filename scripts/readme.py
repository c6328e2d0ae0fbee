"""Writes the table of rules into README.md; a test compares them."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from leakfix.config import Config
from leakfix.registry import Registry

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- rules: written by `make docs` -->\n", "<!-- end of rules -->\n"


def with_rules(text: str) -> str:
    """The text with the table of what there is now."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{_table()}{END}{tail}"


def _table() -> str:
    lines = ["| library | rules |", "|---|---|"]
    for library, names in groupby(Registry.load(Config()).codemods, lambda name: name.partition("/")[0]):
        faults = ", ".join(f"`{name.partition('/')[2]}`" for name in names)
        lines.append(f"| {library} | {faults} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    README.write_text(with_rules(README.read_text(encoding="utf-8")), encoding="utf-8")
