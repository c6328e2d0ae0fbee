"""Which repairs are for review: what is returned may come back to the session for what was not loaded yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakfix import engine
from leakfix.config import Config
from leakfix.finding import Safety
from leakfix.registry import Registry

MODULE = """\
from decimal import Decimal

from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from models import Item

engine = create_engine("sqlite://")


def answer(shop):
    session = Session(engine)
    items = session.scalars(select(Item).where(Item.shop == shop))
    return {}
"""


@pytest.mark.parametrize(
    ("returned", "safety"),
    [
        ("sum(item.price for item in items)", Safety.SAFE),
        ("sum((item.price for item in items), Decimal(0))", Safety.SAFE),
        ("sum((item.price for item in items), start=0)", Safety.SAFE),
        ("round(sum(item.price for item in items), 2)", Safety.SAFE),
        ("len(items.all())", Safety.SAFE),
        ("sum((item.parts for item in items), [])", Safety.REVIEW),
        ("sum([item.parts for item in items], start=list())", Safety.REVIEW),
        ("items.all()", Safety.REVIEW),
    ],
)
def test_a_value_is_safe_and_what_refers_to_rows_is_for_review(returned: str, safety: Safety, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "shop.py").write_text(MODULE.format(returned))
    config = Config(select=("sqlalchemy/unclosed-session",))
    (finding,) = engine.check([str(tmp_path)], config, Registry.load(config), jobs=1).findings
    assert finding.fix is not None
    assert finding.fix.safety is safety
