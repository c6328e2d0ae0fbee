"""The job for CI: what it installs, which servers it starts, and that its file is valid."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .projects import Instrument, Write, contents

GITHUB = ".github/workflows/connection-leaks.yml"
GITLAB = ".gitlab/connection-leaks.yml"
_SCHEMAS = shutil.which("check-jsonschema")
_LINTER = shutil.which("actionlint")
PROJECT = '[project]\nname = "a"\n'
POSTGRESQL = 'DSN = "postgresql+asyncpg://{}@{}/orders"\n'

KINDS: dict[str, tuple[dict[str, str], list[str], str]] = {
    "nothing": ({}, ["python -m pip install pytest leakfix"], ""),
    "requirements": (
        {"requirements.txt": "sqlalchemy\n", "requirements-test.txt": "pytest>=8\n"},
        ["python -m pip install -r requirements.txt -r requirements-test.txt", "python -m pip install leakfix"],
        "",
    ),
    "extras": (
        {"pyproject.toml": f'[build-system]\n{PROJECT}[project.optional-dependencies]\ntest = ["pytest", "leakfix"]\n'},
        ['python -m pip install -e ".[test]"'],
        "",
    ),
    "groups": (
        {"pyproject.toml": PROJECT + '[dependency-groups]\ndev = ["pytest"]\n'},
        [
            "python -m pip install --upgrade pip",
            "python -m pip install --group dev",
            "python -m pip install leakfix",
        ],
        "",
    ),
    "uv": (
        {"uv.lock": "", "pyproject.toml": PROJECT + '[dependency-groups]\ndev = ["ruff"]\ntest = ["pytest"]\n'},
        ["python -m pip install uv", "uv sync --locked --group test"],
        "uv run --no-sync --with leakfix ",
    ),
    "poetry": (
        {
            "poetry.lock": "",
            "pyproject.toml": "[tool.poetry.group.dev]\noptional = true\n"
            '[tool.poetry.group.dev.dependencies]\npytest = "*"\n',
        },
        ["python -m pip install poetry", "poetry install --with dev", "poetry run python -m pip install leakfix"],
        "poetry run ",
    ),
    "pdm": (
        {"pdm.lock": "", "pyproject.toml": PROJECT + '[project.optional-dependencies]\ntest = ["pytest"]\n'},
        [
            "python -m pip install pdm",
            "pdm install --frozen-lockfile -G test",
            "pdm run python -m ensurepip && pdm run python -m pip install leakfix",
        ],
        "pdm run ",
    ),
}


@pytest.fixture
def hosted(write: Write) -> Write:
    """A project whose CI runs on both services."""
    write({".github/dependabot.yml": "", ".gitlab-ci.yml": "", "app.py": "import sqlite3\n"})
    return write


def valid(tree: Path) -> None:
    """Ask the published schemas, where the program that has them is installed."""
    if _SCHEMAS is None:
        return
    for schema, file in (("github-workflows", GITHUB), ("gitlab-ci", GITLAB)):
        if (tree / file).exists():
            command = [_SCHEMAS, "--builtin-schema", f"vendor.{schema}", str(tree / file)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_it_installs_as_the_project_does(hosted: Write, instrument: Instrument, tree: Path, kind: str) -> None:
    files, install, runner = KINDS[kind]
    hosted(files)
    code, told, _ = instrument("ci", "--yes")
    assert (code, told) == (0, f"created  {GITHUB}\ncreated  {GITLAB}\n")
    text = (tree / GITHUB).read_text()
    block = text.partition("run: |\n")[2].partition("      - name")[0]
    assert [line.strip() for line in block.splitlines()] == install
    assert f"run: {runner}leakfix check .\n" in text
    assert f"run: {runner}pytest --leakfix\n" in text
    assert "permissions:\n  contents: read\n" in text
    assert "services" not in text
    for command in (*install, f"{runner}pytest --leakfix"):
        assert command in (tree / GITLAB).read_text().replace('\\"', '"')
    valid(tree)


@pytest.mark.skipif(_SCHEMAS is None, reason="check-jsonschema is not installed")
def test_the_schema_refuses_what_is_no_workflow(write: Write, tree: Path) -> None:
    write({GITHUB: "on: push\njobs: []\n"})
    with pytest.raises(AssertionError):
        valid(tree)


@pytest.mark.skipif(_LINTER is None, reason="actionlint is not installed")
def test_actionlint_has_nothing_to_say(hosted: Write, instrument: Instrument, tree: Path) -> None:
    instrument("ci", "--yes")
    subprocess.run([_LINTER or "", str(tree / GITHUB)], check=True, timeout=60)


@pytest.mark.parametrize(
    ("files", "python"),
    [
        ({}, "3.12"),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.13"\n'}, "3.13"),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.8,<3.14"\n'}, "3.11"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.12"\n'}, "3.12"),
        ({"setup.cfg": "[options]\npython_requires = >=3.9\n"}, "3.11"),
        ({".python-version": "3.13.1\n"}, "3.13"),
    ],
)
def test_the_python_of_the_project(
    hosted: Write, instrument: Instrument, tree: Path, files: dict[str, str], python: str
) -> None:
    hosted(files)
    instrument("ci", "--yes")
    pinned = ".python-version" in files
    wanted = "python-version-file: .python-version" if pinned else f'python-version: "{python}"'
    assert f"          {wanted}\n" in (tree / GITHUB).read_text()
    assert f"  image: python:{python}\n" in (tree / GITLAB).read_text()
    valid(tree)


@pytest.mark.parametrize(
    "files", [{".python-version": "3.10\n"}, {"pyproject.toml": '[project]\nrequires-python = ">=3.8,<3.11"\n'}]
)
def test_a_python_that_leakfix_does_not_run_on(hosted: Write, instrument: Instrument, files: dict[str, str]) -> None:
    hosted(files)
    code, _, said = instrument("ci", "--yes")
    assert code == 1
    assert "leakfix needs Python 3.11, which this project excludes" in said


def test_a_server_that_driver_and_settings_speak_of(hosted: Write, instrument: Instrument, tree: Path) -> None:
    settings = (
        'import os\nURL = os.environ["DATABASE_URL"]\nHOST = os.getenv("POSTGRES_HOST")\nos.getenv("PGPASSWORD")\n'
    )
    hosted(
        {"requirements.txt": "asyncpg>=0.30\n", "app.py": settings + POSTGRESQL.format("shop:real", "db.shop.example")}
    )
    code, _, said = instrument("ci", "--yes")
    assert code == 0
    text = (tree / GITHUB).read_text()
    assert "        image: postgres:17\n        env:\n          POSTGRES_PASSWORD: test\n" in text
    assert '      DATABASE_URL: "postgresql+asyncpg://postgres:test@localhost:5432/test"\n' in text
    assert "      POSTGRES_HOST: localhost\n" in text
    assert "      PGPASSWORD: test\n" in text
    assert "real" not in text
    other = (tree / GITLAB).read_text()
    assert "  services:\n    - name: postgres:17\n      alias: postgres\n" in other
    assert "@postgres:5432/test" in other
    assert "driver is required" not in said
    valid(tree)


def test_an_address_of_this_machine_is_kept(hosted: Write, instrument: Instrument, tree: Path) -> None:
    hosted({"requirements.txt": "asyncpg\n", "app.py": POSTGRESQL.format("postgres:postgres", "localhost:5432")})
    _, _, said = instrument("ci", "--yes")
    assert "POSTGRES_DB: orders" in (tree / GITHUB).read_text()
    assert "the job has it at postgresql+asyncpg://postgres:postgres@localhost:5432/orders" in said


def test_mysql_by_what_django_is_set_to(hosted: Write, instrument: Instrument, tree: Path) -> None:
    settings = 'DATABASES = {"default": {"ENGINE": "django.db.backends.mysql", "HOST": env("DB_HOST")}}\n'
    hosted({"requirements.txt": "mysqlclient\n", "shop/settings.py": settings})
    instrument("ci", "--yes")
    text = (tree / GITHUB).read_text()
    assert "image: mysql:8.4" in text
    assert '--health-cmd "mysqladmin ping --host=127.0.0.1 --password=test"' in text
    assert "      DB_HOST: localhost\n" in text
    valid(tree)


def test_fields_of_settings_are_variables(hosted: Write, instrument: Instrument, tree: Path) -> None:
    hosted(
        {
            "requirements.txt": "psycopg2-binary\n",
            "app.py": 'class Settings(BaseSettings):\n    database_url: str = "postgresql://db/x"\n',
        }
    )
    instrument("ci", "--yes")
    assert '      DATABASE_URL: "postgresql://postgres:test@localhost:5432/test"\n' in (tree / GITHUB).read_text()


@pytest.mark.parametrize(
    "files", [{"requirements.txt": "asyncpg\n"}, {"app.py": POSTGRESQL.format("a:b", "localhost")}]
)
def test_no_server_on_half_the_evidence(
    hosted: Write, instrument: Instrument, tree: Path, files: dict[str, str]
) -> None:
    hosted(files)
    _, _, said = instrument("ci", "--yes")
    assert "services" not in (tree / GITHUB).read_text()
    assert ("no PostgreSQL is started: a driver is required, but no setting speaks of it" in said) == (
        "requirements.txt" in files
    )


@pytest.mark.parametrize(
    ("main", "stage"),
    [("", "test"), ("stages: [build, unit-tests]\n", "unit-tests"), ("stages:\n  - lint\n  - deploy\n", "lint")],
)
def test_gitlab_has_a_stage_of_the_pipeline(
    write: Write, instrument: Instrument, tree: Path, main: str, stage: str
) -> None:
    write({".gitlab-ci.yml": main, "app.py": ""})
    _, told, said = instrument("ci", "--yes")
    assert told == f"created  {GITLAB}\n"
    assert f"add to .gitlab-ci.yml, below `include:`, the line `- local: {GITLAB}`" in said
    assert f"  stage: {stage}\n" in (tree / GITLAB).read_text()
    assert (tree / ".gitlab-ci.yml").read_text() == main


def test_twice_is_nothing(hosted: Write, instrument: Instrument, tree: Path) -> None:
    hosted({".gitlab-ci.yml": f"include:\n  - local: {GITLAB}\n"})
    instrument("ci", "--yes")
    before = contents(tree)
    code, told, said = instrument("ci", "--yes")
    assert (code, told) == (0, "")
    assert f"{GITHUB} is there already" in said
    assert "add to" not in said
    assert contents(tree) == before


def test_where_ci_is_not_known(write: Write, instrument: Instrument) -> None:
    write({"app.py": ""})
    code, _, said = instrument("ci", "--yes")
    assert code == 1
    assert "neither .github nor .gitlab-ci.yml is here" in said


@pytest.mark.parametrize("url", ["https://github.com/shop/orders", "git@github.com:shop/orders.git"])
def test_a_remote_at_github(write: Write, instrument: Instrument, git: Callable[..., None], url: str) -> None:
    write({"app.py": ""})
    git("remote", "add", "origin", url)
    assert instrument("ci", "--yes")[1] == f"created  {GITHUB}\n"


def test_a_folder_of_a_repository(
    write: Write, instrument: Instrument, git: Callable[..., None], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"backend/app.py": "", "backend/.gitlab-ci.yml": ""})
    monkeypatch.chdir(tree / "backend")
    assert "CI reads its files in the top folder of the repository only" in instrument("ci", "--yes")[2]
