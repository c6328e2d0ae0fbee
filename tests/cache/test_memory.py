"""What a run remembers gives the same findings as a run that remembers nothing, and looks only at what it must."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leakfix.config import Config

from .conftest import PROJECT, Shop, told

FOUND = {"shop/alone.py", "shop/orders.py", "shop/prices.py", "web/list.go"}


def test_an_answer_that_holds_is_given_without_a_look(shop: Shop) -> None:
    first = shop.remembering()
    assert {finding.path for finding in first.findings} == FOUND
    assert set(shop.looked_at) >= FOUND
    again = shop.agree()
    assert shop.looked_at == []
    assert told(again) == told(first)
    assert again.sources.keys() == first.sources.keys()


def test_an_answer_from_memory_cannot_be_repaired(shop: Shop) -> None:
    shop.remembering()
    with pytest.raises(RuntimeError, match="cache"):
        _ = shop.remembering().run


EDITS: dict[str, tuple[Callable[[Shop], None], set[str]]] = {
    "a file nobody uses": (lambda shop: shop.write("shop/plain.py", "x = 1\n"), set()),
    "a file with a leak": (
        lambda shop: shop.write("shop/alone.py", "\n" + PROJECT["shop/alone.py"]),
        {"shop/alone.py"},
    ),
    "a factory two imports away": (
        lambda shop: shop.replace("shop/pool.py", "connection.close()", "print(connection)"),
        {"shop/pool.py", "shop/again.py", "shop/orders.py"},
    ),
    "a word that is sought everywhere": (
        lambda shop: shop.write("shop/plain.py", "from shop import prices\n\nprices._prices.clear()\n"),
        {"shop/prices.py"},
    ),
    "a Go package that another imports": (
        lambda shop: shop.replace("store/open.go", "count++", "count += 2"),
        {"store/open.go", "web/list.go"},
    ),
    "a new file": (lambda shop: shop.write("shop/more.py", PROJECT["shop/alone.py"]), {"shop/more.py"}),
    "a file that is gone": (lambda shop: (shop.tree / "shop/alone.py").unlink(), set()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_only_what_depends_on_a_change_is_looked_at(shop: Shop, settled: Callable[[], None], edit: str) -> None:
    change, expected = EDITS[edit]
    shop.remembering()
    change(shop)
    settled()
    shop.agree()
    assert set(shop.looked_at) <= expected
    assert {path for path in expected if path in FOUND} <= set(shop.looked_at)
    shop.agree()
    assert shop.looked_at == []


def test_another_package_s_function_that_releases_matters(shop: Shop, settled: Callable[[], None]) -> None:
    shop.remembering()
    shop.replace("store/open.go", "\treturn count", "\trows.Close()\n\treturn count")
    settled()
    assert {finding.path for finding in shop.agree().findings} == FOUND - {"web/list.go"}


def test_a_function_that_another_file_hands_to_a_thread_matters(shop: Shop, settled: Callable[[], None]) -> None:
    """It is not even parsed before: nothing in its own file says that it is for threads."""
    shop.write("shop/models.py", "from django.db import models\n\n\nclass Mail(models.Model):\n    pass\n")
    shop.write(
        "shop/mails.py",
        "from shop.models import Mail\n\n\ndef send_all():\n    while True:\n"
        "        for mail in Mail.objects.filter(sent=False)[:10]:\n            mail.send()\n",
    )
    settled()
    assert "shop/mails.py" not in {finding.path for finding in shop.remembering().findings}
    shop.write(
        "shop/plain.py",
        "import threading\n\nfrom shop import mails\n\n\ndef start():\n"
        "    threading.Thread(target=mails.send_all, daemon=True).start()\n",
    )
    settled()
    assert "shop/mails.py" in {finding.path for finding in shop.agree().findings}
    shop.write("shop/plain.py", PROJECT["shop/plain.py"])
    settled()
    assert "shop/mails.py" not in {finding.path for finding in shop.agree().findings}


OWN_SQLITE = "def connect(path):\n    return 1\n"
BEYOND: dict[str, Callable[[Shop], None]] = {
    "a manifest": lambda shop: shop.write("pyproject.toml", '[project]\nname = "shop"\n'),
    "a mark of a project in a folder": lambda shop: shop.write("shop/setup.py", ""),
    "go.mod": lambda shop: shop.write("go.mod", "module example.com/other\n"),
    "a module that hides a library": lambda shop: shop.write("sqlite3.py", OWN_SQLITE),
    "a shared thing is released somewhere": lambda shop: shop.write("shop/plain.py", "engine.dispose()\n"),
    "a factory that was none": lambda shop: shop.replace("shop/again.py", "return opened(path)", "return None"),
}


@pytest.mark.parametrize("edit", BEYOND)
def test_what_changes_everything_is_noticed(shop: Shop, settled: Callable[[], None], edit: str) -> None:
    shop.remembering()
    BEYOND[edit](shop)
    settled()
    shop.agree()
    shop.agree()
    assert shop.looked_at == []


def test_files_with_the_same_content_and_another_age_are_not_looked_at(shop: Shop, settled: Callable[[], None]) -> None:
    shop.remembering()
    for file in shop.tree.rglob("*"):
        os.utime(file)
    settled()
    shop.agree()
    assert shop.looked_at == []


def test_a_change_that_keeps_size_and_age_is_seen(shop: Shop, settled: Callable[[], None]) -> None:
    file = shop.tree / "shop/alone.py"
    before = file.stat()
    shop.remembering()
    file.write_text(PROJECT["shop/alone.py"].replace("sqlite3.connect", "sqlite3.xxxxxxx"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    settled()
    assert "shop/alone.py" not in {finding.path for finding in shop.agree().findings}


def _with_time(status: Callable[..., os.stat_result], now: int, *which: Any, **options: Any) -> SimpleNamespace:
    real = status(*which, **options)
    numbers = {name: getattr(real, name) for name in dir(real) if name.startswith("st_")}
    return SimpleNamespace(**{**numbers, "st_mtime_ns": now, "st_ctime_ns": now})


@pytest.mark.parametrize(("age", "is_seen"), [(1, True), (10_000_000_000, False)])
def test_what_was_written_a_moment_ago_is_not_trusted_by_its_stamp(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, age: int, is_seen: bool
) -> None:
    now = time.time_ns()
    for name in ("stat", "fstat"):  # of a clock that stands still
        monkeypatch.setattr(os, name, partial(_with_time, getattr(os, name), now))
    monkeypatch.setattr("leakfix.project.stamps.time.time_ns", lambda: now + age)
    shop.remembering()
    shop.replace("shop/alone.py", "sqlite3.connect", "sqlite3.xxxxxxx")
    assert ("shop/alone.py" not in {finding.path for finding in shop.remembering().findings}) == is_seen


def test_other_settings_are_another_question(shop: Shop) -> None:
    shop.remembering()
    shop.config = Config(select=("growth",))
    assert {finding.path for finding in shop.agree().findings} == {"shop/prices.py"}
    shop.config = Config()
    assert {finding.path for finding in shop.agree().findings} == FOUND


def test_part_of_a_project_is_answered_or_done_anew(shop: Shop, settled: Callable[[], None]) -> None:
    os.chdir(shop.tree / "shop")
    first = shop.remembering()
    assert {finding.path for finding in first.findings} == {"alone.py", "orders.py", "prices.py"}
    shop.agree()
    assert shop.looked_at == []
    shop.replace("shop/pool.py", "return sqlite3.connect(path)", "return 3")
    settled()
    assert {finding.path for finding in shop.agree().findings} == {"alone.py", "prices.py"}


def test_in_a_git_work_tree(shop: Shop, git: Callable[..., None], settled: Callable[[], None]) -> None:
    git("add", "-A")
    git("commit", "-qm", "shop")
    settled()
    shop.remembering()
    shop.agree()
    assert shop.looked_at == []
    shop.write("shop/new.py", PROJECT["shop/alone.py"])
    settled()
    assert "shop/new.py" in {finding.path for finding in shop.agree().findings}
    shop.write(".gitignore", "new.py\n")
    settled()
    assert "shop/new.py" not in {finding.path for finding in shop.agree().findings}
    git("rm", "-qf", "--cached", "shop/alone.py")
    shop.write(".git/info/exclude", "alone.py\n")
    settled()
    assert "shop/alone.py" not in {finding.path for finding in shop.agree().findings}


def test_a_module_that_hides_a_library_is_noticed_where_git_lists_it(
    shop: Shop, git: Callable[..., None], settled: Callable[[], None]
) -> None:
    git("add", "-A")
    git("commit", "-qm", "shop")
    settled()
    shop.remembering()
    shop.write("sqlite3.py", OWN_SQLITE)
    settled()
    assert "shop/alone.py" not in {finding.path for finding in shop.agree().findings}


def _rename(shop: Shop, chance: random.Random, path: Path) -> None:
    names = re.findall(r"(?:def|func) (\w+)", path.read_text())
    if names:
        name = chance.choice(names)
        path.write_text(re.sub(rf"\b{name}\b", f"{name}_", path.read_text()))


RANDOM: list[Callable[[Shop, random.Random, Path], object]] = [
    _rename,
    lambda shop, chance, path: path.unlink(),
    lambda shop, chance, path: path.write_text("\n" + path.read_text()),
    lambda shop, chance, path: path.rename(path.with_name(f"moved{chance.randrange(100)}{path.suffix}")),
    lambda shop, chance, path: path.write_text(path.read_text().replace(".close()", ".done()")),
    lambda shop, chance, path: path.write_text(PROJECT[chance.choice([n for n in PROJECT if n.endswith(path.suffix)])]),
    lambda shop, chance, path: shop.write(name := chance.choice(sorted(PROJECT)), PROJECT[name]),
    lambda shop, chance, path: shop.write(
        f"shop/extra{chance.randrange(5)}.py",
        f"from shop.{chance.choice(['pool', 'again', 'extra1', 'plain'])} import *\n\n\n"
        "def given(path):\n    return opened(path)\n\n\ndef lost(path):\n    fresh(path).execute('x')\n",
    ),
]


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_changes(shop: Shop, settled: Callable[[], None], seed: int) -> None:
    chance = random.Random(seed)
    shop.remembering()
    for _ in range(8):
        for _ in range(chance.randint(1, 2)):
            files = sorted(file for file in shop.tree.rglob("*") if file.suffix in (".py", ".go"))
            chance.choice(RANDOM)(shop, chance, chance.choice(files))
        if chance.random() < 0.8:
            settled()
        shop.agree()
