"""What a run showed, joined with what the analysis found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from leakfix import engine
from leakfix.config import Config
from leakfix.registry import Registry
from leakfix.report.text import rendered
from leakfix.result import Report
from leakfix.runtime.evidence import BadEvidence, Evidence, Seen, document, dumped, joined, loaded
from leakfix.runtime.frames import Line

SERVICE = """\
import sqlite3


def count(path):
    connection = sqlite3.connect(path)
    return connection.execute("select 1").fetchone()


def total(path):
    connection = sqlite3.connect(
        path,
    )
    return connection.execute("select 2").fetchone()


def opened(path):
    return sqlite3.connect(path)


def first(path):
    return opened(path).execute("select 3").fetchone()


def quiet(path):
    connection = sqlite3.connect(path)  # leakfix: allow[sqlite3/*] closed by the caller's caller
    keep(connection)


def elsewhere(path):
    connection = sqlite3.connect(path)
    KEPT.append(connection)
"""


def seen(line: int, function: str, *callers: Line, unreleased: int = 1, acquired: int = 3) -> Seen:
    stack = (Line("service.py", line, function), *callers)
    return Seen(
        "sqlite3/connection", "connection", "service.py", line, function, acquired, acquired - unreleased,
        open=unreleased, stack=stack, tests=("tests/test_service.py::test_it",),
    )  # fmt: skip


def checked(tree: Path, registry: Registry, *sites: Seen) -> Report:
    (tree / "service.py").write_text(SERVICE)
    return engine.check(["."], Config(), registry, jobs=1, evidence=Evidence(sites))


def test_what_leaked_most_comes_first(tree: Path, registry: Registry) -> None:
    report = checked(tree, registry, seen(5, "count"), seen(10, "total", unreleased=3))
    assert [(each.line, each.observed and each.observed.unreleased) for each in report.findings[:2]] == [
        (10, 3),
        (5, 1),
    ]
    assert [each.observed for each in report.findings[2:]] == [None] * (len(report.findings) - 2)


def test_the_lines_of_an_acquiring_expression_are_all_its_own(tree: Path, registry: Registry) -> None:
    report = checked(tree, registry, seen(11, "total"))
    assert report.findings[0].line == 10
    assert not report.missed


def test_the_caller_of_what_hands_something_out_is_found_by_the_stack(tree: Path, registry: Registry) -> None:
    report = checked(tree, registry, seen(17, "opened", Line("service.py", 21, "first")))
    assert report.findings[0].line == 21
    assert report.findings[0].observed is not None
    assert report.findings[0].observed.stack == ("service.py:17 in opened", "service.py:21 in first")


def test_what_was_released_is_told_but_confirms_nothing(tree: Path, registry: Registry) -> None:
    report = checked(tree, registry, seen(10, "total", unreleased=0))
    assert [each.line for each in report.findings] == sorted(each.line for each in report.findings)
    observed = next(each.observed for each in report.findings if each.line == 10)
    assert observed is not None
    assert not observed.confirms
    assert "all 3 were released" in str(observed)


def test_what_the_analysis_did_not_find_is_told(tree: Path, registry: Registry) -> None:
    report = checked(tree, registry, seen(30, "elsewhere"), seen(25, "quiet"))
    assert [(each.line, each.unreleased) for each in report.missed] == [(30, 1)]
    assert "service.py:30 seen at run time, not found by analysis" in "".join(rendered(report, colour=False))


def test_the_worst_of_several_lines_of_one_finding_is_told(tree: Path, registry: Registry) -> None:
    report = checked(tree, registry, seen(10, "total", unreleased=0), seen(11, "total", acquired=9, unreleased=7))
    observed = report.findings[0].observed
    assert observed is not None
    assert (report.findings[0].line, observed.unreleased) == (10, 7)


def test_files_that_are_not_looked_at_are_not_missed(tree: Path, registry: Registry) -> None:
    elsewhere = Seen("sqlite3/connection", "connection", "other/place.py", 3, "f", 1, open=1)
    assert not checked(tree, registry, elsewhere).missed


def test_a_finding_keeps_its_evidence_through_repairs_above_it(tree: Path, registry: Registry) -> None:
    report = checked(tree, registry, seen(10, "total"))
    told: list[str] = []

    def decide(finding: Any, *_: object) -> bool:
        told.append(f"{finding.function}: {finding.observed}")
        return True

    for _ in engine.repair(report, decide):
        pass
    assert [text for text in told if "confirmed" in text] == [
        "total: confirmed: 1 of 3 not released (sqlite3/connection): 1 still open, in tests/test_service.py::test_it"
    ]


def test_evidence_is_read_as_it_was_written() -> None:
    found = Evidence((seen(5, "count", Line("main.py", 2, "<module>")),), {"TimeoutError": 2}, 2, 7, {"first": 1})
    assert loaded(dumped(found)) == found


def test_the_same_line_called_from_the_same_lines_is_one_site() -> None:
    one, other = Evidence((seen(5, "count"),), {"E": 1}, 1, 3), Evidence((seen(5, "count"),), {"E": 2}, 1, 5)
    both = joined([one, other])
    assert [(each.acquired, each.open) for each in both.sites] == [(6, 2)]
    assert (both.refused, both.processes, both.peak) == ({"E": 3}, 2, 5)


def test_another_caller_is_another_site_but_one_line_for_people() -> None:
    found = joined([Evidence((seen(5, "count", Line("a.py", 1, "a")), seen(5, "count", Line("b.py", 1, "b"))))])
    assert len(found.sites) == 2
    assert [each.unreleased for each in found.unreleased] == [2]


def _without(key: str) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    return lambda values: {name: value for name, value in values.items() if name != key}


@pytest.mark.parametrize(
    "spoil",
    [
        _without("sites"),
        _without("memory"),
        lambda values: {**values, "sites": [{"path": "a.py"}]},
        lambda values: {**values, "sites": 5},
        lambda values: {**values, "processes": "many"},
        lambda values: [values],
        lambda values: None,
    ],
)
def test_a_spoilt_document_is_refused_in_words(spoil: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(BadEvidence, match=r"cannot be read|no report"):
        loaded(json.dumps(spoil(document(Evidence((seen(5, "count"),))))))


def test_a_later_version_is_refused_in_words() -> None:
    with pytest.raises(BadEvidence, match="version 9, this leakfix reads 1"):
        loaded(json.dumps({**document(Evidence()), "evidence": 9}))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(BadEvidence):
        loaded(content)


def test_the_command_line_reads_it(tree: Path, leakfix: Any) -> None:
    (tree / "service.py").write_text(SERVICE)
    (tree / "seen.json").write_text(dumped(Evidence((seen(10, "total"), seen(30, "elsewhere")))))
    run = leakfix("check", "--evidence", "seen.json", "--output-format", "json")
    told = json.loads(run.stdout)
    assert run.returncode == 1
    assert told["findings"][0]["evidence"]["unreleased"] == 1
    assert told["missed"] == [
        {
            "path": "service.py", "line": 30, "function": "elsewhere", "resource": "connection", "acquired": 3,
            "unreleased": 1, "held": "forever",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), ("{}", "no report of")])
def test_the_command_line_says_what_is_wrong_with_it(tree: Path, leakfix: Any, content: str | None, told: str) -> None:
    if content is not None:
        (tree / "seen.json").write_text(content)
    run = leakfix("check", "--evidence", "seen.json")
    assert run.returncode == 2
    assert told in run.stderr.decode()
