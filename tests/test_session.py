"""A warm session says at every moment what a check of the same texts says."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leakfix import engine
from leakfix.config import Config, ConfigError, load
from leakfix.registry import Registry
from leakfix.session import Session

APPS = Path(__file__).parent.parent / "fixtures" / "apps"
MAKES = "import toydb\n\n\ndef connected():\n    return toydb.connect()\n"
USES = "from made import connected\n\n\ndef rows():\n    connected().fetchall()\n"
CACHED = """from functools import lru_cache


@lru_cache(maxsize=None)
def price(customer_id: str) -> str:
    return customer_id.upper()


"""


def told(path: str, findings: object) -> object:
    return sorted((f.fingerprint, f.line, f.fix, f.refusal) for f in findings if f.path == path)  # type: ignore[attr-defined]


def agree(session: Session, config: Config, registry: Registry) -> None:
    """Every file of the session has the findings and errors of a check."""
    report = engine.check(["."], config, registry, jobs=1, texts=session.texts)
    assert report.files > 1
    for path in sorted({*report.sources, *(error.path for error in report.errors), *session.texts}):
        look = session.look(path)
        assert told(path, look.findings) == told(path, report.findings), path
        assert list(look.errors) == [error.message for error in report.errors if error.path == path]


@pytest.mark.parametrize("app", ["fastapi_orders", "echo_users"])
def test_edits_at_random(tree: Path, registry: Registry, app: str) -> None:
    shutil.copytree(APPS / app, tree / "app", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "pyproject.toml").write_text("")
    config = Config()
    session, chance = Session(config, registry), random.Random(7)
    paths = sorted(str(p.relative_to(tree)) for p in tree.rglob("*") if p.suffix in (".py", ".go"))
    agree(session, config, registry)
    for _ in range(6):
        path = chance.choice(paths)
        lines = session.texts.get(path, (tree / path).read_bytes()).splitlines(keepends=True)
        at = chance.randrange(len(lines) + 1)
        session.edit(path, b"".join(lines[:at] + lines[at + chance.randrange(3) :]))
        if chance.random() < 0.3:
            session.close(chance.choice(paths))
        agree(session, config, registry)


def test_what_other_files_export_is_followed(tree: Path, found: object) -> None:
    config, registry = found.config, found.registry  # type: ignore[attr-defined]
    (tree / "made.py").write_text("def nothing():\n    pass\n")
    (tree / "between.py").write_text("from made import *\n")
    (tree / "uses.py").write_text(USES.replace("made", "between"))
    session = Session(config, registry)
    assert session.look("uses.py").findings == ()
    session.edit("made.py", MAKES.encode())
    assert len(session.look("uses.py").findings) == 1
    session.edit("made.py", MAKES.replace("def ", "def broken(").encode())
    session.edit("made.py", MAKES.encode())
    assert len(session.look("uses.py").findings) == 1
    agree(session, config, registry)
    session.close("made.py")
    assert session.look("uses.py").findings == ()


def test_files_come_change_and_go(tree: Path, found: object) -> None:
    config, registry = found.config, found.registry  # type: ignore[attr-defined]
    (tree / "uses.py").write_text(USES)
    session = Session(config, registry)
    assert session.look("uses.py").findings == ()
    assert not session.refresh()
    (tree / "made.py").write_text(MAKES)
    assert session.refresh()
    assert len(session.look("uses.py").findings) == 1
    (tree / "made.py").unlink()
    assert session.refresh()
    assert session.look("uses.py").findings == ()
    assert session.look("made.py").source is None


def test_what_one_file_says_of_another_counts_whoever_is_asked_first(tree: Path, registry: Registry) -> None:
    (tree / "pyproject.toml").write_text("")
    clears = "import cached\n\n\ndef forget():\n    cached.price.cache_clear()\n"
    (tree / "cached.py").write_text(CACHED)
    (tree / "asks.py").write_text(CACHED.replace("price", "weight") + clears)
    config = Config(select=("stdlib/unbounded-lru-cache",))
    session = Session(config, registry)
    assert len(session.look("asks.py").findings) == 1  # it is the first to need what all files clear
    assert session.look("cached.py").findings == ()
    session.edit("asks.py", CACHED.replace("price", "weight").encode())
    assert len(session.look("cached.py").findings) == 1
    agree(session, config, registry)


def test_a_text_that_is_on_no_disk(tree: Path, found: object) -> None:
    config, registry = found.config, found.registry  # type: ignore[attr-defined]
    (tree / "made.py").write_text(MAKES)
    session = Session(config, registry, ["new.py"])
    session.edit("new.py", USES.encode())
    assert len(session.look("new.py").findings) == 1
    assert session.look("made.py").source is None


def test_a_go_file_that_is_on_no_disk(tree: Path, registry: Registry) -> None:
    text = (APPS / "echo_users" / "store.go").read_bytes()
    config = Config()
    (tree / "go.mod").write_text("module example.org/users\n\ngo 1.22\n")
    report = engine.check(["store.go"], config, registry, jobs=1, texts={"store.go": text})
    assert report.findings
    (tree / "store.go").write_bytes(text)
    written = engine.check(["store.go"], config, registry, jobs=1)
    assert told("store.go", report.findings) == told("store.go", written.findings)


INHOUSE = """[[resource]]
id = "inhouse/connection"
noun = "connection"
acquire = ["inhouse.take"]
release = ["put_back"]
"""
TAKES = "import inhouse\n\n\ndef rows():\n    one = inhouse.take()\n    one.work()\n    return 1\n"


def test_settings_of_every_folder_count(tree: Path) -> None:
    (tree / "pyproject.toml").write_text("")
    files = {"a.py": USES, "made.py": MAKES.replace("toydb", "sqlite3"), "sub/a.py": TAKES, "quiet/a.py": TAKES}
    files |= {"sub/leakfix.toml": INHOUSE, "quiet/leakfix.toml": 'ignore = ["all"]\n' + INHOUSE}
    for name, text in files.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    config = load()
    session = Session(config, Registry.load(config))
    session.check_settings()
    assert [finding.rule for finding in session.look("sub/a.py").findings] == ["inhouse/connection"]
    assert session.look("quiet/a.py").findings == ()
    assert [finding.rule for finding in session.look("a.py").findings] == ["sqlite3/unclosed-connection"]
    session.edit("sub/a.py", TAKES.replace("one.work()", "one.put_back()").encode())
    assert session.look("sub/a.py").findings == ()
    (tree / "sub" / "b.py").write_text(TAKES)
    assert session.refresh()
    assert len(session.look("sub/b.py").findings) == 1
    agree(session, config, session.registry)


def test_rules_exclusions_and_baselines_of_every_folder_count(tree: Path, invoke: Callable[..., Any]) -> None:
    leak = MAKES.replace("toydb", "sqlite3").replace("return ", "one = ") + "    return one.total_changes\n"
    files = {f"{folder}/{name}.py": leak + CACHED for folder in ("grows", "known", "mixed") for name in "ab"}
    files |= {"pyproject.toml": "", "grows/leakfix.toml": 'select = ["growth"]', "known/leakfix.toml": ""}
    files["mixed/leakfix.toml"] = 'exclude = ["b.py"]\n[per-file-ignores]\n"a.py" = ["growth"]'
    for name, text in files.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    assert invoke("baseline", "create", "--select=leak", "known").code == 0
    config = load()
    session = Session(config, Registry.load(config))
    session.check_settings()
    growth, leaks = {"stdlib/unbounded-lru-cache"}, {"sqlite3/unclosed-connection"}
    expected = {"grows": growth, "known": growth, "mixed": leaks}
    for folder, rules in expected.items():
        assert {finding.rule for finding in session.look(f"{folder}/a.py").findings} == rules, folder
    assert session.look("mixed/b.py").source is None
    agree(session, config, session.registry)
    session.edit("known/a.py", (leak + CACHED + leak.replace("connected", "again")).encode())
    assert [finding.function for finding in session.look("known/a.py").findings] == ["<module>", "again"]
    repair = session.repaired("known/a.py", lambda *_: True)
    assert repair is not None
    assert sorted(finding.function for finding in repair.applied) == ["<module>", "again"]
    agree(session, config, session.registry)


def test_settings_that_cannot_be_used_are_told(tree: Path) -> None:
    (tree / "a.py").write_text(USES)
    (tree / "sub").mkdir()
    (tree / "sub" / "a.py").write_text(USES)
    (tree / "sub" / "leakfix.toml").write_text('baseline = "known.json"')
    (tree / "sub" / "known.json").write_text("nothing")
    config = load()
    session = Session(config, Registry.load(config))
    with pytest.raises(ConfigError, match="not a baseline"):
        session.check_settings()
    (tree / "sub" / "leakfix.toml").write_text('ignore = ["no/such-rule"]')
    config = load()
    session = Session(config, Registry.load(config))
    with pytest.raises(ConfigError, match="there is no rule 'no/such-rule'"):
        session.check_settings()
