"""What a run found, summed up: for the terminal here, as a page in ``page.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from leakfix.fleet.result import Result, Status
from leakfix.fleet.results import Entry, Results
from leakfix.project.display import visible

if TYPE_CHECKING:
    from rich.table import Table

SEVERITIES = ("error", "warning", "note")
_MOST_ROWS = 20
_PLAIN_WIDTH = 120


@dataclass(frozen=True)
class Row:
    """One repository, without its findings."""

    entry: Entry
    message: str
    seconds: float
    files: int
    fixable: int
    unreadable: int
    severities: Mapping[str, int]

    @property
    def findings(self) -> int:
        """How many there are."""
        return sum(self.severities.values())

    @property
    def commit(self) -> str:
        """The commit, short enough to be shown."""
        return (self.entry.commit or "")[:10]


@dataclass(frozen=True)
class RuleCount:
    """What one rule found, in how many repositories."""

    rule: str
    findings: int
    repositories: int


@dataclass(frozen=True)
class Overview:
    """A run. rows: every repository, the worst first."""

    rows: tuple[Row, ...]
    rules: tuple[RuleCount, ...]
    results: Results = field(repr=False)

    @classmethod
    def of(cls, results: Results) -> Overview:
        """Read what a run is about, one result at a time."""
        rows, findings, repositories = [], Counter[str](), Counter[str]()
        for entry in results.reported:
            result = results.read(entry)
            rules = Counter(str(finding.get("rule")) for finding in result.findings)
            findings.update(rules)
            repositories.update(rules.keys())
            rows.append(_row(entry, result))
        counts = (RuleCount(rule, number, repositories[rule]) for rule, number in findings.most_common())
        return cls(tuple(sorted(rows, key=_badness)), tuple(counts), results)

    @property
    def checked(self) -> tuple[Row, ...]:
        """The repositories that were looked at."""
        return tuple(row for row in self.rows if row.entry.status == Status.CHECKED)

    @property
    def unchecked(self) -> tuple[Row, ...]:
        """Those that could not be."""
        return tuple(row for row in self.rows if row.entry.status != Status.CHECKED)

    @property
    def leaky(self) -> tuple[Row, ...]:
        """Those where something was found, the worst first."""
        return tuple(row for row in self.rows if row.findings)

    @property
    def slowest(self) -> tuple[Row, ...]:
        """All, by the time they took."""
        return tuple(sorted(self.rows, key=lambda row: -row.seconds))

    def findings_of(self, row: Row) -> Sequence[Mapping[str, Any]]:
        """The findings of a repository, the worst first."""
        found = self.results.read(row.entry).findings
        order = {severity: number for number, severity in enumerate(SEVERITIES)}
        return sorted(found, key=lambda finding: order.get(str(finding.get("severity")), len(order)))


def write_summary(overview: Overview, stream: IO[str], colour: bool) -> None:
    """Tables for a terminal, or the same as plain text."""
    from rich.console import Console
    from rich.text import Text

    width = None if stream.isatty() else _PLAIN_WIDTH
    console = Console(file=stream, width=width, no_color=not colour, highlight=False, markup=False, emoji=False)
    for table in _tables(overview):
        console.print(table)
        console.print()
    console.print(Text(total(overview)), soft_wrap=True)


def total(overview: Overview) -> str:
    """Everything in one sentence or two."""
    findings = sum(row.findings for row in overview.rows)
    fixable = sum(row.fixable for row in overview.rows)
    files = sum(row.files for row in overview.rows)
    found = f"{_counted(findings, 'finding')} in {_counted(len(overview.leaky), 'repository')} ({fixable} with a fix)"
    looked = (
        f"Checked {len(overview.checked):,} of {_counted(len(overview.rows), 'repository')}, {files:,} files: {found}."
    )
    unread = sum(row.unreadable for row in overview.rows)
    return looked + (f" {_counted(unread, 'file')} could not be read or parsed." if unread else "")


def _counted(number: int, noun: str) -> str:
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else many}"


def _row(entry: Entry, result: Result) -> Row:
    summary = result.summary or {}
    return Row(
        entry,
        result.message,
        result.seconds,
        _number(summary.get("files")),
        _number(summary.get("fixable")),
        len(result.errors),
        Counter(str(finding.get("severity")) for finding in result.findings),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _badness(row: Row) -> tuple[object, ...]:
    counts = [-row.severities.get(severity, 0) for severity in SEVERITIES]
    return (*counts, row.entry.repository, row.entry.ref or "")


def _tables(overview: Overview) -> Iterator[Table]:
    if overview.leaky:
        yield _worst(overview.leaky)
        yield _by_rule(overview.rules)
    if overview.unchecked:
        yield _unchecked(overview.unchecked)


def _worst(rows: Sequence[Row]) -> Table:
    table = _table("Repository", "Commit", *(f"{severity}s" for severity in SEVERITIES), "fixable", "seconds", right=2)
    for row in rows[:_MOST_ROWS]:
        counts = (str(row.severities.get(severity, 0)) for severity in SEVERITIES)
        table.add_row(_name(row), row.commit, *counts, str(row.fixable), f"{row.seconds:.1f}")
    return _with_rest(table, len(rows))


def _by_rule(rules: Sequence[RuleCount]) -> Table:
    table = _table("Rule", "findings", "repositories", right=1)
    for count in rules[:_MOST_ROWS]:
        table.add_row(visible(count.rule), str(count.findings), str(count.repositories))
    return _with_rest(table, len(rules))


def _unchecked(rows: Sequence[Row]) -> Table:
    table = _table("Not checked", "why", right=2)
    for row in rows[:_MOST_ROWS]:
        reason = row.message if row.entry.status == Status.FAILED else f"{row.entry.status}: {row.message}"
        table.add_row(_name(row), visible(reason))
    return _with_rest(table, len(rows))


def _table(*columns: str, right: int) -> Table:
    """An empty table whose columns from a number on are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number >= right else "left", overflow="fold")
    return table


def _with_rest(table: Table, rows: int) -> Table:
    if rows > _MOST_ROWS:
        table.add_row(f"... and {rows - _MOST_ROWS:,} more")
    return table


def _name(row: Row) -> str:
    return visible(row.entry.repository + (f" @{row.entry.ref}" if row.entry.ref else ""))
