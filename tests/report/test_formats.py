"""Every format: what it says of real findings, and that no text breaks out of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from leakfix import engine
from leakfix.config import Config
from leakfix.project.display import visible
from leakfix.registry import Registry
from leakfix.report.formats import FORMATS, render
from leakfix.result import Report
from leakfix.source import SourceFile

from . import reports

SCHEMA = Path("@microsoft", "jest-sarif", "lib", "schemas", "sarif-2.1.0-rtm.5.json")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n%:,`]>&<\"'|\\@"), max_size=40)
FEW = settings(max_examples=40, deadline=None)


def text_of(name: str, report: Any) -> str:
    return "".join(render(name, report))


def checked_sarif(text: str) -> dict[str, Any]:
    """The log, valid by the standard's schema where that is at hand."""
    log: dict[str, Any] = json.loads(text)
    folder = os.environ.get("LEAKFIX_NODE_MODULES")
    if folder and Path(folder, SCHEMA).is_file():
        from jsonschema import Draft4Validator

        schema = json.loads(Path(folder, SCHEMA).read_text("utf-8"))
        assert [error.message for error in Draft4Validator(schema).iter_errors(log)] == []
    return log


@pytest.fixture
def leaky(tree: Path, registry: Registry) -> Report:
    """A small project: two leaks with a safe fix in two folders, one allowed, one refused."""
    allowed = reports.LEAKY.replace("connect(path)", "connect(path)  # leakfix: allow[sqlite3/*] on purpose")
    broken = "import sqlite3\nsqlite3.connect(\n"
    files = {"app/orders.py": reports.LEAKY, "allowed.py": allowed, "broken.py": broken, "store.py": reports.UNFIXABLE}
    (tree / "pyproject.toml").write_text("")
    return reports.check(files, registry)


@pytest.mark.npm
def test_the_schema_is_at_hand(registry: Registry, leaky: Report) -> None:
    folder = os.environ.get("LEAKFIX_NODE_MODULES")
    if not folder or not Path(folder, SCHEMA).is_file():
        pytest.skip("LEAKFIX_NODE_MODULES does not name a node_modules folder with @microsoft/jest-sarif")
    assert checked_sarif(text_of("sarif", leaky))["version"] == "2.1.0"
    log = checked_sarif(text_of("sarif-all", leaky))
    log["runs"][0]["results"][0]["level"] = "dire"
    with pytest.raises(AssertionError, match="dire"):
        checked_sarif(json.dumps(log))


def test_sarif_holds_the_path_the_fix_and_the_rule(leaky: Report) -> None:
    (run,) = checked_sarif(text_of("sarif", leaky))["runs"]
    assert [result["ruleId"] for result in run["results"]] == [found.rule for found in leaky.findings]
    result, finding = run["results"][0], leaky.findings[0]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "app/orders.py", "uriBaseId": "WORKINGDIRECTORY", "index": 0}
    assert place["region"] == {"startLine": 5, "startColumn": 18, "endLine": 5, "endColumn": 39}
    steps = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["location"]["message"]["text"] for step in steps] == [step.what for step in finding.witness]
    assert result["partialFingerprints"]["leakfix/v1"] == finding.fingerprint
    assert "baselineState" not in result
    rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert rule["id"] == "sqlite3/unclosed-connection"
    assert "Why it hurts" in rule["help"]["markdown"]
    (told,) = run["invocations"][0]["toolExecutionNotifications"]
    assert told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "broken.py"


def test_sarif_fixes_make_what_the_edits_make(leaky: Report) -> None:
    (run,) = checked_sarif(text_of("sarif", leaky))["runs"]
    fixed = 0
    for result, finding in zip(run["results"], leaky.findings, strict=True):
        if finding.fix is None:
            assert "fixes" not in result
            continue
        source = leaky.sources[finding.path]
        (change,) = result["fixes"][0]["artifactChanges"]
        assert replaced(source, change["replacements"]) == source.edited(finding.fix.edits).data.decode()
        fixed += 1
    assert fixed >= 2


def replaced(source: SourceFile, replacements: list[dict[str, Any]]) -> str:
    """The text after SARIF's replacements, by lines and characters alone."""
    text = source.data.decode()
    starts = [0, *(match.end() for match in re.finditer(r"\r\n|\n|\r", text))]
    for item in reversed(replacements):
        region = item["deletedRegion"]
        start = starts[region["startLine"] - 1] + region["startColumn"] - 1
        end = starts[region["endLine"] - 1] + region["endColumn"] - 1
        text = text[:start] + item["insertedContent"]["text"] + text[end:]
    return text


def test_what_is_accepted_is_suppressed_in_the_whole_log_alone(tree: Path, registry: Registry, leaky: Report) -> None:
    assert [(found.path, found.accepted) for found in leaky.accepted] == [("allowed.py", "comment")]
    assert "allowed.py" not in text_of("sarif", leaky)
    (run,) = checked_sarif(text_of("sarif-all", leaky))["runs"]
    assert [result["suppressions"][0]["kind"] for result in run["results"] if "suppressions" in result] == ["inSource"]

    from leakfix.project.baseline import Baseline

    orders = next(found for found in leaky.findings if found.path == "app/orders.py")
    config = Config(root=str(tree))
    Baseline.of(config).with_findings([orders], leaky.sources).write()
    report = engine.check(["."], config, registry, jobs=1)
    assert orders.fingerprint not in {found.fingerprint for found in report.findings}
    (run,) = checked_sarif(text_of("sarif-all", report))["runs"]
    states = {result["partialFingerprints"]["leakfix/v1"]: result.get("baselineState") for result in run["results"]}
    assert states.pop(orders.fingerprint) == "unchanged"
    assert set(states.values()) == {"new", None}


def test_uris_lead_back_to_the_file() -> None:
    report = reports.hostile()
    (run,) = checked_sarif(text_of("sarif", report))["runs"]
    uris = [artifact["location"]["uri"] for artifact in run["artifacts"]]
    assert {os.fsdecode(unquote_to_bytes(uri)) for uri in uris} == set(report.sources)
    assert all(re.fullmatch(r"[A-Za-z0-9._~%/-]+", uri) for uri in uris)


def test_github_reads_back_what_was_meant() -> None:
    report = reports.hostile()
    lines = text_of("github", report).split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(report.findings) + len(report.errors)
    for line, finding in zip(lines, report.findings, strict=False):
        properties, message = annotation(line)
        assert properties["file"] == visible(finding.path)
        assert (properties["line"], properties["title"]) == ("1", finding.rule)
        assert message.startswith("\n".join(map(visible, finding.message.split("\n"))))


def annotation(line: str) -> tuple[dict[str, str], str]:
    """A workflow command as the runner reads it."""
    match = re.fullmatch(r"::(error|warning|notice) (.*?)::(.*)", line)
    assert match is not None
    pairs = (part.split("=", 1) for part in match[2].split(","))
    return {name: unescaped(value) for name, value in pairs}, unescaped(match[3])


def unescaped(text: str) -> str:
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, character)
    return text


def test_gitlab_issues_are_apart(leaky: Report) -> None:
    issues = json.loads(text_of("gitlab", leaky))
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) == len(leaky.findings)
    assert issues[0]["location"] == {"path": "app/orders.py", "lines": {"begin": 5, "end": 5}}
    assert {issue["severity"] for issue in issues} <= {"info", "minor", "major", "critical", "blocker"}


def test_junit_counts_what_it_holds(leaky: Report) -> None:
    root = ElementTree.fromstring(text_of("junit", leaky).encode())
    assert len(root.findall(".//failure")) == int(root.get("failures", "")) == len(leaky.findings)
    assert len(root.findall(".//error")) == int(root.get("errors", "")) == 1
    assert len(root.findall(".//testcase")) == int(root.get("tests", ""))
    assert sum(int(suite.get("tests", "")) for suite in root.findall("testsuite")) == int(root.get("tests", ""))


def test_junit_of_a_clean_project_has_a_test_that_passes() -> None:
    root = ElementTree.fromstring(text_of("junit", reports.report([], [])).encode())
    assert [case.get("name") for case in root.findall(".//testcase")] == ["No leaks found: 0 files in 0.5 s."]
    assert root.findall(".//failure") == []


def test_suggestions_make_what_the_edits_make(leaky: Report) -> None:
    lines = [json.loads(line) for line in text_of("rdjsonl", leaky).splitlines()]
    assert [line["code"]["value"] for line in lines] == [found.rule for found in leaky.findings]
    suggested = 0
    for line, finding in zip(lines, leaky.findings, strict=True):
        source = leaky.sources[finding.path]
        start, end = (offset_of(source, line["location"]["range"][side]) for side in ("start", "end"))
        assert source.data[start:end].decode() == source.text(finding.span)
        for suggestion in line.get("suggestions", ()):
            assert finding.fix is not None
            assert suggestion_applied(source, suggestion) == source.edited(finding.fix.edits).data
            suggested += 1
    assert suggested >= 1


def offset_of(source: SourceFile, position: dict[str, int]) -> int:
    return source.offset(position["line"], position["column"] - 1)


def suggestion_applied(source: SourceFile, suggestion: dict[str, Any]) -> bytes:
    """The bytes with whole lines replaced, as forges do it."""
    lines = source.data.splitlines(keepends=True)
    first, last = suggestion["range"]["start"]["line"], suggestion["range"]["end"]["line"]
    end = re.search(rb"[\r\n]*$", lines[last - 1])
    assert end is not None
    text = suggestion["text"].encode() + end.group()
    return b"".join([*lines[: first - 1], text, *lines[last:]])


@FEW
@given(st.lists(st.sampled_from(["a", "é😀", "", "  x"]), min_size=1, max_size=6), st.data())
def test_suggestions_are_whole_lines_whatever_changes(lines: list[str], data: st.DataObject) -> None:
    from leakfix.finding import Fix, Safety
    from leakfix.source import Edit

    newline = data.draw(st.sampled_from(["\n", "\r\n"]))
    source = SourceFile.utf8("a.go", (newline.join([*lines, "end"]) + newline).encode())
    at = data.draw(st.integers(0, len(lines) - 1))
    start = source.line_starts[at]
    end = data.draw(st.sampled_from([start, source.line_starts[at + 1]]))
    text = data.draw(st.sampled_from(["", f"new{newline}", f"new{newline}er{newline}"])).encode()
    fix = Fix("change", Safety.SAFE, (Edit(start, end, text),))
    after = source.edited(fix.edits).data
    (line,) = text_of("rdjsonl", reports.report([source], [reports.finding(source, "x", fix=fix)])).splitlines()
    for suggestion in json.loads(line)["suggestions"] if after != source.data else ():
        if suggestion["text"]:
            assert suggestion_applied(source, suggestion) == after


def test_the_diff_is_the_one_that_apply_prints(tree: Path, leakfix: Any, leaky: Report) -> None:
    diff = text_of("diff", leaky).encode("utf-8", "surrogateescape")
    assert diff == leakfix("apply", "--diff").stdout
    subprocess.run(["git", "apply", "-"], input=diff, cwd=tree, check=True)
    again = leakfix("check", "--output-format", "json").stdout
    assert all(found["fix"] is None for found in json.loads(again)["findings"])


def test_the_diff_tells_what_it_leaves_out(tree: Path, registry: Registry, tmp_path_factory: Any) -> None:
    away = tmp_path_factory.mktemp("away") / "orders.py"
    away.write_text(reports.LEAKY)
    (tree / "link.py").symlink_to(away)
    report = engine.check(["link.py"], Config(), registry, jobs=1)
    assert text_of("diff", report) == "# link.py: is a link to a file outside the working directory\n"


def test_markdown_folds_each_finding_and_says_why_once(leaky: Report) -> None:
    text = text_of("markdown", leaky)
    assert text.count("<details>") == text.count("</details>") == len(leaky.findings)
    why = leaky.rules()["sqlite3/unclosed-connection"].section("Why it hurts").replace("``", "`")
    assert text.count(why) == 1
    assert "| `sqlite3/unclosed-connection` | " in text
    assert "- `broken.py`: " in text


def test_markdown_fits_into_a_comment() -> None:
    source = SourceFile.python("a.py", b"x = 1\ny = 2\n" * 50)
    report = reports.report([source], [reports.finding(source, "long " * 50, number) for number in range(300)])
    text = text_of("markdown", report)
    assert len(text) < 65_536 + 300 * 20
    shown = text.count("<details>")
    assert 0 < shown < 300
    assert f"And {300 - shown} more" in text


@FEW
@given(TEXTS, TEXTS)
def test_no_text_breaks_a_format(text: str, name: str) -> None:
    source = SourceFile.python(f"{name.replace('/', '').replace(chr(0), '')}.py", b"x = 1\ny = 2\n")
    report = reports.report([source], [reports.finding(source, text)], [(name, text)])
    assert len(checked_sarif(text_of("sarif", report))["runs"][0]["results"]) == 1
    assert len(json.loads(text_of("json", report))["findings"]) == 1
    properties, _ = annotation(text_of("github", report).split("\n")[0])
    assert properties["file"] == visible(source.path)
    assert json.loads(text_of("gitlab", report))[0]["location"]["path"] == source.path
    root = ElementTree.fromstring(text_of("junit", report).encode())
    assert root.find(".//failure").get("message") == visible(text)  # type: ignore[union-attr]
    assert json.loads(text_of("rdjsonl", report))["location"]["path"] == source.path
    assert elements(text_of("html", report)) <= MEANT


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_text_stays_text(tree: Path, name: str) -> None:
    report = reports.hostile()
    if name == "diff":  # its own test: it reads and writes files
        return
    text = text_of(name, report)
    text.encode("utf-8")
    shown = text if name not in ("json", "sarif", "sarif-all", "rdjsonl", "gitlab") else ""
    assert "\x1b" not in text
    assert "\x00" not in text
    assert not {"\u202e", "\u2028"} & set(shown)
    if name == "html":
        assert elements(text) <= MEANT
    if name == "markdown":
        page = MarkdownIt("commonmark").enable("table").render(text)
        reader = read(page)
        assert not reader.elements - {*"details summary code h2 h3 p ul ol li table thead tbody tr th td pre".split()}
        prose = re.sub(r"(`+).*?\1", "", re.sub(r"<code>.*?</code>", "", text), flags=re.DOTALL)
        assert "@all" not in prose
        assert "&#64;all" in prose


MEANT = set(
    "html head meta title style body script header footer main aside nav section article div span p a h1 h2 h3 h4 h5 "
    "ul ol li dl dt dd details summary code mark b i kbd form label input select option button svg rect".split()
)


def elements(page: str) -> set[str]:
    """The elements of a page. Fails where one of them has an event handler, or scripts are more than one."""
    reader = read(page)
    assert reader.scripts == 1
    assert not [name for name in reader.attributes if name.startswith("on") or name == "style"]
    return reader.elements


def read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    return reader


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.scripts += tag == "script"


def test_the_page_tells_all_there_is(leaky: Report) -> None:
    page = text_of("html", leaky)
    assert page.count('<article class="finding"') == len(leaky.findings)
    for finding in leaky.findings:
        assert f'id="f-{finding.fingerprint}"' in page
    refusal = next(finding.refusal for finding in leaky.findings if finding.refusal)
    assert visible(refusal).replace("'", "&#x27;") in page
    assert "allowed by a comment" in page
    assert "Not looked at" in page
    assert "Why it hurts" in page
    assert not re.search(r"(src|href)=\"(?!#)", page)


def test_a_clean_page_says_so() -> None:
    assert "No leaks found." in text_of("html", reports.report([], []))


def steps_of(page: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r'<i class="([^"]*stop[^"]*)"><b>(\d+)</b>', page)


def test_a_path_that_jumps_back_turns_into_the_next_lane() -> None:
    from leakfix.finding import Step

    source = SourceFile.python("a.py", b"".join(b"line_%d()\n" % number for number in range(1, 30)))
    steps = tuple(Step(line, f"at {line}") for line in (3, 9, 5, 20))
    page = text_of("html", reports.report([source], [reports.finding(source, "x", line=3, witness=steps)]))
    assert 'data-lanes="3"' in page
    assert [number for _, number in steps_of(page)] == ["1", "3", "2", "4"]
    parts = {number: set(classes.split()) for classes, number in steps_of(page)}
    assert "out" in parts["2"]
    assert "out" in parts["3"]
    assert "end" in parts["4"]
    assert "lines</span>" in page  # what is left out between


def test_every_format_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    listed = re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)
    assert listed == list(FORMATS)
