"""What commits say about repairs: the rule, the leaking path, how sure the repair is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from leakfix import __version__
from leakfix.finding import Finding, Safety
from leakfix.project.display import visible

_WIDTH = 72
_MOST_PATHS = 50
RULE, KEY, BY = "Leakfix-Rule", "Leakfix-Key", "Leakfix-Version"


def commit_message(findings: Sequence[Finding], key: str = "") -> str:
    """The message of a commit that makes these repairs, all of one rule."""
    first = findings[0]
    lines = [_subject(findings), ""]
    for finding in findings[:_MOST_PATHS]:
        lines += [*_path(finding), ""]
    if len(findings) > _MOST_PATHS:
        lines += [f"and {len(findings) - _MOST_PATHS} more.", ""]
    lines.append(f"{RULE}: {first.rule}")
    if key:
        lines.append(f"{KEY}: {key}")
    lines.append(f"{BY}: {__version__}")
    return "\n".join(lines) + "\n"


def _subject(findings: Sequence[Finding]) -> str:
    first = findings[0]
    if len(findings) > 1:
        return f"Repair {first.rule} in {len(findings)} places"
    function = "" if first.function == "<module>" else f" in {first.function}"
    return textwrap.shorten(f"Repair {first.rule}{function}", _WIDTH, placeholder="...")


def _path(finding: Finding) -> Iterator[str]:
    place = f"{visible(finding.path)}:{finding.line}"
    yield from textwrap.wrap(f"{place}: {visible(finding.message)}", _WIDTH, subsequent_indent="  ")
    for step in finding.witness:
        yield from _indented(f"line {step.line}: {visible(step.what)}", 4)
    if finding.observed is not None and finding.observed.confirms:
        yield from _indented(f"At run time {visible(str(finding.observed))}", 2)
    if finding.fix is not None:
        sure = "safe" if finding.fix.safety is Safety.SAFE else "to be reviewed"
        check = f"; check {finding.fix.check}" if finding.fix.check else ""
        yield from _indented(f"Repair ({sure}): {visible(finding.fix.title + check)}", 2)


def _indented(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=" " * columns, subsequent_indent=" " * (columns + 2))


def trailer(message: str, name: str) -> str:
    """The value of a trailer; empty where a message has none."""
    last = message.strip().rpartition("\n\n")[2]
    for line in last.split("\n"):
        key, _, value = line.partition(": ")
        if key == name:
            return value.strip()
    return ""
