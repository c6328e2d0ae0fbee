"""What tests of several parts share."""

from __future__ import annotations

import ast
import gc
import io
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from leakfix import engine
from leakfix.cli import main as run
from leakfix.config import Config
from leakfix.project.discover import ROOT_MARKS
from leakfix.project.trace import forget
from leakfix.registry import Registry
from leakfix.result import FileRepair, Report

from .browser import browser as browser
from .postgresql import PostgreSQL, running

Program = Callable[..., subprocess.CompletedProcess[bytes]]

# Hundreds of tests start the program, and without bytecode each start compiles all of it.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def imported(arguments: Sequence[str], names: Sequence[str], folder: Path) -> tuple[bytes, set[str]]:
    """What a command line that succeeds prints in a process of its own, and which of some modules that imports."""
    code = f"""
import os, sys
begun = os.getpid()
os._exit = sys.exit
from leakfix.__main__ import main
try:
    main()
finally:
    if os.getpid() == begun:  # not in a child that writes down what is to be remembered
        print([name for name in {list(names)} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, check=True)
    return done.stdout, set(ast.literal_eval(done.stderr.decode().splitlines()[-1]))


@pytest.fixture(autouse=True)
def _remembered(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs remember, and answers of reviews that were broken off, are this test's alone."""
    own = tmp_path_factory.getbasetemp() / f"own-{uuid.uuid4().hex}"
    monkeypatch.setenv("LEAKFIX_CACHE_DIR", str(own / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(own / "state"))


@pytest.fixture(autouse=True)
def _nothing_left_above(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test leaves nothing above its own folder that other tests would take for their settings or their project."""
    yield
    base = tmp_path_factory.getbasetemp()
    left = [path for name in ("leakfix.toml", *ROOT_MARKS) if (path := base / name).exists()]
    for path in left:
        path.rename(path.with_name(f"left-{path.name}"))  # none but this test fails for it
    assert left == []


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """What a session hides from the garbage collector is shown to it again: others ask it who refers to what."""
    yield
    gc.unfreeze()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, outside any git repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def git(tree: Path) -> Callable[..., None]:
    """Run git in the tree, which is made a repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")

    def run(*arguments: str) -> None:
        subprocess.run(["git", *identity, *arguments], cwd=tree, env=environment, check=True, capture_output=True)

    run("init", "-q")
    return run


@pytest.fixture
def leakfix(tree: Path) -> Program:
    """Run the program in the tree as a process of its own."""

    def run(*arguments: str | bytes, **options: object) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "leakfix", *arguments]
        return subprocess.run(command, **{"cwd": tree, "capture_output": True, "timeout": 60, **options})  # type: ignore[call-overload,no-any-return]

    return run


@pytest.fixture
def called(tree: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Program:
    """Run the program as ``leakfix`` does, but in this process, which saves its start."""

    def call(*arguments: str, cwd: Path = tree, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        forget()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input)))
            code = run(arguments)
        return subprocess.CompletedProcess(arguments, code, *capfdbinary.readouterr())

    return call


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def invoke(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Result]:
    """Run a command line in this process."""

    def call(*arguments: str) -> Result:
        code = run(arguments)
        out, err = capfdbinary.readouterr()
        return Result(code, out.decode("utf-8"), err.decode("utf-8"))

    return call


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="write what the repairs make as the expected fixtures")


@pytest.fixture(scope="session")
def registry() -> Registry:
    """All codemods, without any configuration."""
    loaded = Registry.load(Config())
    assert not loaded.broken, loaded.broken
    return loaded


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server for all tests of a process."""
    with running() as server:
        yield server


class Checker:
    """Checks files in an otherwise empty tree for leaks of a made-up library, ``toydb``."""

    def __init__(self, tree: Path, row: Mapping[str, object]) -> None:
        self.tree = tree
        self.config = Config(select=("toydb/connection",), resources=(row,))
        self.registry = _REGISTRIES.setdefault(repr(row), None) or Registry.load(self.config)
        _REGISTRIES[repr(row)] = self.registry

    def __call__(self, files: Mapping[str, str | bytes] | str) -> Report:
        """What is found in the files; a text alone is ``case.py``."""
        named = {"case.py": files} if isinstance(files, str) else files
        for name, content in named.items():
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            (self.tree / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return self.checked(["."])

    def checked(self, paths: Sequence[str]) -> Report:
        """What is found below some paths."""
        return engine.check(paths, self.config, self.registry, jobs=1)

    def with_row(self, **keys: object) -> Checker:
        """The same tree, some keys of the row changed."""
        return Checker(self.tree, {**TOY, **{key.rstrip("_"): value for key, value in keys.items()}})

    def repaired(self, text: str) -> str:
        """What becomes of a file when all its leaks are repaired; every one of them must be."""
        report = self(text)
        assert [finding.refusal for finding in report.findings if finding.fix is None] == []
        (file,) = self.repairs(report)
        return file.after.raw.decode()

    def repairs(self, report: Report) -> list[FileRepair]:
        """Every file with a repair, before and after all of its repairs."""
        return list(engine.repair(report, lambda *_: True))


_REGISTRIES: dict[str, Registry | None] = {}
TOY: Mapping[str, object] = {
    "id": "toydb/connection",
    "noun": "connection",
    "acquire": ["toydb.connect"],
    "values": ["execute", "fetchall", "commit"],
}


@pytest.fixture
def found(tree: Path) -> Checker:
    """Check files that use the made-up library."""
    (tree / "pyproject.toml").write_text("")
    return Checker(tree, TOY)
