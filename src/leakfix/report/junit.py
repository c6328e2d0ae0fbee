"""JUnit's XML, which every CI system shows: a finding is a failed test, a file that could not be read an error."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from leakfix.finding import Finding
from leakfix.project.display import visible
from leakfix.report.text import rendered_finding, summary

if TYPE_CHECKING:
    from leakfix.result import FileError, Report
    from leakfix.source import SourceFile


def rendered(report: Report) -> Iterator[str]:
    """A suite for each file; one test that passes where nothing was found, as some systems take none for a fault."""
    failures, errors = len(report.findings), len(report.errors)
    total = _attributes(name="leakfix", tests=failures + errors or 1, failures=failures, errors=errors)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<testsuites{total} time="{report.seconds:.3f}">\n'
    for path, found in groupby(sorted(report.findings, key=attrgetter("path", "line", "column")), attrgetter("path")):
        yield from _suite(path, list(found), report.sources.get(path))
    if report.errors:
        yield f"  <testsuite{_attributes(name='not looked at', tests=errors, failures=0, errors=errors)}>\n"
        yield from map(_error, report.errors)
        yield "  </testsuite>\n"
    if not failures and not errors:
        yield f"  <testsuite{_attributes(name='leakfix', tests=1, failures=0, errors=0)}>\n"
        yield f"    <testcase{_attributes(classname='leakfix', name=summary(report).strip())}/>\n"
        yield "  </testsuite>\n"
    yield "</testsuites>\n"


def _suite(path: str, found: list[Finding], source: SourceFile | None) -> Iterator[str]:
    yield f"  <testsuite{_attributes(name=path, tests=len(found), failures=len(found), errors=0)}>\n"
    for finding in found:
        name = f"{finding.rule} at line {finding.line}, column {finding.column}"
        case = _attributes(classname=path, name=name, file=path, line=finding.line)
        failure = _attributes(message=finding.message, type=finding.rule)
        told = "".join(rendered_finding(finding, source, colour=False))
        yield f"    <testcase{case}>\n      <failure{failure}>{escape(told)}</failure>\n    </testcase>\n"
    yield "  </testsuite>\n"


def _error(error: FileError) -> str:
    case = _attributes(classname=error.path, name="can be looked at", file=error.path)
    return f"    <testcase{case}>\n      <error{_attributes(message=error.message)}/>\n    </testcase>\n"


def _attributes(**values: object) -> str:
    """Attributes with a blank before each; characters that XML has no way to write are shown as escapes."""
    return "".join(f" {key}={quoteattr(visible(str(value)))}" for key, value in values.items())
