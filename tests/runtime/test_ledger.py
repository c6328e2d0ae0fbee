"""What becomes of what is acquired, in every way a program can hold, forget, release and lose it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import sys
import threading
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool, StaticPool

from leakfix.resources import Resource
from leakfix.runtime.evidence import together
from leakfix.runtime.frames import Frames
from leakfix.runtime.ledger import Ledger, says_closed
from leakfix.runtime.tracker import Tracker

Fates = Callable[[], dict[str, str]]
ROW = Resource("toy/thing", "thing", ("toy.connect",))


class Thing:
    """Can be referenced weakly."""

    closed = False


class Slotted:
    """Cannot."""

    __slots__ = ("back",)


class Hostile:
    """Answers nothing without an error."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    def __hash__(self) -> int:
        raise RuntimeError("hash")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger(Frames())
    yield ledger
    ledger.close()
    assert not ledger.failures


def note(ledger: Ledger, thing: object, owner: object = None) -> None:
    ledger.acquired(ROW, thing, id(owner) if owner is not None else None, ledger.frames.caller(sys._getframe()))


def lost(ledger: Ledger) -> dict[str, int]:
    ledger.settle()
    return dict(sum((Counter(map(str, site.lost.elements())) for site in ledger.sites()), Counter()))


@pytest.mark.parametrize("kind", [Thing, Slotted, Hostile])
def test_the_last_reference_tells(ledger: Ledger, kind: type) -> None:
    thing = kind()
    note(ledger, thing)
    assert len(ledger.open()) == 1
    del thing
    ledger.sweep()
    assert not ledger.open()
    assert lost(ledger) == {"until-unreferenced": 1}


@pytest.mark.parametrize("kind", [Thing, Slotted])
def test_what_the_collector_takes_is_told_so(ledger: Ledger, kind: type) -> None:
    class Cycle:
        pass

    knot = Cycle()
    knot.me, knot.thing = knot, kind()  # type: ignore[attr-defined]
    note(ledger, knot.thing)  # type: ignore[attr-defined]
    del knot
    assert lost(ledger) == {"until-gc": 1}


@pytest.mark.parametrize("collecting", [gc.disable, gc.freeze])
def test_a_collector_that_rests_changes_nothing(ledger: Ledger, collecting: Callable[[], None]) -> None:
    collecting()
    try:
        thing = Thing()
        note(ledger, thing)
        del thing
        assert lost(ledger) == {"until-unreferenced": 1}
    finally:
        gc.unfreeze()
        gc.enable()


def test_an_identity_that_is_given_again_is_somebody_else(ledger: Ledger) -> None:
    for _ in range(1000):
        note(ledger, Thing())
        note(ledger, Slotted())
        ledger.sweep()
    assert sum(site.acquired for site in ledger.sites()) == 2000
    assert lost(ledger) == {"until-unreferenced": 2000}
    assert not ledger.open()


def test_what_is_released_twice_is_released_once(ledger: Ledger) -> None:
    thing = Thing()
    note(ledger, thing)
    ledger.released(thing, None, "close")
    ledger.released(thing, None, "close")
    (site,) = ledger.sites()
    assert (site.acquired, site.released, site.open) == (1, 1, 0)


def test_an_owner_forgets_what_came_back(ledger: Ledger) -> None:
    pool, lent = Thing(), Thing()
    note(ledger, pool)
    note(ledger, lent, owner=pool)
    ledger.released(lent, None, "close")
    (holding,) = ledger.open()
    assert holding.children == set()


def test_an_owner_takes_along_what_does_not_say_that_it_is_open(ledger: Ledger) -> None:
    class Silent:
        pass

    pool, silent, speaking = Thing(), Silent(), Thing()
    note(ledger, pool)
    note(ledger, silent, owner=pool)
    note(ledger, speaking, owner=pool)
    ledger.released(pool, None, "close")
    assert [holding.thing for holding in ledger.open()] == [speaking]


def test_many_that_are_held_do_not_slow_others_down(ledger: Ledger) -> None:
    kept = [Slotted() for _ in range(500)]
    for each in kept:
        note(ledger, each)
    del each
    gone = kept.pop(250)
    del gone
    for _ in range(20):
        ledger.sweep()
    assert len(ledger.open()) == 499


def test_nobody_is_asked_what_he_does_not_have() -> None:
    class Stand:
        asked = 0

        def __getattr__(self, name: str) -> Any:
            Stand.asked += 1
            return lambda: True

    assert says_closed(ROW, Stand()) is None
    assert says_closed(ROW, Hostile()) is None
    assert Stand.asked == 0
    assert says_closed(ROW, Thing()) is False


def test_hold_keeps_everything_until_it_is_asked() -> None:
    ledger = Ledger(Frames(), hold=True)
    note(ledger, Thing())
    ledger.sweep()
    gc.collect()
    assert len(ledger.open()) == 1
    assert lost(ledger) == {"until-unreferenced": 1}
    ledger.close()


def test_refusals_with_a_thousand_texts_stay_few(ledger: Ledger) -> None:
    for number in range(1000):
        ledger.refused(OSError(f"port {number}"))
    assert len(ledger.refusals) <= 201
    assert sum(ledger.refusals.values()) == 1000


def test_threads_acquire_and_release_together(ledger: Ledger) -> None:
    def work(_: int) -> None:
        for _ in range(200):
            thing = Thing()
            note(ledger, thing)
            ledger.released(thing, None, "close")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    (site,) = ledger.sites()
    assert (site.acquired, site.released, site.open) == (1600, 1600, 0)


# How programs hold and lose real connections.


def connect() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)


def test_an_exception_that_is_kept_keeps(fates: Fates) -> None:
    errors = []

    def failing() -> None:
        connection = sqlite3.connect(":memory:")  # leakfix: allow[sqlite3/unclosed-connection] on purpose
        connection.execute("nonsense")

    try:
        failing()
    except sqlite3.OperationalError as error:
        errors.append(error)
    assert fates() == {"failing": "forever"}
    errors.clear()
    assert fates() == {"failing": "until-gc"}


def test_an_exception_in_a_cycle_is_the_collectors(tracker: Tracker, fates: Fates) -> None:
    engine = sqlalchemy.create_engine("sqlite://")  # leakfix: allow[sqlalchemy/engine-per-call] on purpose

    def failing() -> None:
        session = Session(engine)  # leakfix: allow[sqlalchemy/unclosed-session] on purpose
        try:
            session.execute(sqlalchemy.text("nonsense"))
        except sqlalchemy.exc.OperationalError as error:
            kept = error
            assert kept

    failing()
    engine.dispose()
    assert fates() == {"test_an_exception_in_a_cycle_is_the_collectors": "released", "failing": "until-gc"}


def test_generators(fates: Fates) -> None:
    def rows() -> Iterator[int]:
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            yield from (row[0] for row in connection.execute("select 1 union select 2"))

    def careless() -> Iterator[int]:
        connection = sqlite3.connect(":memory:")  # leakfix: allow[sqlite3/unclosed-connection] on purpose
        yield connection.execute("select 1").fetchone()[0]
        connection.close()

    early, unfinished, done = rows(), careless(), careless()
    next(early)
    early.close()
    next(unfinished)
    assert list(done) == [1]
    assert fates() == {"rows": "released", "careless": "forever"}
    del unfinished
    assert fates() == {"rows": "released", "careless": "until-gc"}


def test_asynchronous_generators(fates: Fates) -> None:
    async def rows() -> AsyncIterator[int]:
        connection = sqlite3.connect(":memory:")
        try:
            yield 1
            yield 2
        finally:
            connection.close()

    async def main() -> None:
        async with contextlib.aclosing(rows()) as found:
            async for _ in found:
                break

    asyncio.run(main())
    assert fates() == {"rows": "released"}


def test_scopes_of_all_kinds(fates: Fates) -> None:
    @contextlib.contextmanager
    def helper() -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(":memory:")
        try:
            yield connection
        finally:
            connection.close()

    def stack() -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(sqlite3.connect(":memory:")))
            stack.callback(sqlite3.connect(":memory:").close)

    def finalizer() -> None:
        thing = Thing()
        weakref.finalize(thing, sqlite3.connect(":memory:").close)

    def transaction() -> None:
        with sqlite3.connect(":memory:") as connection:  # leakfix: allow[sqlite3/unclosed-connection] on purpose
            connection.execute("select 1")

    with helper(), pytest.raises(ZeroDivisionError), helper():
        raise ZeroDivisionError
    stack()
    finalizer()
    transaction()
    told = fates()
    assert told.pop("transaction") == "until-gc"
    assert set(told.values()) == {"released"}


def test_another_thread_releases(fates: Fates) -> None:
    connection = connect()
    thread = threading.Thread(target=connection.close)
    thread.start()
    thread.join()
    assert fates() == {"connect": "released"}


def test_threads_that_run_the_acquiring_function_itself(tracker: Tracker) -> None:
    async def main() -> None:
        first = await asyncio.get_running_loop().run_in_executor(None, sqlite3.connect, ":memory:")
        second = await asyncio.to_thread(sqlite3.connect, ":memory:", check_same_thread=False)
        del first
        second.close()

    asyncio.run(main())
    tracker.ledger.settle()
    assert sum(site.acquired for site in tracker.ledger.sites()) == 2
    assert sum(site.released for site in tracker.ledger.sites()) == 1


def test_acquired_by_a_finalizer(fates: Fates) -> None:
    class Late:
        def __del__(self) -> None:
            sqlite3.connect(":memory:").close()

    Late()
    assert fates() == {"__del__": "released"}


def test_a_finalizer_of_its_own_is_no_release(fates: Fates) -> None:
    class Careful(sqlite3.Connection):
        def __del__(self) -> None:
            self.close()

    def careless() -> None:
        sqlite3.connect(":memory:", factory=Careful)  # leakfix: allow[sqlite3/unclosed-connection] on purpose

    careless()
    assert fates() == {"careless": "until-gc"} or fates() == {"careless": "until-unreferenced"}


def test_recursion(tracker: Tracker) -> None:
    def deeper(count: int) -> None:
        with contextlib.closing(sqlite3.connect(":memory:")):
            if count:
                deeper(count - 1)

    deeper(50)
    (seen,) = together(tracker.evidence().sites)
    assert (seen.acquired, seen.released, tracker.ledger.peak) == (51, 51, 51)


def test_sessions_however_they_are_made(tracker: Tracker) -> None:
    class Own(Session):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.extra = 1

        def close(self) -> None:
            self.extra = 0
            super().close()

    engine = sqlalchemy.create_engine("sqlite://")  # leakfix: allow[sqlalchemy/engine-per-call] on purpose
    maker, registry = sessionmaker(engine), scoped_session(sessionmaker(engine, class_=Own))
    maker().close()
    Own(engine).close()
    with maker() as session, maker.begin():
        session.execute(sqlalchemy.text("select 1"))
    assert registry() is registry()
    registry.remove()
    engine.dispose()
    tracker.ledger.settle()
    assert not tracker.evidence().unreleased
    assert {site.resource.id for site in tracker.ledger.sites()} == {
        "sqlalchemy/engine", "sqlalchemy/session", "sqlalchemy/scoped-session",
    }  # fmt: skip


def test_a_pool_that_is_disposed_does_not_close_what_is_out(fates: Fates) -> None:
    def careless(engine: sqlalchemy.Engine) -> sqlalchemy.Connection:
        return engine.connect()

    engine = sqlalchemy.create_engine("sqlite://")  # leakfix: allow[sqlalchemy/engine-per-call] on purpose
    out = careless(engine)  # leakfix: allow[sqlalchemy/unclosed-connection] on purpose
    engine.dispose()
    assert fates()["careless"] == "forever"
    out.close()
    assert fates()["careless"] == "released"


@pytest.mark.parametrize("pool", [NullPool, StaticPool])
def test_what_the_table_says_is_harmless(tracker: Tracker, pool: type[sqlalchemy.Pool]) -> None:
    sqlalchemy.create_engine("sqlite://", poolclass=pool)  # leakfix: allow[sqlalchemy/engine-per-call] on purpose
    assert not tracker.ledger.sites()


def test_a_session_of_a_connection_holds_nothing_of_its_own(fates: Fates) -> None:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as connection:
        Session(connection).execute(sqlalchemy.text("select 1"))
        Session(bind=connection).execute(sqlalchemy.text("select 1"))
    assert set(fates().values()) == {"released"}


def test_many_open_at_once(tracker: Tracker) -> None:
    kept = [connect() for _ in range(300)]  # leakfix: allow[sqlite3/unclosed-connection] on purpose
    (site,) = tracker.ledger.sites()
    assert (site.open, site.peak, tracker.ledger.peak) == (300, 300, 300)
    for connection in kept:
        connection.close()
    assert site.open == 0
