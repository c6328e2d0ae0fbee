"""What a repair needs is declared where the project declares its needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakfix.finding import Category, Finding, Fix, Requirement, Safety, Severity
from leakfix.project import manifest
from leakfix.source import SourceFile, Span

CACHETOOLS = Requirement("cachetools", "5", "cachetools")
LRU = Requirement("github.com/hashicorp/golang-lru/v2", "v2.0.7", "golang-lru/v2")
BEFORE = {
    "pyproject.toml": '[project]\nname = "a"\ndependencies = ["httpx"] # one\n',
    "requirements.txt": "httpx\r\nflask==3.0",
    "requirements.in": "# ours\nhttpx\n",
    "go.mod": "module a\n\ngo 1.22\n\nrequire (\n\tgithub.com/a/b v1.0.0\n)\n\nrequire c.org/d v1.0.0 // indirect\n",
}
AFTER = {
    "pyproject.toml": '[project]\nname = "a"\ndependencies = ["httpx", "cachetools>=5"] # one\n',
    "requirements.txt": "httpx\r\nflask==3.0\r\ncachetools>=5\r\n",
    "requirements.in": "# ours\nhttpx\ncachetools>=5\n",
    "go.mod": BEFORE["go.mod"].replace("v1.0.0\n)", f"v1.0.0\n\t{LRU.name} {LRU.version}\n)"),
}


def done(path: Path, requirement: Requirement, code: str | None = None) -> list[tuple[SourceFile, list[Finding]]]:
    fix = Fix("t", Safety.REVIEW, (), "", (requirement,))
    where = str(path)
    finding = Finding("a/b", Category.GROWTH, Severity.NOTE, where, Span(0, 0), 1, 1, 1, 1, "f", "m", "r", None, ())
    data = f"import {requirement.imported}" if code is None else code
    return [(SourceFile.utf8(where, data.encode()), [Finding(**{**fields(finding), "fix": fix})])]


def fields(finding: Finding) -> dict[str, object]:
    return {name: getattr(finding, name) for name in finding.__slots__}


@pytest.mark.parametrize("name", BEFORE)
def test_it_is_added_once(name: str, tmp_path: Path) -> None:
    file, needed = ("a.go", LRU) if name == "go.mod" else ("a.py", CACHETOOLS)
    where = tmp_path / name
    where.write_bytes(BEFORE[name].encode())
    assert not manifest.declares(str(tmp_path / "deep" / file), needed.name)
    assert manifest.may_use(str(tmp_path / "deep" / file), needed, [needed.name])
    assert not manifest.may_use(str(tmp_path / file), needed, [])
    (change,) = manifest.additions(done(tmp_path / "deep" / file, needed) + done(tmp_path / file, needed))
    assert change.path == str(where)
    assert change.before.raw == BEFORE[name].encode()
    assert change.after.raw.decode() == AFTER[name]
    where.write_bytes(change.after.raw)
    assert manifest.declares(str(tmp_path / file), needed.name)
    assert manifest.may_use(str(tmp_path / file), needed, [])
    assert manifest.additions(done(tmp_path / file, needed)) == []


def test_poetry(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.poetry.dependencies]\npython = "^3.11"\n\n[tool.other]\nx = 1\n')
    (change,) = manifest.additions(done(tmp_path / "a.py", CACHETOOLS))
    assert change.after.raw.decode().startswith('[tool.poetry.dependencies]\npython = "^3.11"\ncachetools = ">=5"\n')


DECLARED = [
    ("requirements.txt", "CacheTools==5.3  # for the prices\n"),
    ("pyproject.toml", '[project]\ndependencies = ["cachetools"]\n'),
    ("pyproject.toml", '[project]\ndependencies = ["httpx", "cachetools[x] >= 5"]\n'),
    ("pyproject.toml", '[tool.poetry.dependencies]\ncachetools = "*"\n'),
]
NOT_DECLARED = [
    ("requirements.txt", "cachetools==5.3 ; sys_platform == 'win32'\n"),
    ("pyproject.toml", '[project.optional-dependencies]\ntest = ["cachetools"]\n'),
    ("pyproject.toml", '[dependency-groups]\ndev = ["cachetools>=5"]\n'),
    ("pyproject.toml", '[tool.poetry.group.dev.dependencies]\ncachetools = "*"\n'),
    ("pyproject.toml", '[tool.poetry.dependencies]\ncachetools = {version = "*", optional = true}\n'),
    ("pyproject.toml", '[project]\ndescription = "cachetools for shops"\n'),
    ("requirements.txt", "cachetools-stubs\n# cachetools\n"),
    ("pyproject.toml", '[tool.leakfix]\nallow-dependencies = ["cachetools"]\n'),
    ("pyproject.toml", "not toml at all ["),
    ("requirements.txt", "\udcff"),
]


@pytest.mark.parametrize(("name", "text"), DECLARED)
def test_declared(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert manifest.declares(str(tmp_path / "a.py"), "cachetools")


@pytest.mark.parametrize(("name", "text"), NOT_DECLARED)
def test_not_declared(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert not manifest.declares(str(tmp_path / "a.py"), "cachetools")


@pytest.mark.parametrize("text", ["not toml at all [", "", '[project]\nname = "a"\ndynamic = ["dependencies"]\n'])
def test_what_cannot_be_edited_is_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert not manifest.can_add(str(tmp_path / "a.py"), CACHETOOLS)
    assert manifest.additions(done(tmp_path / "a.py", CACHETOOLS)) == []


@pytest.mark.parametrize(
    "text", ["httpx==0.27 --hash=sha256:00\n", "-r base.txt\n", "-c limits.txt\nhttpx\n", "-e .\n"]
)
def test_requirements_that_others_pin_are_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(text)
    assert not manifest.can_add(str(tmp_path / "a.py"), CACHETOOLS)


@pytest.mark.parametrize("built", [("setup.py", ""), ("pyproject.toml", '[project]\ndynamic = ["dependencies"]\n')])
def test_only_what_the_project_is_built_from_is_edited(built: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / built[0]).write_text(built[1])
    (tmp_path / "requirements.txt").write_text("httpx\n")
    assert not manifest.can_add(str(tmp_path / "a.py"), CACHETOOLS)
    assert manifest.additions(done(tmp_path / "a.py", CACHETOOLS)) == []


def test_tables_out_of_order(tmp_path: Path) -> None:
    text = '[project]\nname = "a"\ndependencies = []\n\n[build-system]\nrequires = []\n\n[project.scripts]\na = "a:b"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    (change,) = manifest.additions(done(tmp_path / "a.py", CACHETOOLS))
    assert change.after.raw.decode() == text.replace("dependencies = []", 'dependencies = ["cachetools>=5"]')


def test_what_code_does_not_use_after_all_is_not_added(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("httpx\n")
    assert manifest.additions(done(tmp_path / "a.py", CACHETOOLS, "x = 1")) == []


def test_nothing_above_a_repository_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("cachetools\n")
    (tmp_path / "shop" / ".git").mkdir(parents=True)
    assert not manifest.declares(str(tmp_path / "shop" / "a.py"), "cachetools")


def test_go_version(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text(BEFORE["go.mod"])
    assert manifest.go_version(str(tmp_path / "a.go")) == (1, 22)
    assert manifest.go_version(str(tmp_path / "a.py")) is None
