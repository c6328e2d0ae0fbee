"""Small programs on real libraries, run before and after their repair: same results and rows, nothing left open."""

from __future__ import annotations

import asyncio
import inspect
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from leakfix import engine
from leakfix.config import Config
from leakfix.registry import Registry

WAYS = ("success", "early", "fail")

# Each defines ``job(target, way)``; ``way`` says how it shall end.
SQLITE = {
    "straight": """
        connection = sqlite3.connect(target)
        connection.execute("insert into orders values (1)")
        connection.commit()
        if way == "early":
            return "early"
        check(way)
        count = connection.execute("select count(*) from orders").fetchone()[0]
        connection.close()
        return count
    """,
    "never closed": """
        connection = sqlite3.connect(target)
        cursor = connection.cursor()
        cursor.execute("select 1")
        check(way)
        rows = cursor.fetchall()
        return rows
    """,
    "transaction block": """
        with sqlite3.connect(target) as connection:
            connection.execute("insert into orders values (2)")
            if way == "early":
                return "early"
            check(way)
        return "done"
    """,
    "block on the name": """
        connection = sqlite3.connect(target)
        with connection:
            connection.execute("insert into orders values (3)")
            check(way)
        with connection:
            connection.execute("insert into orders values (4)")
        return connection.execute("select count(*) from orders").fetchone()
    """,
    "no name": """
        check(way)
        return sqlite3.connect(target).execute("select 41 + 1").fetchone()
    """,
    "closed in except only": """
        connection = sqlite3.connect(target)
        try:
            connection.execute("insert into orders values (5)")
            check(way)
            connection.commit()
        except ValueError:
            connection.rollback()
            connection.close()
            raise
        return "stored"
    """,
    "swallowed error": """
        try:
            connection = sqlite3.connect(target)
            connection.execute("insert into orders values (6)")
            check(way)
            connection.commit()
            connection.close()
            return True
        except ValueError:
            return False
    """,
    "handler needs it": """
        try:
            connection = sqlite3.connect(target)
            connection.execute("insert into orders values (7)")
            check(way)
            connection.commit()
        except ValueError:
            connection.rollback()
        return "handled"
    """,
    "gap before try": """
        connection = sqlite3.connect(target)
        check(way)
        try:
            return connection.execute("select 1").fetchall()
        finally:
            connection.close()
    """,
    "loop": """
        found = []
        for number in range(3):
            connection = sqlite3.connect(target)
            connection.execute("insert into orders values (?)", (number,))
            if way == "early" and number == 1:
                break
            check(way)
            connection.commit()
            found.append(connection.total_changes)
        return found
    """,
    "loop over a cursor": """
        connection = sqlite3.connect(target)
        total = 0
        for (number,) in connection.execute("values (1), (2), (3)"):
            if way == "early" and number == 2:
                return total
            total += number
            check(way)
        return total
    """,
    "conditional": """
        connection = sqlite3.connect(target) if way != "early" else None
        if connection is not None:
            connection.execute("insert into orders values (8)")
            connection.commit()
        check(way)
        return connection is None
    """,
    "branches": """
        if way == "early":
            connection = sqlite3.connect(target, timeout=1)
        else:
            connection = sqlite3.connect(target)
        check(way)
        return connection.execute("select 5").fetchone()
    """,
    "two connections": """
        source = sqlite3.connect(target)
        copy = sqlite3.connect(":memory:")
        source.backup(copy)
        check(way)
        rows = copy.execute("select count(*) from orders").fetchall()
        copy.close()
        source.close()
        return rows
    """,
    "comprehension": """
        connection = sqlite3.connect(target)
        names = {name: len(name) for (name,) in connection.execute("select name from sqlite_master")}
        check(way)
        return names
    """,
    "generator": """
        connection = sqlite3.connect(target)
        for row in connection.execute("values (1), (2)"):
            check(way)
            yield row
        connection.close()
    """,
    "text over lines": """
        connection = sqlite3.connect(
            target,
            timeout=2,  # seconds
        )
        value = connection.execute('''
            select 'a
        b'
        ''').fetchone()
        check(way)
        return value
    """,
    "nested function": """
        connection = sqlite3.connect(target)

        def count():
            return connection.execute("select count(*) from orders").fetchone()

        check(way)
        return count()
    """,
    "try with else": """
        connection = sqlite3.connect(target)
        try:
            check(way)
        except KeyError:
            return "key"
        else:
            connection.execute("insert into orders values (9)")
            connection.commit()
        finally:
            print("left")
        return "else"
    """,
}
SQLALCHEMY = {
    "session": """
        session = Session(engine)
        session.execute(text("insert into orders values (1)"))
        if way == "early":
            return "early"
        check(way)
        session.commit()
        session.close()
        return "stored"
    """,
    "session begun": """
        session = Session(engine)
        with session.begin():
            session.execute(text("insert into orders values (2)"))
            check(way)
        return session.execute(text("select count(*) from orders")).scalar()
    """,
    "session rolled back": """
        session = Session(engine)
        try:
            session.execute(text("insert into orders values (3)"))
            check(way)
            session.commit()
        except ValueError:
            session.rollback()
            raise
        return session.execute(text("select 1")).scalar()
    """,
    "connection": """
        connection = engine.connect()
        rows = connection.execute(text("select count(*) from orders")).fetchall()
        check(way)
        return [tuple(row) for row in rows]
    """,
    "connection committed": """
        connection = engine.connect()
        connection.execute(text("insert into orders values (4)"))
        connection.commit()
        if way == "early":
            return None
        check(way)
        connection.close()
        return 4
    """,
    "session made by a maker": """
        maker = sessionmaker(engine)
        session = maker()
        session.execute(text("insert into orders values (5)"))
        check(way)
        session.commit()
        return "made"
    """,
    "raw connection": """
        raw = engine.raw_connection()
        cursor = raw.cursor()
        cursor.execute("select 3")
        check(way)
        return cursor.fetchall()
    """,
}
SQLMODEL = {
    "session": """
        session = Session(engine)
        session.execute(text("insert into orders values (1)"))
        check(way)
        session.commit()
        return "stored"
    """,
    "early": """
        session = Session(engine)
        count = session.execute(text("select count(*) from orders")).scalar()
        if way == "early":
            return -1
        check(way)
        session.close()
        return count
    """,
}
AIOSQLITE = {
    "straight": """
        connection = await aiosqlite.connect(target)
        await connection.execute("insert into orders values (1)")
        await connection.commit()
        if way == "early":
            return "early"
        check(way)
        await connection.close()
        return "stored"
    """,
    "cursor": """
        connection = await aiosqlite.connect(target)
        cursor = await connection.execute("select 7")
        check(way)
        rows = await cursor.fetchall()
        return list(rows)
    """,
    "handler": """
        try:
            connection = await aiosqlite.connect(target)
            await connection.execute("insert into orders values (2)")
            check(way)
            await connection.commit()
        except ValueError:
            await connection.rollback()
            return "rolled back"
        return "stored"
    """,
}
CHECK = '\n\ndef check(way):\n    if way == "fail":\n        raise ValueError(way)\n\n\n'
HEADS = {
    "sqlite3": "import sqlite3" + CHECK + "def job(target, way):",
    "sqlalchemy": "from sqlalchemy import text\nfrom sqlalchemy.orm import Session, sessionmaker"
    + CHECK
    + "def job(engine, way):",
    "sqlmodel": "from sqlmodel import Session, text" + CHECK + "def job(engine, way):",
    "aiosqlite": "import aiosqlite" + CHECK + "async def job(target, way):",
}
PROGRAMS = [
    pytest.param(library, body, id=f"{library}: {name}")
    for library, bodies in (
        ("sqlite3", SQLITE),
        ("sqlalchemy", SQLALCHEMY),
        ("sqlmodel", SQLMODEL),
        ("aiosqlite", AIOSQLITE),
    )
    for name, body in bodies.items()
]


class Kept(sqlite3.Connection):
    """A connection that stays referenced and knows whether it was closed."""

    every: list[Kept] = []  # noqa: RUF012
    closed = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.every.append(self)

    def close(self) -> None:
        self.closed = True
        super().close()


@dataclass(frozen=True)
class Ran:
    """How one run of a program ended."""

    result: Any
    rows: list[Any]
    left_open: int


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Kept]]:
    """Every connection made during the test, alive until its end."""
    original = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: original(*a, **{**o, "factory": Kept}))
    Kept.every.clear()
    yield Kept.every
    for connection in Kept.every:
        if not connection.closed:
            connection.close()
    Kept.every.clear()


def body_of(text: str) -> str:
    """The indented body of a program."""
    return re.sub("^    ", "", text.rstrip(), flags=re.MULTILINE)


@pytest.mark.parametrize(("library", "body"), PROGRAMS)
def test_a_repaired_program_does_the_same(
    library: str, body: str, tmp_path: Path, registry: Registry, kept: list[Kept]
) -> None:
    pytest.importorskip(library)
    file = tmp_path / "case.py"
    text = HEADS[library] + body_of(body) + "\n"
    file.write_text(text)
    report = engine.check([str(file)], Config(), registry, jobs=1)
    assert report.findings
    assert [finding.refusal for finding in report.findings if finding.fix is None] == []
    (repaired,) = engine.repair(report, lambda *_: True)
    assert not repaired.remaining
    before = [runner(library)(text, tmp_path / f"before-{way}.db", way, kept) for way in WAYS]
    after = [runner(library)(repaired.after.raw.decode(), tmp_path / f"after-{way}.db", way, kept) for way in WAYS]
    assert [(ran.result, ran.rows) for ran in after] == [(ran.result, ran.rows) for ran in before]
    assert any(ran.left_open for ran in before)
    assert not any(ran.left_open for ran in after), repaired.after.raw.decode()


def runner(library: str) -> Callable[[str, Path, str, list[Kept]], Ran]:
    return {"sqlite3": run_plain, "aiosqlite": run_async}.get(library, run_pooled)


def job_of(text: str) -> Any:
    space: dict[str, Any] = {}
    exec(compile(text, "case.py", "exec"), space)
    return space["job"]


def prepared(database: Path, kept: list[Kept]) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("create table orders (id integer)")
    connection.close()
    kept.clear()


def rows_of(database: Path, kept: list[Kept]) -> list[Any]:
    for connection in kept:  # what was not committed by now never is
        if not connection.closed:
            sqlite3.Connection.close(connection)
    kept.clear()
    connection = sqlite3.connect(database)
    rows = connection.execute("select id from orders order by id").fetchall()
    connection.close()
    return rows


def ended(call: Callable[[], Any]) -> Any:
    try:
        result = call()
        if inspect.isgenerator(result):
            first = next(result, None)
            result.close()
            return [first]
        return result
    except Exception as error:
        return type(error)


def run_plain(text: str, database: Path, way: str, kept: list[Kept]) -> Ran:
    prepared(database, kept)
    job = job_of(text)
    result = ended(lambda: job(str(database), way))
    left_open = sum(not connection.closed for connection in kept)
    return Ran(result, rows_of(database, kept), left_open)


def run_pooled(text: str, database: Path, way: str, kept: list[Kept]) -> Ran:
    from sqlalchemy import create_engine, event

    prepared(database, kept)
    pool = create_engine(f"sqlite:///{database}")
    held = []
    event.listen(pool, "checkout", lambda raw, record, proxy: held.append(proxy))
    job = job_of(text)
    result = ended(lambda: job(pool, way))
    left_open = pool.pool.checkedout()  # type: ignore[attr-defined]
    for proxy in held:
        if proxy.dbapi_connection is not None:
            proxy.close()
    held.clear()
    pool.dispose()
    return Ran(result, rows_of(database, kept), left_open)


def run_async(text: str, database: Path, way: str, kept: list[Kept]) -> Ran:
    import aiosqlite

    prepared(database, kept)
    job = job_of(text)
    made: list[Any] = []

    def connect(*args: Any, **options: Any) -> Any:
        made.append(aiosqlite.connect(*args, **options))
        return made[-1]

    class Library:
        pass

    job.__globals__["aiosqlite"] = library = Library()
    library.connect = connect  # type: ignore[attr-defined]

    async def main() -> tuple[Any, int]:
        try:
            result = await job(str(database), way)
        except Exception as error:
            result = type(error)
        left_open = sum(not connection.closed for connection in kept)
        for connection in made:
            await connection.close()
        return result, left_open

    result, left_open = asyncio.run(main())
    return Ran(result, rows_of(database, kept), left_open)
