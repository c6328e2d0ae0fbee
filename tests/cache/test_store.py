"""Entries of the cache: whole or absent, whatever happens to them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from leakfix.cache.kept import Kept
from leakfix.cache.store import Store, default_folder

from .conftest import Shop, told


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "cache"))


def test_what_is_saved_is_loaded(store: Store) -> None:
    assert store.load("key") is None
    assert store.save("key", b"one")
    assert store.save("key", b"two")
    assert store.load("key") == b"two"
    assert os.listdir(store.folder) == ["key.entry"]


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda raw: raw[:-1],
    "empty": lambda raw: b"",
    "another format": lambda raw: b"x" + raw[1:],
    "a bit flipped": lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
    "longer": lambda raw: raw + b"x",
    "no entry at all": lambda raw: os.urandom(200),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_entry_is_not_believed(shop: Shop, how: str) -> None:
    first = shop.remembering()
    (entry,) = Path(shop.store.folder).iterdir()
    entry.write_bytes(SPOILT[how](entry.read_bytes()))
    assert shop.store.load(shop.key) is None
    assert told(shop.remembering()) == told(first)
    assert shop.looked_at
    shop.remembering()
    assert shop.looked_at == []


@pytest.mark.parametrize("content", [b"", b"x" * 39, b"\0" * 40, b"\xff" * 100])
def test_what_is_no_memory_is_not_believed(shop: Shop, content: bytes) -> None:
    shop.store.save(shop.key, content)
    assert Kept(shop.store, shop.key).memory is None
    assert shop.agree().findings


def test_where_nothing_can_be_written_nothing_fails(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shop.store = Store(str(tmp_path / "file" / "below"))
    assert shop.agree().findings
    assert not shop.store.save("key", b"x")


def test_the_least_used_goes_first(tmp_path: Path) -> None:
    store = Store(str(tmp_path), most_bytes=3000)
    for age, name in enumerate(("new", "used", "old")):
        store.save(name, b"x" * 1000)
        os.utime(tmp_path / f"{name}.entry", (time.time() - 100 * age - 50,) * 2)
    assert store.load("old") is not None
    store.tidy()
    assert store.load("used") is None
    assert store.load("new") is not None
    assert store.load("old") is not None


def test_what_nobody_used_for_a_month_goes(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.save("old", b"x")
    os.utime(tmp_path / "old.entry", (time.time() - 40 * 24 * 3600,) * 2)
    store.tidy()
    assert os.listdir(tmp_path) == []


def test_clearing_leaves_what_is_not_ours(store: Store) -> None:
    store.save("key", b"x")
    Path(store.folder, "notes.txt").write_text("mine")
    assert store.clear() == 1
    assert os.listdir(store.folder) == ["notes.txt"]


WRITER = """
import os, sys
from leakfix.cache.store import Store
store = Store(sys.argv[1])
content = sys.argv[2].encode() * 400_000
while True:
    store.save("key", content)
    print(".", end="", flush=True)
"""


def test_several_writers_and_a_kill(store: Store) -> None:
    command = [sys.executable, "-c", WRITER, store.folder]
    writers = [subprocess.Popen([*command, text], stdout=subprocess.PIPE) for text in "abc"]
    try:
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.read(2)
        for _ in range(50):
            content = store.load("key")
            assert content is not None
            assert len(set(content)) == 1
            assert len(content) == 400_000
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    content = store.load("key")
    assert content is not None
    assert len(set(content)) == 1


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEAKFIX_CACHE_DIR", str(tmp_path / "here"))
    assert default_folder() == str(tmp_path / "here")
    monkeypatch.delenv("LEAKFIX_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_folder() == str(tmp_path / "xdg" / "leakfix")
