"""What is taken hold of: everything the rows name, without a change to what programs see; and nothing afterwards."""

from __future__ import annotations

import asyncio
import copy
import importlib
import importlib.machinery
import importlib.util
import inspect
import json
import pickle
import sqlite3
import subprocess
import sys
import textwrap
import threading
import types
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy
import sqlalchemy.orm

from leakfix.registry import Registry
from leakfix.resources import ResourceTable, table_from
from leakfix.runtime.points import points
from leakfix.runtime.tracker import Tracker

Fates = Callable[[], dict[str, str]]

NOT_TAKEN: Mapping[str, str] = {
    "sqlite3.Connection": "a class in C that is called by its own name: its tp_init is no method",
    "psycopg2.extensions.connection": "a class in C that is called by its own name",
    "psycopg2.extras.LoggingConnection": "its constructor is that of a class in C",
    "psycopg2.extras.MinTimeLoggingConnection": "its constructor is that of a class in C",
}
"""Names of rows that are not seen at run time, and why."""

TOY = '''
"""A driver."""


class Connection:
    def __init__(self, name="x"):
        self.name = name

    def close(self):
        return "closed"


def connect(name="x", *, fail=None):
    if fail is not None:
        raise fail
    return Connection(name)


class Pool:
    def __init__(self):
        self.lent = []

    def getconn(self):
        self.lent.append(Connection())
        return self.lent[-1]

    def putconn(self, connection):
        self.lent.remove(connection)

    @classmethod
    def made(cls):
        return Connection("made")

    @staticmethod
    def plain():
        return Connection("plain")
'''
ROWS = {
    "resource": [
        {
            "id": "toydriver/connection",
            "noun": "connection",
            "acquire": ["toydriver.connect", "toydriver.Pool.made", "toydriver.Pool.plain", "toydriver.lazy"],
        },
        {
            "id": "toydriver/pooled",
            "noun": "pooled connection",
            "acquire": ["toydriver.Pool().getconn"],
            "release": [],
            "release_with": ["putconn"],
        },
    ]
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a driver nobody has imported yet."""
    (tmp_path / "toydriver.py").write_text(TOY, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("toydriver", None)


@pytest.fixture
def toy_table() -> ResourceTable:
    return table_from([ROWS])


def driver() -> Any:
    return importlib.import_module("toydriver")


def open_now(tracker: Tracker) -> int:
    return len(tracker.ledger.open())


@pytest.mark.parametrize("early", [True, False])
def test_functions_stay_what_they_are(toy: Path, toy_table: ResourceTable, early: bool) -> None:
    if early:
        driver()
    with Tracker(toy_table):
        toydriver = driver()
        assert inspect.isfunction(toydriver.connect)
        assert str(inspect.signature(toydriver.connect)) == "(name='x', *, fail=None)"
        assert toydriver.connect.__qualname__ == "connect"
        assert pickle.loads(pickle.dumps(toydriver.connect)) is toydriver.connect

        class Holder:
            connector = toydriver.connect

        holder = Holder()
        assert holder.connector().name is holder
        error = ValueError("exactly this")
        with pytest.raises(ValueError, match="exactly this") as caught:
            toydriver.connect(fail=error)
        assert caught.value is error
        with pytest.raises(TypeError, match=r"^connect\(\) got an unexpected keyword argument 'port'$"):
            toydriver.connect(port=1)
        assert toydriver.Pool.made().close() == "closed"
        assert toydriver.Pool().plain().name == "plain"


@pytest.mark.parametrize("early", [True, False])
def test_nothing_is_left_when_it_stops(toy: Path, toy_table: ResourceTable, early: bool) -> None:
    sys_finders = list(sys.meta_path)
    if early:
        driver()
    tracker = Tracker(toy_table)
    tracker.start()
    toydriver = driver()
    taken = toydriver.connect
    pool = toydriver.Pool()
    pool.putconn(pool.getconn())
    toydriver.connect().close()
    tracker.stop()
    assert sys.meta_path == sys_finders
    for holder in (toydriver, toydriver.Connection, toydriver.Pool):
        for name, value in vars(holder).items():
            assert not hasattr(getattr(value, "__func__", value), "__wrapped__"), name
    assert taken().close() == "closed"  # what somebody kept goes on, unseen
    assert not tracker.ledger.open()


def test_two_trackers_see_the_same(toy: Path, toy_table: ResourceTable) -> None:
    with Tracker(toy_table) as outer:
        toydriver = driver()
        with Tracker(toy_table) as inner:
            kept = toydriver.connect()
            assert (open_now(outer), open_now(inner)) == (1, 1)
            kept.close()
            assert (open_now(outer), open_now(inner)) == (0, 0)
        kept = toydriver.connect()
        assert open_now(outer) == 1
        kept.close()
        assert open_now(outer) == 0
    assert not hasattr(toydriver.connect, "__wrapped__")


def test_methods_that_were_taken_along_before(toy: Path, toy_table: ResourceTable) -> None:
    with Tracker(toy_table) as tracker:
        pool = driver().Pool()
        get, put = pool.getconn, pool.putconn
        put(get())
        put(connection=get())
        assert sum(site.acquired for site in tracker.ledger.sites()) == 2
        assert open_now(tracker) == 0


def test_reloading(toy: Path, toy_table: ResourceTable) -> None:
    with Tracker(toy_table) as tracker:
        toydriver = driver()
        for _ in range(3):
            importlib.reload(toydriver)
        kept = toydriver.connect()
        assert open_now(tracker) == 1
        kept.close()
        assert isinstance(toydriver.__spec__.loader, importlib.machinery.SourceFileLoader)
        assert toydriver.__loader__ is toydriver.__spec__.loader
    assert not hasattr(toydriver.connect, "__wrapped__")


def test_looking_for_a_module_does_not_hide_its_import(toy: Path, toy_table: ResourceTable) -> None:
    with Tracker(toy_table) as tracker:
        spec = importlib.util.find_spec("toydriver")
        assert spec is not None
        assert spec.loader.get_filename() == str(toy / "toydriver.py")  # type: ignore[union-attr]
        kept = driver().connect()
        assert open_now(tracker) == 1
        assert kept


def test_threads_that_import_at_the_same_time(toy: Path, toy_table: ResourceTable) -> None:
    seen, barrier = [], threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        importlib.util.find_spec("toydriver")
        seen.append(driver().connect())

    with Tracker(toy_table) as tracker:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert open_now(tracker) == 8
    assert len({type(each) for each in seen}) == 1


def test_a_thread_that_releases_while_another_takes_hold_of_its_class(toy: Path, toy_table: ResourceTable) -> None:
    threads: list[threading.Thread] = []

    def work() -> None:
        driver().connect().close()

    class Interrupted(type):
        def __setattr__(cls, name: str, value: object) -> None:
            if not threads:
                threads.append(threading.Thread(target=work))
                threads[0].start()
                threads[0].join(0.2)  # seconds; it has to wait, and does no more than that
            super().__setattr__(name, value)

    with Tracker(toy_table) as tracker:
        module = driver()
        module.Connection = Interrupted("Connection", (module.Connection,), {"close": lambda self: "closed"})
        kept = driver().connect()
        threads[0].join()
        sites = {site.stack[0][0].co_name: site for site in tracker.ledger.sites()}
        assert (sites["work"].released, len(sites["work"].lost)) == (1, 0)
        assert kept


def test_modules_in_a_zip_share_their_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "drivers.zip"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("toyfirst.py", TOY)
        written.writestr("toysecond.py", TOY)
    monkeypatch.syspath_prepend(str(archive))
    row = {"id": "toy/connection", "noun": "connection", "acquire": ["toyfirst.connect", "toysecond.connect"]}
    with Tracker(table_from([{"resource": [row]}])) as tracker:
        importlib.util.find_spec("toyfirst")
        second = importlib.import_module("toysecond")
        first = importlib.import_module("toyfirst")
        kept = first.connect(), second.connect()
        assert open_now(tracker) == 2
        assert kept
    for name in ("toyfirst", "toysecond"):
        sys.modules.pop(name)


def test_a_module_that_loads_on_first_use_is_left_to_it(toy: Path, toy_table: ResourceTable) -> None:
    (toy / "toylazy.py").write_text("raise RuntimeError('used')", encoding="utf-8")
    spec = importlib.util.find_spec("toylazy")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["toylazy"] = module
    spec.loader.exec_module(module)
    driver()
    try:
        with Tracker(toy_table):
            pass
    finally:
        del sys.modules["toylazy"]


def test_names_imported_before_and_after(toy: Path, toy_table: ResourceTable) -> None:
    toydriver = driver()
    user = types.ModuleType("toyuser")
    sys.modules["toyuser"] = user
    exec("from toydriver import *", vars(user))
    try:
        with Tracker(toy_table) as tracker:
            assert vars(user)["connect"] is toydriver.connect
            kept = vars(user)["connect"]()
            assert open_now(tracker) == 1
            assert kept
        assert vars(user)["connect"] is toydriver.connect
        assert not hasattr(toydriver.connect, "__wrapped__")
    finally:
        del sys.modules["toyuser"]


def test_what_tests_put_in_its_place(toy: Path, toy_table: ResourceTable, monkeypatch: pytest.MonkeyPatch) -> None:
    with Tracker(toy_table) as tracker:
        toydriver = driver()
        taken = toydriver.connect
        with monkeypatch.context() as patched:
            patched.setattr(toydriver, "connect", lambda: "fake")
            assert toydriver.connect() == "fake"
        assert toydriver.connect is taken
        monkeypatch.setattr(toydriver, "connect", lambda: "fake")
        assert open_now(tracker) == 0
    assert toydriver.connect() == "fake"


def test_mocks_are_not_asked_anything(toy: Path, toy_table: ResourceTable) -> None:
    with Tracker(toy_table) as tracker:
        toydriver = driver()
        with mock.patch.object(toydriver, "Connection") as made:
            connection = toydriver.connect()
            tracker.ledger.settle()
            assert connection is made.return_value
            assert connection.mock_calls == []


def test_a_hostile_result_comes_through(toy: Path, toy_table: ResourceTable) -> None:
    class Hostile:
        @property
        def __class__(self) -> type:  # type: ignore[override]
            raise RuntimeError("class")

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    with Tracker(toy_table) as tracker:
        toydriver = driver()
        hostile = Hostile()
        toydriver.Connection = lambda name: hostile
        assert toydriver.connect() is hostile
        assert open_now(tracker) == 1


def test_a_builtin_function_stays_one(tracker: Tracker) -> None:
    import _sqlite3

    assert sqlite3.connect is sqlite3.dbapi2.connect is _sqlite3.connect
    assert isinstance(sqlite3.connect, types.BuiltinFunctionType)
    assert inspect.isbuiltin(sqlite3.connect)
    assert repr(sqlite3.connect) == "<built-in function connect>"
    assert pickle.loads(pickle.dumps(sqlite3.connect)) is sqlite3.connect
    assert copy.deepcopy(sqlite3.connect) is sqlite3.connect
    assert sqlite3.connect.__module__ == "_sqlite3"
    assert (sqlite3.connect.__doc__ or "").startswith("Open")
    with pytest.raises(TypeError, match="missing required argument 'database'"):
        sqlite3.connect()  # type: ignore[call-overload]  # leakfix: allow[sqlite3/unclosed-connection] on purpose

    class Holder:
        connector = sqlite3.connect

    with Holder().connector(":memory:") as connection:  # leakfix: allow[sqlite3/unclosed-connection] on purpose
        assert type(connection) is sqlite3.Connection
    connection.close()


def test_classes_in_c_are_as_before(tracker: Tracker) -> None:
    original = "<method 'close' of 'sqlite3.Connection' objects>"
    connection = sqlite3.connect(":memory:")
    connection.close()
    with pytest.raises(TypeError, match=r"takes no arguments \(1 given\)"):
        connection.close(1)  # type: ignore[call-arg]
    assert sqlite3.Connection.close is not None
    tracker.stop()
    assert repr(sqlite3.Connection.close) == original
    assert type(sqlite3.connect) is types.BuiltinFunctionType


def test_signatures_of_constructors(tracker: Tracker) -> None:
    before = subprocess.run(
        [sys.executable, "-c", "import inspect, sqlalchemy.orm; print(inspect.signature(sqlalchemy.orm.Session))"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert str(inspect.signature(sqlalchemy.orm.Session)) == before.stdout.strip()


def test_proxies_round_connections(tracker: Tracker, fates: Fates) -> None:
    wrapt = pytest.importorskip("wrapt")

    def traced(wrapped: Any, instance: object, args: Any, kwargs: Any) -> Any:
        return wrapt.ObjectProxy(wrapped(*args, **kwargs))

    wrapt.wrap_function_wrapper(sqlalchemy, "create_engine", traced)
    try:

        def released() -> None:
            sqlalchemy.create_engine("sqlite://").dispose()

        def left() -> None:
            sqlalchemy.create_engine("sqlite://")  # leakfix: allow[sqlalchemy/engine-per-call] on purpose

        released()
        left()
    finally:
        sqlalchemy.create_engine = sqlalchemy.create_engine.__wrapped__  # type: ignore[attr-defined]
    assert fates() == {"traced": "until-gc"} or fates()["released"] == "released"


def test_a_proxy_that_was_there_before(toy: Path, toy_table: ResourceTable) -> None:
    wrapt = pytest.importorskip("wrapt")
    toydriver = driver()
    original = toydriver.connect
    wrapt.wrap_function_wrapper(
        toydriver, "connect", lambda wrapped, instance, args, kwargs: wrapt.ObjectProxy(wrapped(*args, **kwargs))
    )
    proxy = toydriver.connect
    with Tracker(toy_table) as tracker:
        assert isinstance(toydriver.connect, wrapt.FunctionWrapper)
        assert toydriver.connect.__wrapped__ is original
        connection = toydriver.connect()
        assert open_now(tracker) == 1
        connection.close()
        assert open_now(tracker) == 0
    assert toydriver.connect is proxy


def test_coroutine_functions_stay_so(toy: Path, toy_table: ResourceTable) -> None:
    text = '\n\nasync def lazy():\n    return Connection("lazy")\n'
    (toy / "toydriver.py").write_text(TOY + text, encoding="utf-8")
    with Tracker(toy_table) as tracker:
        toydriver = driver()
        assert inspect.iscoroutinefunction(toydriver.lazy)
        kept = asyncio.run(toydriver.lazy())
        assert open_now(tracker) == 1
        kept.close()
        assert open_now(tracker) == 0

        async def cancelled() -> None:
            task = asyncio.create_task(toydriver.lazy())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancelled())
        assert open_now(tracker) == 0
        assert not tracker.ledger.refusals


WALK = """
import importlib, importlib.util, json, sys, warnings
warnings.simplefilter("ignore")
from leakfix.config import Config
from leakfix.registry import Registry
from leakfix.runtime.points import points
from leakfix.runtime.tracker import Tracker

table = Registry.load(Config()).table
tracker = Tracker(table)
tracker.start()
for module in sorted(points(table)):
    try:
        importlib.import_module(module)
    except Exception:
        pass
patches = tracker._patches


def found(point, name):
    holder = sys.modules[name]
    for word in point.path:
        holder = vars(holder).get(word) if hasattr(holder, "__dict__") else None
    if holder is None:
        return None
    if point.method:
        value = next((vars(each)[point.method] for each in holder.__mro__ if point.method in vars(each)), None)
    else:
        value = holder.__init__ if isinstance(holder, type) else getattr(holder, "__func__", holder)
    return None if value is None else patches._is_ours(value)


answer = {}
for row in table.resources:
    for acquire in row.acquire:
        for name, each in points(type(table)(table.types, (row.__class__(row.id, row.noun, (acquire,)),))).items():
            for point in each:
                if name in sys.modules and (taken := found(point, name)) is not None:
                    answer.setdefault(acquire, []).append(taken)
print(json.dumps([answer, tracker.ledger.failures]))
tracker.stop()
"""


def test_every_name_of_an_installed_library_is_taken(registry: Registry, tmp_path: Path) -> None:
    """Those that are not are listed with their reasons."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WALK)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    answer, failures = json.loads(done.stdout)
    assert failures == {}
    assert {"sqlite3.connect", "sqlalchemy.orm.Session", "aiosqlite.connect"} <= set(answer)
    assert sorted(name for name, taken in answer.items() if not any(taken)) == sorted(set(NOT_TAKEN) & set(answer))


def test_points_of_all_rows_name_a_module_and_what_is_in_it(registry: Registry) -> None:
    for module, each in points(registry.table).items():
        assert module
        assert all(point.path and "" not in point.path for point in each)
