"""The fixture in conftest.py: where it goes, how it is written, and that it finds leaks."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from leakfix import engine as leakfix_engine
from leakfix.config import Config
from leakfix.registry import Registry

from .projects import ENGINE, Instrument, Write, contents

Tests = Callable[..., "subprocess.CompletedProcess[str]"]

DRIVER = "import sqlite3\n\n\ndef connect():\n    return sqlite3.connect('orders.db')\n"
DRIVER_TESTS = """\
from app.db import connect

kept = []


def test_leaks():
    kept.append(connect())
    connect().execute("select 1")


def test_clean():
    connect().close()


def test_leaks_too():
    connect().execute("select 1")
"""


@pytest.fixture
def driven(write: Write) -> Write:
    """A project without an engine."""
    write({"app/__init__.py": "", "app/db.py": DRIVER, "tests/test_orders.py": DRIVER_TESTS})
    return write


def outcomes(done: subprocess.CompletedProcess[str]) -> set[tuple[str, str]]:
    return set(re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE))


def test_a_test_that_keeps_a_connection_fails_and_a_clean_one_passes(
    shop: Write, instrument: Instrument, run_tests: Tests
) -> None:
    shop({"tests/__init__.py": ""})
    code, told, _ = instrument("conftest", "--yes")
    assert (code, told) == (0, "created  tests/conftest.py\n")
    done = run_tests()
    assert outcomes(done) == {("PASSED", "test_leaks"), ("ERROR", "test_leaks"), ("PASSED", "test_clean")}
    assert "this test left 1 of the pool's connections in use: close them" in done.stdout


def test_it_needs_no_leakfix(shop: Write, instrument: Instrument, run_tests: Tests, tree: Path) -> None:
    instrument("conftest", "--yes")
    assert "leakfix" not in (tree / "tests/conftest.py").read_text()
    assert ("ERROR", "test_leaks") in outcomes(run_tests(with_plugin=False))


def test_it_looks_after_other_autouse_fixtures_have_let_go(
    shop: Write, instrument: Instrument, run_tests: Tests
) -> None:
    late = """\
import pytest

from app.db import engine


@pytest.fixture(autouse=True)
def connections():
    opened = []
    yield opened
    for connection in opened:
        connection.close()


@pytest.fixture(scope="module", autouse=True)
def for_the_module():
    with engine.connect():
        yield
"""
    shop(
        {
            "tests/conftest.py": late,
            "tests/test_orders.py": "from app.db import engine\n\n\ndef test_late(connections):\n"
            "    connections.append(engine.connect())\n",
        }
    )
    assert instrument("conftest", "--yes")[0] == 0
    assert outcomes(run_tests()) == {("PASSED", "test_late")}


def test_twice_is_nothing(shop: Write, instrument: Instrument, tree: Path) -> None:
    instrument("conftest", "--yes")
    before = contents(tree)
    code, told, said = instrument("conftest", "--yes")
    assert (code, told) == (0, "")
    assert "tests/conftest.py looks for leaked connections already" in said
    assert contents(tree) == before


def test_only_an_insertion_in_the_style_of_the_file(shop: Write, instrument: Instrument, tree: Path) -> None:
    before = (
        "'''Shared.'''\r\nfrom __future__ import annotations\r\n\r\nimport os\r\n\r\nfrom app.db import engine\r\n"
        "\r\n\r\n"
        "def folder() -> str:\r\n\tif os.name:\r\n\t\treturn 'here'\r\n\treturn ''\r\n"
    )
    shop({"tests/conftest.py": before})
    assert instrument("conftest", "--yes")[0] == 0
    after = (tree / "tests/conftest.py").read_bytes().decode()
    assert "\n" not in after.replace("\r\n", "")
    assert "\tbefore = engine.pool.checkedout()\r\n\tyield\r\n" in after
    assert "def _no_leaked_connections() -> Iterator[None]:\r\n" in after
    assert "from app.db import engine" not in after[len(before) :]
    added = after[after.index("@pytest") :]
    assert '"' not in added.replace('"""', "")
    assert "    " not in added
    rest = iter(after)
    assert all(character in rest for character in before)
    ast.parse(after)


@pytest.mark.parametrize(
    "before",
    [b"", b"# nothing yet\n", b"# nothing yet", b'"""Shared."""', b"import pytest as pt\n\n\n", b"x = 1"],
)
def test_it_runs_behind_whatever_stands_there(
    shop: Write, instrument: Instrument, run_tests: Tests, tree: Path, before: bytes
) -> None:
    shop({"tests/conftest.py": before})
    instrument("conftest", "--yes")
    after = (tree / "tests/conftest.py").read_bytes()
    assert after.endswith(b"pytrace=False)\n")
    assert b"\n\n\n\n@" not in after
    assert ("ERROR", "test_leaks") in outcomes(run_tests())


def test_annotations_of_the_kind_the_file_has(shop: Write, instrument: Instrument, tree: Path) -> None:
    head = "from typing import Generator\n\nimport pytest\n\n\n"
    shop({"tests/conftest.py": head + "@pytest.fixture\ndef one() -> Generator[int, None, None]:\n    yield 1\n"})
    instrument("conftest", "--yes")
    assert "def _no_leaked_connections() -> Generator[None, None, None]:" in (tree / "tests/conftest.py").read_text()


def test_a_new_file_is_typed_where_the_tests_are(shop: Write, instrument: Instrument, tree: Path) -> None:
    shop({"tests/test_orders.py": "import app\n\n\ndef test_one() -> None:\n    assert app\n"})
    instrument("conftest", "--yes")
    text = (tree / "tests/conftest.py").read_text()
    assert text.startswith('"""What all tests share."""\n\nfrom collections.abc import Iterator\n\nimport pytest\n')


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pyproject.toml": '[tool.pytest.ini_options]\ntestpaths = ["c"]\n', "c/a.py": "import app"}, "c"),
        ({"pytest.ini": "[pytest]\ntestpaths = c/unit c/slow\n", "c/unit/a.py": "", "c/slow/a.py": ""}, "c"),
        ({"setup.cfg": "[tool:pytest]\ntestpaths = tests\n"}, "tests"),
        ({"tox.ini": "[pytest]\naddopts = -q\n"}, "tests"),
        ({"app/test_more.py": "import app\n"}, "."),
    ],
)  # fmt: skip
def test_the_conftest_above_all_tests(
    shop: Write, instrument: Instrument, files: dict[str, str], expected: str
) -> None:
    shop(files)
    _, told, _ = instrument("conftest", "--yes")
    assert told == f"created  {os.path.normpath(f'{expected}/conftest.py')}\n"


@pytest.mark.parametrize(
    ("files", "module"),
    [
        ({"src/shop/db.py": ENGINE, "pyproject.toml": '[build-system]\n[project]\nname = "shop"\n'}, "shop.db"),
        ({"lib/shop/db.py": ENGINE, "pytest.ini": "[pytest]\npythonpath = lib\n"}, "shop.db"),
        ({"server/shop/db.py": ENGINE, "tests/test_b.py": "from shop import db\n"}, "shop.db"),
        ({"shop/__init__.py": ENGINE, "conftest.py": ""}, "shop"),
    ],
)  # fmt: skip
def test_how_tests_import_the_engine(
    write: Write, instrument: Instrument, tree: Path, files: dict[str, str], module: str
) -> None:
    write({"tests/test_a.py": "def test_a():\n    pass\n", **files})
    code, _, said = instrument("conftest", "--yes")
    assert code == 0, said
    assert f"    from {module} import engine\n" in (tree / "tests/conftest.py").read_text()


def test_an_engine_that_no_test_can_import(write: Write, instrument: Instrument) -> None:
    write({"server/db.py": ENGINE, "tests/test_a.py": "def test_a():\n    pass\n"})
    assert (
        "as nothing shows how tests could import server/db.py; would write"
        in instrument("conftest", "--diff")[1] + instrument()[1]
    )


def test_the_plugin_where_there_is_no_engine(driven: Write, instrument: Instrument, run_tests: Tests) -> None:
    driven({"requirements-dev.txt": "-r requirements.txt\npytest"})
    code, told, _ = instrument("conftest", "--yes")
    assert (code, told) == (0, "changed  requirements-dev.txt\ncreated  tests/conftest.py\n")
    done = run_tests()
    assert ("PASSED", "test_clean") in outcomes(done)
    failed = {name for outcome, name in outcomes(done) if outcome == "ERROR"}
    assert failed == {"test_leaks", "test_leaks_too"}
    assert "acquired at" in done.stdout


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"app/more.py": ENGINE}, "several engines are made, in app/db.py, app/more.py"),
        ({"tests/conftest.py": ENGINE}, "several engines are made, in app/db.py, tests/conftest.py"),
        ({"app/db.py": ENGINE.replace("QueuePool)", "StaticPool)")}, "may be one that does not count"),
        ({"app/db.py": ENGINE.replace(", poolclass=QueuePool", "")}, "may be one that does not count"),
        ({"app/db.py": ENGINE.replace("poolclass=QueuePool", "**options")}, "may be one that does not count"),
        ({"app/db.py": ENGINE.replace("engine = ", "def make():\n    return ")}, "not made in a variable"),
        ({"app/db.py": DRIVER}, "no engine with a pool is made in a variable of a module"),
    ],
)  # fmt: skip
def test_why_the_plugin(shop: Write, instrument: Instrument, second: dict[str, str], why: str) -> None:
    shop(second)
    told = instrument()[1].split("\nci:")[0]
    assert "a fixture of leakfix's pytest plugin, as" in told
    assert why in told
    assert "leakfix has to be installed wherever these tests run" in told


@pytest.mark.parametrize("address", ['"postgresql://db/orders"', 'os.environ["DATABASE_URL"]', "settings.url", "DSN"])
def test_a_server_has_a_pool_that_counts(write: Write, instrument: Instrument, address: str) -> None:
    text = f'import os\nimport sqlmodel\nDSN = "mysql://db/orders"\nengine = sqlmodel.create_engine({address})\n'
    write({"app/db.py": text, "tests/test_a.py": "import app.db\n"})
    assert "a fixture that counts the connections in use of the engine in app/db.py" in instrument()[1]


@pytest.mark.parametrize(
    ("before", "added"),
    [
        ('[dependency-groups]\ndev = ["ruff"]\ntest = ["pytest"]\n', 'test = ["pytest", "leakfix>='),
        ('[project]\nname = "a"\n[project.optional-dependencies]\ntests = [\n  "pytest",\n]\n', '  "leakfix>='),
        ('[tool.poetry.group.dev.dependencies]\npytest = "^8"\n', 'leakfix = ">='),
        ('[tool.pdm.dev-dependencies]\ntest = ["pytest"]\n', '"leakfix>='),
        ('[tool.uv]\ndev-dependencies = ["pytest"]\n', '"leakfix>='),
    ],
)
def test_the_list_of_what_tests_need(
    driven: Write, instrument: Instrument, tree: Path, before: str, added: str
) -> None:
    driven({"pyproject.toml": before, "uv.lock": ""})
    _, told, said = instrument("conftest", "--yes")
    assert told.startswith("changed  pyproject.toml\n")
    assert added in (tree / "pyproject.toml").read_text()
    assert "uv.lock is to be renewed: `uv lock`" in said


def test_pinned_requirements_are_left_alone(driven: Write, instrument: Instrument, tree: Path) -> None:
    pinned = "# autogenerated by pip-compile\npytest==8.0\n"
    driven({"requirements-dev.txt": pinned})
    assert "leakfix has to be installed" in instrument("conftest", "--yes")[2]
    assert (tree / "requirements-dev.txt").read_text() == pinned


@pytest.mark.parametrize(
    ("files", "why", "code"),
    [
        ({"pytest.ini": "[pytest]\nleakfix = true\n"}, "pytest.ini switches leakfix on for every test", 0),
        ({"tox.ini": "[pytest]\naddopts = -q --leakfix\n"}, "tox.ini switches leakfix on for every test", 0),
        ({"tests/unit/conftest.py": "# pool.checkedout()\n"}, "tests/unit/conftest.py looks for leaked", 0),
        ({"tests/conftest.py": "def broken(:\n"}, "tests/conftest.py cannot be read", 1),
        ({"tests/conftest.py": b"# -*- coding: ascii -*-\n# \xff\n"}, "tests/conftest.py cannot be read", 1),
    ],
)
def test_nothing_is_written(
    shop: Write, instrument: Instrument, tree: Path, files: dict[str, str | bytes], why: str, code: int
) -> None:
    shop(files)
    before = contents(tree)
    done, told, said = instrument("conftest", "--yes")
    assert (done, told) == (code, "")
    assert why in said
    assert contents(tree) == before


def test_without_tests_or_database(write: Write, instrument: Instrument) -> None:
    write({"app/db.py": ENGINE})
    assert "there are no tests in which a fixture could run" in instrument("conftest", "--yes")[2]
    write({"app/db.py": "import json\n", "tests/test_a.py": "import app\n"})
    assert "nothing here imports a library that opens database connections" in instrument("conftest", "--yes")[2]


def test_a_plugin_that_old_pythons_lack(driven: Write, instrument: Instrument) -> None:
    driven({"pyproject.toml": '[project]\nname = "a"\nrequires-python = ">=3.9"\n'})
    code, _, said = instrument("conftest", "--yes")
    assert code == 1
    assert "needs Python 3.11, where this project runs on 3.9, too: run `pytest --leakfix` in CI instead" in said


def test_a_file_that_may_not_be_written(shop: Write, instrument: Instrument, tree: Path) -> None:
    shop({"tests/conftest.py": "import os\n"})
    (tree / "tests/conftest.py").chmod(0o444)
    code, _, said = instrument("conftest", "--yes")
    assert code == 2
    assert "tests/conftest.py: not written: is read-only" in said


def test_a_folder_that_leads_away(
    shop: Write, instrument: Instrument, tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (tree / "monitoring").symlink_to(elsewhere)
    code, _, said = instrument("alerts", "--yes")
    assert code == 2
    assert "link to a file outside" in said
    assert list(elsewhere.iterdir()) == []


def test_leakfix_is_silent_on_it(shop: Write, instrument: Instrument, registry: Registry, tree: Path) -> None:
    instrument("conftest", "--yes")
    report = leakfix_engine.check(["tests/conftest.py"], Config(), registry, jobs=1)
    assert (report.findings, report.errors) == ((), ())


def test_the_diff_is_what_git_applies(
    shop: Write, instrument: Instrument, git: Callable[..., None], tree: Path
) -> None:
    shop({"tests/conftest.py": "import os\n"})
    code, diff, _ = instrument("--diff")
    assert code == 1
    (tree / ".git" / "change.patch").write_text(diff)
    git("apply", ".git/change.patch")
    applied = contents(tree)
    git("apply", "-R", ".git/change.patch")
    instrument("conftest", "alerts", "--yes")
    assert {name: data for name, data in contents(tree).items() if ".git/" not in name} == {
        name: data for name, data in applied.items() if ".git/" not in name
    }
