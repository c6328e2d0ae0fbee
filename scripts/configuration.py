"""Writes docs/leakfix.schema.json, and the list of keys into docs/configuration.md; a test compares them."""

from __future__ import annotations

import json
from pathlib import Path

from leakfix.config import Config
from leakfix.config.keys import KEYS
from leakfix.registry import Registry
from leakfix.report.schema import document
from leakfix.report.settings import example

DOCS = Path(__file__).parent.parent / "docs"
SCHEMA, GUIDE = DOCS / "leakfix.schema.json", DOCS / "configuration.md"
BEGIN, END = "<!-- keys: written by `make docs` -->\n", "<!-- end of keys -->\n"


def schema() -> str:
    """The schema as a file."""
    return json.dumps(document(Registry.load(Config())), indent=2, ensure_ascii=False) + "\n"


def with_keys(text: str) -> str:
    """The text with the list of what there is now."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{''.join(map(_told, KEYS))}{END}{tail}"


def _told(name: str) -> str:
    key = KEYS[name]
    kind = f"{key.kind.name}; default: {key.default if key.default == 'none' else f'`{key.default}`'}"
    return f"### `{name}`\n\n{key.about}\n\n{kind}\n\n```toml\n{example(key)}\n```\n\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
    GUIDE.write_text(with_keys(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
