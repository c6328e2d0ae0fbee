"""The summary and the page."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from leakfix.fleet.page import write_page
from leakfix.fleet.report import Overview, total, write_summary
from leakfix.fleet.result import Status
from leakfix.fleet.results import Results
from leakfix.fleet.task import Task

from .conftest import checked

HOSTILE = "<script>alert(1)</script>\x1b]0;x\x07\"'&"


def finding(severity: str, rule: str = "toydb/leak", **changes: object) -> dict[str, object]:
    return {"severity": severity, "rule": rule, "path": "a.py", "line": 3, "message": "is lost", **changes}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Results of five repositories."""
    file = Results(str(tmp_path / "results.jsonl"))
    file.add(checked("https://example.org/tidy"))
    file.add(checked("https://example.org/notes", findings=(finding("note"),) * 9))
    file.add(checked("https://example.org/worst", findings=(finding("warning"), finding("error", "toydb/pool"))))
    file.add(checked(f"/{HOSTILE}", findings=tuple(finding("warning", path=HOSTILE, message=HOSTILE) for _ in "12")))
    file.add(Task(f"https://example.org/{HOSTILE}", "main").result(Status.FAILED, HOSTILE))
    return file


class Page(HTMLParser):
    """Sees that tags are balanced, and gathers what they name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_worst_come_first(results: Results) -> None:
    with results:
        overview = Overview.of(results)
        assert [row.findings for row in overview.rows] == [2, 2, 9, 0, 0]
        assert overview.rows[0].entry.repository.endswith("worst")
        assert [one["severity"] for one in overview.findings_of(overview.rows[0])] == ["error", "warning"]
        assert [(one.rule, one.findings, one.repositories) for one in overview.rules] == [
            ("toydb/leak", 12, 3),
            ("toydb/pool", 1, 1),
        ]
        assert total(overview) == "Checked 4 of 5 repositories, 4 files: 13 findings in 3 repositories (0 with a fix)."


def test_the_summary_cannot_steer_a_terminal(results: Results) -> None:
    stream = io.StringIO()
    with results:
        write_summary(Overview.of(results), stream, False)
    assert "\x1b" not in stream.getvalue()
    assert "Not checked" in stream.getvalue()
    assert "https://example.org/worst" in stream.getvalue()


def test_the_page_holds_everything_and_loads_nothing(results: Results, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    with results:
        write_page(Overview.of(results), str(target))
    text = target.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert {"img", "link", "iframe", "form"} & set(page.tags) == set()
    assert {name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style")} == set()
    assert [value for name, value in page.attributes if name == "href" and not str(value).startswith("https://")] == []
    assert "url(" not in text
    assert "@import" not in text
    assert "\x1b" not in text
    assert len(re.findall("&lt;script&gt;alert", text)) >= 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "results.jsonl"]


def test_a_page_of_nothing(tmp_path: Path) -> None:
    with Results(str(tmp_path / "results.jsonl")) as results:
        write_page(Overview.of(results), str(tmp_path / "page.html"))
    assert Page((tmp_path / "page.html").read_text("utf-8")).open == []
