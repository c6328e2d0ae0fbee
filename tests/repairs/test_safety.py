"""Which repairs are for review: what is returned may come back to the session for what was not loaded yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakfix import engine
from leakfix.config import Config
from leakfix.finding import Fix, Safety
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


POOLED = """\
from psycopg2.pool import ThreadedConnectionPool

pool = ThreadedConnectionPool(1, 5, "dbname=shop")


def answer(tenant):
    connection = pool.getconn()
    {}
    connection.cursor().execute("select 1")
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
    assert fix_of(MODULE.format(returned), "sqlalchemy/unclosed-session", tmp_path).safety is safety


STATEMENTS = """\
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

import models
from models import Item

engine = create_engine("sqlite://")


def answer(shop, model, statement):
    session = Session(engine)
    {}
"""


@pytest.mark.parametrize(
    ("done", "safety"),
    [
        ("return session.scalars(select(Item.id)).all()", Safety.SAFE),
        ("return session.scalars(select(models.Item.id)).all()", Safety.SAFE),
        ("return session.scalars(select(models.Item)).all()", Safety.REVIEW),
        ("return session.scalars(select(shop.model)).all()", Safety.REVIEW),
        ("return session.scalars(select(shop.model).order_by(Item.id)).all()", Safety.REVIEW),
        ("items = select(Item.id)\n    return session.scalars(items.order_by(Item.price)).all()", Safety.SAFE),
        ("items = select(Item)\n    return session.scalars(items.order_by(Item.price)).all()", Safety.REVIEW),
        ("return session.scalars(statement.order_by(Item.price)).all()", Safety.REVIEW),
        ("items = session.query(Item.id)\n    return items.filter(Item.price > 3).all()", Safety.SAFE),
        ("items = session.query(Item)\n    return items.filter(Item.price > 3).all()", Safety.REVIEW),
        ("yield from session.scalars(select(Item.id))", Safety.SAFE),
        ("yield from session.scalars(select(Item))", Safety.REVIEW),
        ("yield from session.scalars(select(Item)).all()", Safety.REVIEW),
    ],
)
def test_columns_are_safe_and_objects_are_for_review(done: str, safety: Safety, tmp_path: Path) -> None:
    assert fix_of(STATEMENTS.format(done), "sqlalchemy/unclosed-session", tmp_path).safety is safety


@pytest.mark.parametrize(
    ("done", "safety"),
    [
        ("connection.commit()", Safety.SAFE),
        ("connection.cursor().execute('set local search_path to shop')", Safety.SAFE),
        ("connection.cursor().execute('set search_path to shop')", Safety.REVIEW),
        ("connection.autocommit = True", Safety.REVIEW),
        ("connection.set_session(readonly=True)", Safety.REVIEW),
    ],
)
def test_what_is_set_on_a_pooled_connection_stays_set(done: str, safety: Safety, tmp_path: Path) -> None:
    fix = fix_of(POOLED.format(done), "psycopg2/unreturned-pool-connection", tmp_path)
    assert fix.safety is safety
    assert ("stays set" in fix.check) == (safety is Safety.REVIEW)


DEPENDENCY = """\
from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

__all__ = ["app", "get_db"]
engine = create_engine("sqlite://")
app = FastAPI()
providers = {}


def get_db():
    return Session(engine)


@app.get("/")
def first(db: Session = Depends(get_db)):
    return db.scalar(text("select 1"))
"""


@pytest.mark.parametrize(("asked", "safety"), [("", Safety.SAFE), ('globals()["get_db"]()', Safety.REVIEW)])
def test_a_dependency_asked_for_by_its_name_is_for_review(asked: str, safety: Safety, tmp_path: Path) -> None:
    text = DEPENDENCY + f"\n\ndef ping():\n    return {asked or None}\n"
    assert fix_of(text, "fastapi/returned-dependency", tmp_path).safety is safety


def fix_of(text: str, rule: str, folder: Path) -> Fix:
    (folder / "pyproject.toml").write_text("")
    (folder / "shop.py").write_text(text)
    config = Config(select=(rule,))
    (finding,) = engine.check([str(folder)], config, Registry.load(config), jobs=1).findings
    assert finding.fix is not None
    return finding.fix
