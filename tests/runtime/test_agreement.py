"""The tracker sees what the rows say: every form of acquiring and releasing, with the libraries that are installed.

Each program has functions that release what they acquire (``good_...``) and others that leave it (``left_...``).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping

import pytest

from leakfix.proof.launcher import Ended

from .conftest import held

Watch = Callable[..., Ended]

RUN = """
for name, function in list(globals().items()):
    if name.startswith(("good_", "left_")):
        function()
"""
RUN_ASYNC = """
import asyncio
async def main():
    for name, function in list(globals().items()):
        if name.startswith(("good_", "left_")):
            await function()
asyncio.run(main())
"""

LOCAL: Mapping[str, tuple[tuple[str, ...], str]] = {
    "sqlite3": (
        ("sqlite3",),
        """
import sqlite3, contextlib
from sqlite3 import connect
from sqlite3.dbapi2 import connect as second
def good_close(): connect(":memory:").close()
def good_second(): second(":memory:").close()
def good_closing():
    with contextlib.closing(sqlite3.connect(":memory:")): pass
def left_with():
    with sqlite3.connect(":memory:"): pass
def left_dropped(): sqlite3.connect(":memory:")
"""
        + RUN,
    ),
    "sqlalchemy": (
        ("sqlalchemy",),
        """
import sqlalchemy
from sqlalchemy import orm
engine = sqlalchemy.create_engine("sqlite:///a.db")
Maker = orm.sessionmaker(engine)
Scoped = orm.scoped_session(Maker)
def good_session(): orm.Session(engine).close()
def good_session_with():
    with orm.Session(engine): pass
def good_session_invalidate(): orm.Session(engine).invalidate()
def good_maker(): Maker().close()
def good_maker_with():
    with Maker(): pass
def good_begin():
    with Maker.begin(): pass
def good_scoped_close(): Scoped().close()
def good_scoped_remove():
    Scoped(); Scoped.remove()
def good_connection(): engine.connect().close()
def good_connection_with():
    with engine.connect(): pass
def good_engine_begin():
    with engine.begin(): pass
def good_raw(): engine.raw_connection().close()
def good_pool(): engine.pool.connect().close()
def good_engine(): sqlalchemy.create_engine("sqlite://").dispose()
def good_config(): sqlalchemy.engine_from_config({"sqlalchemy.url": "sqlite://"}).dispose()
def left_session(): orm.Session(engine)
def left_maker(): Maker()
def left_connection(): engine.connect()
def left_raw(): engine.raw_connection()
def left_pool(): engine.pool.connect()
def left_engine(): sqlalchemy.create_engine("sqlite://")
def good_zz_last(): engine.dispose()
"""
        + RUN,
    ),
    "sqlmodel": (
        ("sqlmodel",),
        """
import sqlmodel
engine = sqlmodel.create_engine("sqlite://")
def good_session(): sqlmodel.Session(engine).close()
def good_session_with():
    with sqlmodel.Session(engine): pass
def good_engine(): sqlmodel.create_engine("sqlite://").dispose()
def left_session(): sqlmodel.Session(engine)
def left_engine(): sqlmodel.create_engine("sqlite://")
"""
        + RUN,
    ),
    "duckdb": (
        ("duckdb",),
        """
import duckdb
def good_close(): duckdb.connect().close()
def good_with():
    with duckdb.connect(): pass
def good_execute(): duckdb.connect().execute("select 1").close()
def left_dropped(): duckdb.connect()
"""
        + RUN,
    ),
    "aiosqlite": (
        ("aiosqlite",),
        """
import aiosqlite
async def good_close(): await (await aiosqlite.connect(":memory:")).close()
async def good_with():
    async with aiosqlite.connect(":memory:"): pass
async def left_dropped(): await aiosqlite.connect(":memory:")
async def left_executed(): await (await aiosqlite.connect(":memory:")).execute("select 1")
"""
        + RUN_ASYNC,
    ),
    "sqlalchemy.ext.asyncio": (
        ("sqlalchemy", "greenlet", "aiosqlite"),
        """
import sqlalchemy
from sqlalchemy.ext.asyncio import *
engine = create_async_engine("sqlite+aiosqlite:///b.db")
Maker = async_sessionmaker(engine)
async def good_session(): await AsyncSession(engine).close()
async def good_session_with():
    async with AsyncSession(engine) as session: await session.execute(sqlalchemy.text("select 1"))
async def good_maker_with():
    async with Maker(): pass
async def good_maker(): await Maker().close()
async def good_connection():
    connection = await engine.connect()
    await connection.close()
async def good_connection_with():
    async with engine.connect(): pass
async def good_engine(): await create_async_engine("sqlite+aiosqlite://").dispose()
async def left_session(): AsyncSession(engine)
async def left_maker(): Maker()
async def left_connection(): kept.append(await engine.connect())
async def left_engine(): create_async_engine("sqlite+aiosqlite://")
kept = []
async def good_zz_last():
    await kept[0].invalidate()
"""
        + RUN_ASYNC,
    ),
    "flask_sqlalchemy": (
        ("flask_sqlalchemy",),
        """
import flask, flask_sqlalchemy, sqlalchemy
app = flask.Flask("app")
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
db = flask_sqlalchemy.SQLAlchemy(app)
def good_session():
    with app.app_context(): db.session.execute(sqlalchemy.text("select 1"))
def good_connection():
    with app.app_context(), db.engine.connect(): pass
def left_connection():
    with app.app_context(): kept.append(db.engine.connect())
kept = []
"""
        + RUN,
    ),
}
SERVED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "psycopg2": (
        ("psycopg2",),
        """
import contextlib, os, psycopg2, psycopg2.extensions, psycopg2.pool
DSN = os.environ["LEAKFIX_TEST_DSN"]
pool = psycopg2.pool.ThreadedConnectionPool(1, 9, DSN)
def good_close(): psycopg2.connect(DSN).close()
def good_closing():
    with contextlib.closing(psycopg2.connect(DSN)): pass
def good_putconn(): pool.putconn(pool.getconn())
def good_putconn_named(): pool.putconn(conn=pool.getconn(), close=True)
def good_pool(): psycopg2.pool.SimpleConnectionPool(1, 1, DSN).closeall()
def good_closeall():
    own = psycopg2.pool.SimpleConnectionPool(1, 2, DSN)
    own.getconn()
    own.closeall()
def left_with():
    with psycopg2.connect(DSN): pass
def left_dropped(): psycopg2.connect(DSN)
def left_lent(): pool.getconn()
def left_lent_closed(): pool.getconn().close()
def left_pool(): psycopg2.pool.SimpleConnectionPool(1, 1, DSN)
"""
        + RUN,
    ),
    "psycopg": (
        ("psycopg", "psycopg_pool"),
        """
import os, psycopg, psycopg_pool, warnings
warnings.simplefilter("ignore")
DSN = os.environ["LEAKFIX_TEST_DSN"]
pool = psycopg_pool.ConnectionPool(DSN, min_size=1, max_size=4, open=True)
def good_close(): psycopg.connect(DSN).close()
def good_with():
    with psycopg.connect(DSN): pass
def good_class(): psycopg.Connection.connect(DSN).close()
def good_putconn(): pool.putconn(pool.getconn())
def good_connection():
    with pool.connection(): pass
def good_pool_with():
    with psycopg_pool.ConnectionPool(DSN, min_size=1, open=True): pass
def left_dropped(): psycopg.connect(DSN)
def left_lent(): kept.append(pool.getconn())
def left_lent_with():
    with pool.getconn() as connection: kept.append(connection)
kept = []
"""
        + RUN,
    ),
    "psycopg, asynchronous": (
        ("psycopg", "psycopg_pool"),
        """
import os, psycopg, psycopg_pool, warnings
warnings.simplefilter("ignore")
DSN = os.environ["LEAKFIX_TEST_DSN"]
async def good_close(): await (await psycopg.AsyncConnection.connect(DSN)).close()
async def good_with():
    async with await psycopg.AsyncConnection.connect(DSN): pass
async def good_pool():
    async with psycopg_pool.AsyncConnectionPool(DSN, min_size=1, open=False) as pool:
        await pool.putconn(await pool.getconn())
        async with pool.connection(): pass
async def left_dropped(): await psycopg.AsyncConnection.connect(DSN)
async def left_lent():
    pool = psycopg_pool.AsyncConnectionPool(DSN, min_size=1, max_size=1, open=False)
    await pool.open()
    kept.append(await pool.getconn())
    await pool.close()
kept = []
"""
        + RUN_ASYNC,
    ),
    "asyncpg": (
        ("asyncpg",),
        """
import asyncio, asyncpg, os
DSN = os.environ["LEAKFIX_TEST_DSN"]
async def good_close(): await (await asyncpg.connect(DSN)).close()
async def good_terminate(): (await asyncpg.connect(DSN)).terminate()
async def good_pool():
    async with asyncpg.create_pool(DSN, min_size=1, max_size=2) as pool:
        await pool.release(await pool.acquire())
        async with pool.acquire() as connection: await connection.execute("select 1")
        connection = await asyncio.wait_for(pool.acquire(), 5)
        await pool.release(connection)
        connection = await pool.acquire()
        await connection.close()
        await pool.release(connection)
async def good_terminated():
    pool = await asyncpg.create_pool(DSN, min_size=1, max_size=2)
    await pool.acquire()
    pool.terminate()
async def left_dropped(): await asyncpg.connect(DSN)
async def left_lent():
    kept.append(await asyncpg.create_pool(DSN, min_size=1, max_size=2))
    kept.append(await kept[0].acquire())
async def left_waited():
    kept.append(await asyncio.wait_for(kept[0].acquire(), 5))
kept = []
"""
        + RUN_ASYNC,
    ),
    "aiopg": (
        ("aiopg",),
        """
import aiopg, os
DSN = os.environ["LEAKFIX_TEST_DSN"]
async def good_close(): await (await aiopg.connect(DSN)).close()
async def good_with():
    async with aiopg.connect(DSN): pass
async def good_pool():
    async with aiopg.create_pool(DSN) as pool:
        async with pool.acquire(): pass
        await pool.release(await pool.acquire())
async def left_dropped(): kept.append(await aiopg.connect(DSN))
async def left_lent():
    kept.append(await aiopg.create_pool(DSN))
    kept.append(await kept[-1].acquire())
kept = []
"""
        + RUN_ASYNC,
    ),
}


def agrees(ended: Ended) -> None:
    assert ended.code == 0
    told = held(ended)
    assert {name for name, fate in told.items() if name.startswith("good_") and fate != "released"} == set()
    assert {name for name, fate in told.items() if name.startswith("left_") and fate == "released"} == set()
    assert ended.silent == 0


def unseen(ended: Ended, text: str) -> set[str]:
    names = {line.split("def ")[1].split("(")[0] for line in text.splitlines() if "def left_" in line}
    return names - set(held(ended))


@pytest.mark.parametrize("name", LOCAL)
def test_without_a_server(watch: Watch, name: str) -> None:
    needs, text = LOCAL[name]
    ended = watch(text, needs=needs)
    agrees(ended)
    assert unseen(ended, text) == set()


@pytest.mark.parametrize("name", SERVED)
def test_with_a_server(request: pytest.FixtureRequest, watch: Watch, name: str) -> None:
    needs, text = SERVED[name]
    missing = [each for each in needs if importlib.util.find_spec(each) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    ended = watch(text, extra={"LEAKFIX_TEST_DSN": request.getfixturevalue("postgresql").uri()})
    agrees(ended)
    assert unseen(ended, text) == set()
    assert os.environ.get("LEAKFIX_TEST_DSN") is None
