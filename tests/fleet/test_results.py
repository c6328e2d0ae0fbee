"""The file of results: whole lines, each repository at a commit once, whatever happens to who writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakfix.fleet import FleetError
from leakfix.fleet.plan import plan, plan_of_failures
from leakfix.fleet.repositories import Repository
from leakfix.fleet.result import Result, Status
from leakfix.fleet.results import Results
from leakfix.fleet.task import Task

from .conftest import checked, names

OTHER = "2" * 40


def failed(name: str, status: Status = Status.FAILED, commit: str | None = None) -> Result:
    return Task(name).result(status, "no", commit)


def recorded(path: Path, *results: Result) -> list[bytes]:
    with Results(str(path)) as file:
        for result in results:
            file.add(result)
    return path.read_bytes().splitlines(keepends=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file."""
    return tmp_path / "results.jsonl"


def test_a_repository_is_recorded_once_at_a_commit(path: Path) -> None:
    lines = recorded(path, checked("/a"), checked("/a"), checked("/b"), checked("/a", OTHER))
    assert names(lines) == ["/a", "/b", "/a"]
    assert recorded(path, checked("/a"), checked("/b")) == lines


def test_a_torn_line_is_cut_off_wherever_it_was_torn(path: Path) -> None:
    whole = b"".join(recorded(path, checked("/a"), checked("/b")))
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        path.write_bytes(whole[:end])
        with Results(str(path)) as file:
            assert [entry.repository for entry in file.entries] == ["/a"]
            assert path.read_bytes() == whole[:first]
            file.add(checked("/b"))
        assert path.read_bytes() == whole
    path.write_bytes(whole + b"\0" * 300)
    assert b"".join(recorded(path)) == whole


@pytest.mark.parametrize(
    "content", [b"hello", b"hello\n", b"{}\n", b"[1]\n", b'{"repository":1}\n', b"\xff\n", b"[" * 9999]
)
def test_another_file_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(FleetError, match="--output"):
        Results(str(path))
    assert path.read_bytes() == content


def test_a_folder_or_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="not a regular file"):
        Results("/dev/null")
    with pytest.raises(OSError, match="directory"):
        Results(str(tmp_path))


def test_only_one_run_writes(path: Path) -> None:
    with Results(str(path)) as file:
        file.add(failed("/a"))
        file.add(checked("/a"))
        with pytest.raises(FleetError, match="another run"):
            Results(str(path))
    assert names(recorded(path)) == ["/a"]


def test_what_failed_is_replaced_when_it_was_tried_again(path: Path) -> None:
    recorded(path, failed("/a"), failed("/b", Status.TIMED_OUT, OTHER), checked("/c"), failed("/d"))
    recorded(path, checked("/a"), failed("/b", Status.CRASHED, OTHER), failed("/d"))
    lines = recorded(path)
    assert names(lines) == ["/c", "/a", "/b", "/d"]
    assert [Result.from_line(line).status for line in lines] == ["checked", "checked", "crashed", "failed"]


def test_a_killed_run_leaves_both_lines_and_the_next_takes_one_out(path: Path) -> None:
    recorded(path, failed("/a"))
    path.write_bytes(path.read_bytes() + checked("/a").line())
    path.chmod(0o640)
    assert [Result.from_line(line).status for line in recorded(path)] == ["checked"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_earlier_result_stands_for_what_failed_meanwhile(path: Path) -> None:
    recorded(path, checked("/a"), failed("/a"))
    assert len(recorded(path)) == 2
    lines = recorded(path, Task("/a").result(Status.KNOWN, commit="1" * 40))
    assert [Result.from_line(line).status for line in lines] == ["checked"]


def test_another_leakfix_or_other_rules_check_again(path: Path) -> None:
    old = checked("/a", leakfix="0.0.1")
    lines = recorded(path, old, checked("/a"))
    assert [Result.from_line(line).leakfix for line in lines] == [checked("/a").leakfix]
    lines = recorded(path, checked("/a", options=("--select=all",)))
    assert [Result.from_line(line).options for line in lines] == [("--select=all",)]


def test_what_is_left_to_do(path: Path) -> None:
    recorded(path, checked("/a"), checked("/b"), failed("/c"))
    fixed, moving, bad, new = Repository("/a", "1" * 40), Repository("/b", "main"), Repository("/c"), Repository("/d")
    with Results(str(path)) as file:
        made = plan([fixed, moving, bad, new], Task(""), file)
        assert [(task.repository, task.ref, len(task.known)) for task in made.tasks] == [
            ("/b", "main", 1),
            ("/c", None, 0),
            ("/d", None, 0),
        ]
        assert [entry.repository for entry in file.reported] == ["/a"]
        assert [task.repository for task in plan_of_failures(None, Task(""), file).tasks] == ["/c"]
        assert plan_of_failures([new, moving], Task(""), file).tasks == ()
        assert len(plan([moving], Task("", options=("--select=all",)), file).tasks[0].known) == 0
