"""Reading and writing: nothing is lost, nothing but the bytes changes."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from leakfix.project import files
from leakfix.project.files import NotWritten, read_file, remove_stale, write_atomically

BEFORE, AFTER = b"before\r\n", b"after, which is longer\r\n"


def _file(tree: Path, name: str = "a.py") -> Path:
    path = tree / name
    path.write_bytes(BEFORE)
    return path


def _leftovers(tree: Path) -> list[str]:
    return [path.name for path in tree.rglob(".leakfix-*")]


def test_bytes_are_replaced_and_nothing_is_left(tree: Path) -> None:
    path = _file(tree)
    write_atomically("a.py", BEFORE, AFTER)
    assert path.read_bytes() == AFTER
    assert _leftovers(tree) == []


@pytest.mark.parametrize("mode", [0o600, 0o755, 0o664, 0o4755, 0o2750])
def test_modes_and_special_bits_stay(tree: Path, mode: int) -> None:
    path = _file(tree)
    path.chmod(mode)
    wanted = stat.S_IMODE(path.stat().st_mode)
    write_atomically("a.py", BEFORE, AFTER)
    assert stat.S_IMODE(path.stat().st_mode) == wanted


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_stays(tree: Path) -> None:
    path = _file(tree)
    os.chown(path, 1234, 2345)
    path.chmod(0o4755)
    write_atomically("a.py", BEFORE, AFTER)
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o4755)


def test_an_owner_that_cannot_be_given_is_kept_in_place(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tree)
    inode = path.stat().st_ino
    monkeypatch.setattr(files, "_give_owner", lambda descriptor, status: False)
    write_atomically("a.py", BEFORE, AFTER)
    assert path.read_bytes() == AFTER
    assert path.stat().st_ino == inode
    assert _leftovers(tree) == []


def test_extended_attributes_stay(tree: Path) -> None:
    path = _file(tree)
    try:
        os.setxattr(path, "user.leakfix", b"kept")
    except OSError:
        pytest.skip("this file system has no user attributes")
    write_atomically("a.py", BEFORE, AFTER)
    assert os.getxattr(path, "user.leakfix") == b"kept"


@pytest.mark.parametrize("after", [AFTER, b"x"])
def test_hard_links_survive(tree: Path, after: bytes) -> None:
    path = _file(tree)
    os.link(path, tree / "b.py")
    path.chmod(0o4755)
    write_atomically("a.py", BEFORE, after)
    assert (tree / "b.py").read_bytes() == after
    assert path.samefile(tree / "b.py")
    assert stat.S_IMODE(path.stat().st_mode) == 0o4755
    assert _leftovers(tree) == []


@pytest.mark.parametrize("linked", [False, True])
def test_a_changed_file_is_refused(tree: Path, linked: bool) -> None:
    path = _file(tree)
    if linked:
        os.link(path, tree / "b.py")
    with pytest.raises(NotWritten, match="changed on disk"):
        write_atomically("a.py", b"something else", AFTER)
    assert path.read_bytes() == BEFORE
    assert _leftovers(tree) == []


def test_a_file_that_is_as_wanted_is_left_alone(tree: Path) -> None:
    path = _file(tree)
    inode = path.stat().st_ino
    write_atomically("a.py", b"something else", BEFORE)
    assert path.stat().st_ino == inode


def test_a_read_only_file_is_refused(tree: Path) -> None:
    path = _file(tree)
    path.chmod(0o444)
    with pytest.raises(NotWritten, match="read-only"):
        write_atomically("a.py", BEFORE, AFTER)
    assert path.read_bytes() == BEFORE


def test_a_link_is_written_at_its_target(tree: Path) -> None:
    (tree / "sub").mkdir()
    path = _file(tree, "sub/real.py")
    (tree / "link.py").symlink_to("sub/real.py")
    write_atomically("link.py", BEFORE, AFTER)
    assert (tree / "link.py").is_symlink()
    assert path.read_bytes() == AFTER


def test_ways_out_of_the_working_directory_are_refused(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    path = _file(outside)
    (tree / "link.py").symlink_to(path)
    (tree / "folder").symlink_to(outside)
    for name in ("link.py", "folder/a.py"):
        with pytest.raises(NotWritten, match="outside the working directory"):
            write_atomically(name, BEFORE, AFTER)
    assert path.read_bytes() == BEFORE
    write_atomically(str(path), BEFORE, AFTER)
    assert path.read_bytes() == AFTER


def test_only_regular_files_are_read(tree: Path) -> None:
    os.mkfifo(tree / "pipe.py")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket.py")
    try:
        for name in ("pipe.py", "socket.py", os.devnull, "."):
            with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
                read_file(name)
    finally:
        listener.close()


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("fault", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failing_write_leaves_the_file(
    tree: Path, monkeypatch: pytest.MonkeyPatch, linked: bool, fault: BaseException
) -> None:
    path = _file(tree)
    if linked:
        os.link(path, tree / "b.py")
    write = os.write

    def failing(descriptor: int, content: memoryview) -> int:
        if bytes(content).startswith(AFTER[:3]):
            write(descriptor, b"half")
            raise fault
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(type(fault)):
        write_atomically("a.py", BEFORE, AFTER)
    assert path.read_bytes() == BEFORE
    assert _leftovers(tree) == []


def test_a_rewrite_that_can_neither_go_on_nor_back_keeps_the_copy(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tree)
    os.link(path, tree / "b.py")

    def failing(descriptor: int, content: bytes) -> None:
        os.ftruncate(descriptor, 2)
        raise OSError("disk gone")

    monkeypatch.setattr(files, "_overwrite", failing)
    with pytest.raises(OSError, match="disk gone"):
        write_atomically("a.py", BEFORE, AFTER)
    (copy,) = _leftovers(tree)
    assert (tree / copy).read_bytes() == BEFORE
    (warning,) = remove_stale([str(tree)])
    assert "half-written" in warning
    assert copy in warning
    path.write_bytes(AFTER)
    assert remove_stale([str(tree)]) == []
    assert _leftovers(tree) == []


def test_stale_files_are_removed_and_nothing_else(tree: Path) -> None:
    (tree / ".leakfix-x.tmp").write_text("")
    (tree / f".leakfix-999999999-{'0' * 16}.tmp").write_text("")
    (tree / f".leakfix-{os.getpid()}-{'0' * 16}.tmp").write_text("")
    (tree / f".leakfix-{os.getppid()}-{'1' * 16}.tmp").write_text("")
    (tree / ".leakfix-folder.tmp").mkdir()
    (tree / ".leakfix-link.tmp").symlink_to("a.py")
    (tree / "leakfix-x.tmp").write_text("")
    assert remove_stale(["", "missing"]) == []
    kept = sorted(path.name for path in tree.iterdir())
    assert kept == [
        *(
            f".leakfix-{os.getppid()}-{'1' * 16}.tmp",
            ".leakfix-folder.tmp",
            ".leakfix-link.tmp",
            "leakfix-x.tmp",
        )
    ]
