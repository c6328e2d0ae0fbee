"""Pieces of projects that several tests are about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

Write = Callable[[Mapping[str, str | bytes]], None]
Instrument = Callable[..., tuple[int, str, str]]

ENGINE = """\
from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

engine = create_engine("sqlite:///orders.db", poolclass=QueuePool)
"""

TESTS = """\
from app.db import engine

kept = []


def test_leaks():
    kept.append(engine.connect())


def test_clean():
    with engine.connect():
        pass
"""


def contents(tree: Path) -> dict[str, bytes]:
    """Every file of the project."""
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
