"""Writes the tables and examples of docs/frameworks from the rules; a test compares them.

A page says where: ``<!-- rules: fastapi/* -->`` and ``<!-- example: fastapi/session-dependency -->``, up to
``<!-- end -->``.
"""

from __future__ import annotations

import re
from pathlib import Path

import rules

PAGES = Path(__file__).parent.parent / "docs" / "frameworks"
PLACE = re.compile(r"(<!-- (rules|example): ([^\n]+?) -->\n)(.*?)(<!-- end -->\n)", re.DOTALL)


def written(text: str) -> str:
    """The page with what there is now."""
    return PLACE.sub(lambda found: f"{found[1]}{_content(found[2], found[3])}{found[5]}", text)


def _content(kind: str, names: str) -> str:
    codemods = rules.matching(names)
    return rules.table(codemods) if kind == "rules" else "".join(map(rules.example, codemods))


if __name__ == "__main__":
    for page in sorted(PAGES.glob("*.md")):
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
