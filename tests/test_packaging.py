"""What is published: a wheel and a source distribution that hold all they should, and a wheel that works alone."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="what builds the wheel is not installed: pip install --group dev")
ROOT = Path(__file__).parent.parent
LEAKY = """import sqlite3


def names(path):
    db = sqlite3.connect(path)
    return db.execute("select name from people").fetchall()
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = pytest.mark.xdist_group("packaging")


def built(kind: str, source: Path, folder: Path) -> Path:
    """A distribution made of a source tree, without an environment of its own and without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, in a folder."""
    archive = built("sdist", ROOT, tmp_path_factory.mktemp("sdist"))
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; what it depends on is taken from this one, the source tree is not.

    A folder that a .pth file names is searched, but its own .pth files, such as that of an editable install, are not.
    """
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "install", *options, str(wheel)], check=True, capture_output=True, timeout=120)
    told = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    Path(told.stdout.strip(), "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


@pytest.fixture
def program(installed: Path, tree: Path) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(installed.with_name("leakfix")), *arguments]
        return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=60)

    return run


def files_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def kept_by_git() -> set[str]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        pytest.skip("this is no git repository")
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).exists()}


def test_the_wheel_holds_code_tables_assets_and_examples(wheel: Path) -> None:
    files = files_of(wheel)
    wanted = {
        path.relative_to(root).as_posix()
        for root, package in ((ROOT / "src", "leakfix"), (ROOT / "codemods", "leakfix_codemods"))
        for path in (root / package).rglob("*")
        if path.suffix in {".py", ".toml", ".html", ".css", ".js"} or path.name == "py.typed"
        if not {part[:1] for part in path.relative_to(root).parts} & {"."}
    }
    assert {"leakfix/py.typed", "leakfix/report/html/page.html", "leakfix_codemods/psycopg2/resources.toml"} <= wanted
    ours = {name for name in files if ".dist-info/" not in name}
    assert wanted - ours == set()
    assert {name for name in ours - wanted if "/_examples/" not in name} == set()
    assert "leakfix_codemods/sqlalchemy/_examples/unclosed_session/example.after.py" in ours


def test_the_metadata(wheel: Path) -> None:
    files = files_of(wheel)
    text = next(content for name, content in files.items() if name.endswith(".dist-info/METADATA"))
    metadata = message_from_bytes(text)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) >= {"tui", "github", "gitlab", "fleet", "watch", "lsp", "mcp"}
    assert metadata["Description-Content-Type"] == "text/markdown"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.strip() in text.decode("utf-8")
    entries = next(content for name, content in files.items() if name.endswith("entry_points.txt")).decode()
    assert "leakfix = leakfix.__main__:main" in entries
    assert "[leakfix.codemods]" in entries
    assert "[pytest11]" in entries
    assert any(name.endswith("licenses/LICENSE") for name in files)


def test_the_source_distribution_is_the_repository_and_makes_the_same_wheel(
    unpacked: Path, wheel: Path, tmp_path: Path
) -> None:
    held = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert kept_by_git() - held == set()
    assert files_of(built("wheel", unpacked, tmp_path / "again")) == files_of(wheel)


def test_it_runs_from_the_wheel(program: Run, installed: Path, tree: Path) -> None:
    where = [
        str(installed),
        "-c",
        "import leakfix, leakfix_codemods; print(leakfix.__file__, leakfix_codemods.__file__)",
    ]
    told = subprocess.run(where, cwd=tree, capture_output=True, text=True, check=True).stdout
    assert str(ROOT) not in told
    assert told.count(str(installed.parent.parent)) == 2
    assert program("--version").stdout.startswith("leakfix ")


def test_it_checks_reports_explains_and_repairs_from_the_wheel(program: Run, tree: Path) -> None:
    (tree / "names.py").write_text(LEAKY)
    found = program("check", ".")
    assert (found.returncode, "sqlite3/unclosed-connection" in found.stdout, found.stderr) == (1, True, "")
    assert program("report", ".").returncode == 1
    page = (tree / "leakfix-report.html").read_text(encoding="utf-8")
    assert "<style" in page
    assert "sqlite3/unclosed-connection" in page
    explained = program("explain", "sqlite3/unclosed-connection").stdout
    assert "Example\n-------\n" in explained
    assert "+    with closing(sqlite3.connect" in explained
    assert program("apply", "--yes", ".").returncode == 0
    assert program("check", ".").returncode == 0
