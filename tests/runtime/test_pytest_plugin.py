"""``pytest --leakfix``: tests that leave something open fail and say where; ordinary suites pass."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence

import pytest

pytest_plugins = ["pytester"]

IMPORTS = """
import contextlib, functools, sqlite3, threading
import pytest
import sqlalchemy
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool
"""

PLAIN = "-pno:cacheprovider", "-pleakfix.pytest_plugin", "-Wignore"
PLUGINS = {
    "anyio": "anyio.pytest_plugin",
    "pytest_asyncio": "pytest_asyncio.plugin",
    "pytest_django": "pytest_django.plugin",
    "xdist": "xdist.plugin",
}


class Suite:
    """A suite of tests that runs in a process of its own, with the plugin."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def __call__(self, text: str, *options: str, needs: Sequence[str] = (), on: bool = True) -> pytest.RunResult:
        missing = [name for name in needs if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")
        self.pytester.makepyfile(test_suite=IMPORTS + text)
        switch = ["--leakfix"] if on else []
        plugins = [f"-p{PLUGINS[name]}" for name in needs if name in PLUGINS]
        return self.pytester.runpytest_subprocess(*PLAIN, *plugins, *switch, *options, timeout=60)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # what else is installed takes long to load
    return Suite(pytester)


def test_who_leaves_something_open_fails_and_says_where(suite: Suite) -> None:
    done = suite("""
def helper():
    return sqlite3.connect(":memory:")
def test_leaks():
    kept.append(helper())
def test_drops():
    helper()
def test_closes():
    helper().close()
kept = []
""")
    done.assert_outcomes(passed=3, errors=2)
    done.stdout.fnmatch_lines(
        ["*leakfix: left open by this test*", "*still open, acquired at*", "*test_suite.py:8 in helper*"]
    )
    done.stdout.fnmatch_lines(["*left open, by acquiring line*", "test_suite.py:8 in helper: 2 of 3 not released*"])
    assert done.ret == 1


ORDINARY = {
    "a module's engine": """
engine = sqlalchemy.create_engine("sqlite://")
def test_one():
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))
    with Session(engine) as session:
        session.execute(sqlalchemy.text("select 1"))
""",
    "a global made on first use": """
_engine = None
def engine():
    global _engine
    if _engine is None:
        _engine = sqlalchemy.create_engine("sqlite://")
    return _engine
def test_one():
    engine().connect().close()
def test_two():
    engine().connect().close()
""",
    "a cached function": """
@functools.lru_cache
def engine():
    return sqlalchemy.create_engine("sqlite://")
@functools.cache
def connection(name):
    return sqlite3.connect(name)
def test_one():
    engine().connect().close()
    connection(":memory:").execute("select 1")
""",
    "attributes of lasting objects": """
class Database:
    shared = None
    def __init__(self):
        self.parts = {}
    @functools.cached_property
    def engine(self):
        return sqlalchemy.create_engine("sqlite://")
    def part(self, name):
        return self.parts.setdefault(name, sqlalchemy.create_engine("sqlite://"))
    @classmethod
    def get(cls):
        cls.shared = cls.shared or cls()
        return cls.shared
database = Database()
def test_one():
    database.engine.connect().close()
    database.part("one").connect().close()
    Database.get().engine.connect().close()
""",
    "one for each thread": """
local = threading.local()
def connection():
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(":memory:")
    return local.connection
def test_one():
    connection().execute("select 1")
def test_two():
    connection().execute("select 1")
""",
    "fixtures of all scopes": """
@pytest.fixture(scope="session")
def engine():
    return sqlalchemy.create_engine("sqlite:///file.db")
@pytest.fixture(scope="module")
def tables(engine):
    connection = engine.connect()
    yield connection
    connection.close()
@pytest.fixture(scope="class")
def second():
    engine = sqlalchemy.create_engine("sqlite://")
    yield engine
    engine.dispose()
@pytest.fixture
def session(engine, tables):
    with Session(engine) as session:
        yield session
@pytest.fixture
def opened(request):
    connection = sqlite3.connect(":memory:")
    request.addfinalizer(connection.close)
    return connection
class TestAll:
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_one(self, session, opened, second, number):
        session.execute(sqlalchemy.text("select 1"))
    def test_two(self, session, second):
        second.connect().close()
""",
    "a session joined to a transaction": """
engine = sqlalchemy.create_engine("sqlite://", poolclass=StaticPool)
@pytest.fixture
def session():
    connection = engine.connect()
    transaction = connection.begin()
    session = Session(bind=connection)
    yield session
    transaction.rollback()
    connection.close()
@pytest.fixture
def made():
    return sqlalchemy.create_engine("sqlite://", poolclass=StaticPool)
def test_one(session, made):
    session.execute(sqlalchemy.text("select 1"))
def test_two(session):
    session.execute(sqlalchemy.text("select 1"))
""",
    "a scoped session": """
engine = sqlalchemy.create_engine("sqlite://")
db = scoped_session(sessionmaker(engine))
@pytest.fixture(autouse=True)
def removed():
    yield
    db.remove()
def test_one():
    db.execute(sqlalchemy.text("select 1"))
    db().execute(sqlalchemy.text("select 1"))
""",
    "unittest": """
import unittest
class TestIt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = sqlite3.connect(":memory:")
    @classmethod
    def tearDownClass(cls):
        cls.shared.close()
    def setUp(self):
        self.own = sqlite3.connect(":memory:")
        self.cleaned = sqlite3.connect(":memory:")
        self.addCleanup(self.cleaned.close)
    def tearDown(self):
        self.own.close()
    def test_one(self):
        self.own.execute("select 1")
        self.shared.execute("select 1")
    def test_two(self):
        self.enterContext(contextlib.closing(sqlite3.connect(":memory:")))
""",
    "setup functions": """
def setup_module(module):
    module.connection = sqlite3.connect(":memory:")
def teardown_module(module):
    module.connection.close()
def setup_function(function):
    function.connection = sqlite3.connect(":memory:")
def teardown_function(function):
    function.connection.close()
def test_one():
    connection.execute("select 1")
""",
    "monkeypatched drivers": """
from unittest import mock
def test_one(monkeypatch):
    class Fake:
        def execute(self, text): return text
    monkeypatch.setattr(sqlite3, "connect", lambda *_: Fake())
    assert sqlite3.connect("x").execute("y") == "y"
def test_two():
    with mock.patch("sqlite3.connect") as connect:
        sqlite3.connect("x").execute("y")
    assert connect.mock_calls == [mock.call("x"), mock.call().execute("y")]
    with mock.patch("sqlite3.connect", autospec=True) as connect:
        sqlite3.connect("x")
def test_three(monkeypatch):
    made = []
    original = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: made.append(original(":memory:")) or made[-1])
    sqlite3.connect("somewhere").close()
""",
}


def test_ordinary_suites_pass(suite: Suite) -> None:
    files = {"test_" + name.replace(" ", "_").replace("'", ""): IMPORTS + text for name, text in ORDINARY.items()}
    suite.pytester.makepyfile(**files)
    done = suite("")
    assert done.ret == 0, done.stdout.str()
    done.stdout.no_fnmatch_line("*leakfix:*")


def test_wider_fixtures_are_told_where_they_end(suite: Suite) -> None:
    done = suite("""
@pytest.fixture(scope="module")
def left():
    kept.append(sqlite3.connect(":memory:"))
@pytest.fixture(scope="class")
def dropped():
    sqlite3.connect(":memory:")
kept = []
class TestIt:
    def test_one(self, left, dropped):
        pass
    def test_two(self, left, dropped):
        pass
def test_three(left):
    pass
""")
    done.assert_outcomes(passed=3, errors=2)
    done.stdout.no_fnmatch_line("*2 left open*")
    done.stdout.fnmatch_lines(["*ERROR at teardown of TestIt.test_two*", "*ERROR at teardown of test_three*"])


def test_who_fails_anyway_fails_once(suite: Suite) -> None:
    done = suite("""
kept = []
@pytest.fixture
def broken():
    kept.append(sqlite3.connect(":memory:"))
    raise ValueError
def test_fails():
    kept.append(sqlite3.connect(":memory:"))
    assert False
def test_skips():
    kept.append(sqlite3.connect(":memory:"))
    pytest.skip("later")
@pytest.mark.xfail(raises=ZeroDivisionError, strict=True)
def test_expected():
    kept.append(sqlite3.connect(":memory:"))
    1 / 0
@pytest.mark.skip
def test_never():
    pass
def test_setup(broken):
    pass
""")
    done.assert_outcomes(failed=1, skipped=2, xfailed=1, errors=1)


def test_marks(suite: Suite) -> None:
    done = suite("""
kept = []
def keep():
    kept.append(sqlite3.connect(":memory:"))
@pytest.mark.leakfix(off=True)
def test_off():
    keep()
@pytest.mark.leakfix(allow="sqlite3/*")
def test_allowed():
    keep()
@pytest.mark.leakfix(allow=["psycopg2/connection"])
def test_another():
    keep()
""")
    done.assert_outcomes(passed=3, errors=1)
    done.stdout.fnmatch_lines(["*3 of 3 not released*", "    test_suite.py::test_another"])


def test_switched_on_by_single_tests(suite: Suite) -> None:
    done = suite(
        """
kept = []
def keep():
    kept.append(sqlite3.connect(":memory:"))
def test_plain():
    keep()
@pytest.mark.leakfix
def test_marked():
    keep()
def test_between():
    keep()
def test_asking(leakfix):
    assert len(leakfix) == 0
    keep()
    assert (len(leakfix), leakfix.resources) == (1, ["sqlite3/connection"])
    kept.pop().close()
    assert len(leakfix) == 0
def test_asking_and_leaking(leakfix):
    keep()
""",
        on=False,
    )
    done.assert_outcomes(passed=5, errors=2)


def test_the_ini_option_and_the_report(suite: Suite) -> None:
    suite.pytester.makeini("[pytest]\nleakfix = true\n")
    done = suite("def test_it():\n    sqlite3.connect(':memory:')\n", "--leakfix-report=json", on=False)
    done.assert_outcomes(passed=1, errors=1)
    report = json.loads((suite.pytester.path / "leakfix-report.json").read_text("utf-8"))
    (site,) = report["sites"]
    assert (site["path"], site["tests"], site["held"]) == ("test_suite.py", ["test_suite.py::test_it"], "until-gc")


def test_a_report_that_cannot_be_written(suite: Suite) -> None:
    done = suite("def test_it():\n    pass\n", "--leakfix-report=no/such/folder.json")
    assert done.ret != 0
    assert "--leakfix-report" in done.stderr.str() + done.stdout.str()


def test_ending_early(suite: Suite) -> None:
    text = """
kept = []
@pytest.mark.parametrize("number", range(5))
def test_it(number):
    kept.append(sqlite3.connect(":memory:"))
"""
    suite(text, "--maxfail=2").assert_outcomes(passed=2, errors=2)


def test_collection_errors_and_no_tests(suite: Suite) -> None:
    assert suite("raise ValueError\n").ret == 2
    assert suite("").ret == 5


def test_hold(suite: Suite) -> None:
    text = """
def test_it():
    sqlite3.connect(":memory:")
    def inner():
        with contextlib.closing(sqlite3.connect(":memory:")):
            pass
    inner()
"""
    done = suite(text, "--leakfix-hold")
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*1 of 1 not released*"])


def test_several_processes(suite: Suite) -> None:
    done = suite(
        """
@pytest.mark.parametrize("number", range(4))
def test_it(number):
    sqlite3.connect(":memory:")
""",
        "-n2",
        "--leakfix-report=seen.json",
        needs=["xdist"],
    )
    done.assert_outcomes(passed=4, errors=4)
    done.stdout.fnmatch_lines(["*4 of 4 not released*"])
    report = json.loads((suite.pytester.path / "seen.json").read_text("utf-8"))
    assert (report["sites"][0]["acquired"], len(report["sites"][0]["tests"])) == (4, 4)


def test_asyncio(suite: Suite) -> None:
    done = suite(
        """
import pytest_asyncio, aiosqlite
@pytest_asyncio.fixture
async def connection():
    async with aiosqlite.connect(":memory:") as connection:
        yield connection
@pytest.mark.asyncio
async def test_good(connection):
    await connection.execute("select 1")
@pytest.mark.asyncio
async def test_bad(connection):
    kept.append(await aiosqlite.connect(":memory:"))
@pytest.mark.asyncio
async def test_last():
    await kept.pop().close()
kept = []
""",
        needs=["pytest_asyncio", "aiosqlite"],
    )
    done.assert_outcomes(passed=3, errors=1)
    done.stdout.fnmatch_lines(["*test_suite.py:* in test_bad*"])


def test_anyio(suite: Suite) -> None:
    done = suite(
        """
@pytest.fixture
def anyio_backend():
    return "asyncio"
@pytest.fixture
async def connection():
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        yield connection
@pytest.mark.anyio
async def test_good(connection):
    connection.execute("select 1")
@pytest.mark.anyio
async def test_bad():
    sqlite3.connect(":memory:")
""",
        "-p",
        "no:asyncio",
        needs=["anyio"],
    )
    done.assert_outcomes(passed=2, errors=1)


def test_django(suite: Suite) -> None:
    suite.pytester.makepyfile(
        settings="""
SECRET_KEY = "x"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
ROOT_URLCONF = "urls"
USE_TZ = True
""",
        urls="""
from django.db import connection
from django.http import HttpResponse
from django.urls import path
def good(request):
    with connection.cursor() as cursor:
        cursor.execute("select 1")
        return HttpResponse(str(cursor.fetchone()[0]))
def bad(request):
    cursor = connection.cursor()
    cursor.execute("select 1")
    return HttpResponse(str(cursor.fetchone()[0]))
urlpatterns = [path("good", good), path("bad", bad)]
""",
    )
    done = suite(
        """
@pytest.mark.django_db
def test_models(client):
    from django.contrib.auth.models import User
    User.objects.create(username="a")
    assert User.objects.count() == 1
    assert client.get("/good").content == b"1"
@pytest.mark.django_db(transaction=True)
def test_bad(client):
    client.get("/bad")
""",
        "--ds=settings",
        needs=["pytest_django", "django"],
    )
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["*urls.py:* in bad*"])


def test_fastapi(suite: Suite) -> None:
    done = suite(
        """
from contextlib import asynccontextmanager
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

engine = sqlalchemy.create_engine("sqlite:///app.db")
def session():
    with Session(engine) as session:
        yield session
@asynccontextmanager
async def lifespan(app):
    app.state.pool = sqlalchemy.create_engine("sqlite://")
    yield
    app.state.pool.dispose()
app = FastAPI(lifespan=lifespan)
@app.get("/good")
def good(session: Session = Depends(session)):
    return session.execute(sqlalchemy.text("select 1")).scalar()
@app.get("/asynchronous")
async def asynchronous(session: Session = Depends(session)):
    return session.execute(sqlalchemy.text("select 1")).scalar()
@app.get("/bad")
def bad():
    return Session(engine).execute(sqlalchemy.text("select 1")).scalar()
@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client
def test_good(client):
    assert client.get("/good").json() == client.get("/asynchronous").json() == 1
def test_bad(client):
    assert client.get("/bad").json() == 1
""",
        needs=["fastapi", "httpx"],
    )
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["*test_suite.py:* in *bad*"])


def test_flask(suite: Suite) -> None:
    done = suite(
        """
import flask
def create_app():
    app = flask.Flask("app")
    def db():
        if "db" not in flask.g:
            flask.g.db = sqlite3.connect(":memory:")
        return flask.g.db
    @app.teardown_appcontext
    def close(error):
        if (db := flask.g.pop("db", None)) is not None:
            db.close()
    @app.get("/good")
    def good():
        return str(db().execute("select 1").fetchone()[0])
    @app.get("/bad")
    def bad():
        return str(sqlite3.connect(":memory:").execute("select 1").fetchone()[0])
    return app
@pytest.fixture
def client():
    return create_app().test_client()
def test_good(client):
    assert client.get("/good").text == "1"
def test_bad(client):
    assert client.get("/bad").text == "1"
""",
        needs=["flask"],
    )
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["*test_suite.py:* in *bad*"])


def test_below_another_tracker(suite: Suite) -> None:
    """``leakfix run -- pytest --leakfix``: both see everything."""
    suite.pytester.makepyfile(test_suite=IMPORTS + "def test_it():\n    sqlite3.connect(':memory:')\n")
    inner = [sys.executable, "-m", "pytest", "--leakfix", *PLAIN]
    done = suite.pytester.run(sys.executable, "-m", "leakfix", "run", "--", *inner, timeout=60)
    done.assert_outcomes(passed=1, errors=1)
    done.stderr.fnmatch_lines(["*test_suite.py:* in test_it: 1 of 1 not released*"])


def test_settings_that_are_wrong_are_told_in_words(suite: Suite) -> None:
    suite.pytester.makefile(".toml", leakfix="selekt = 1\n")
    result = suite(IMPORTS + "def test_it():\n    pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*selekt*"])
    result.stderr.no_fnmatch_line("*Traceback*")
