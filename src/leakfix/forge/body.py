"""The texts on a forge: a pull request's body is the review of its repairs, an issue is the dashboard.

Code, paths and messages come from the repository and are shown as they are, whatever they hold: nothing in them is
read as markup, mentions nobody and cannot be taken for leakfix's own marks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leakfix import __version__
from leakfix.finding import Safety
from leakfix.forge.proposals import Proposal, Repair, severities
from leakfix.project.display import visible
from leakfix.report.difference import rows
from leakfix.report.markdown import code, fenced, plain

LABEL, REBASE, STOP = "leakfix", "leakfix:rebase", "leakfix:stop-updating"
DASHBOARD = "leakfix:dashboard"
WITHDRAWN = "withdrawn"
_STACK = 6  # lines of it that are shown
_LARGEST = 60_000  # characters; GitHub takes 65,536
_MARK = re.compile(r"\A<!-- leakfix:(\{.*?\}) -->")
_TICKED = re.compile(r"^- \[[xX]\] <!-- again:(\S+) -->", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mark:
    """What leakfix knows of a pull request of its own. head: the commit it pushed last."""

    key: str
    content: str
    head: str

    def __str__(self) -> str:
        told = json.dumps({"key": self.key, "content": self.content, "head": self.head})
        return f"<!-- leakfix:{told.replace('--', chr(92) + 'u002d-')} -->"


def withdrawn(body: str) -> str:
    """The body of a pull request that leakfix closes itself: that is nobody's refusal."""
    mark = mark_of(body)
    return body if mark is None else body.replace(str(mark), str(Mark(mark.key, WITHDRAWN, mark.head)), 1)


def mark_of(body: str) -> Mark | None:
    """The mark a body begins with."""
    match = _MARK.match(body)
    if match is None:
        return None
    try:
        told = json.loads(match[1])
        return Mark(str(told["key"]), str(told["content"]), str(told["head"]))
    except (ValueError, KeyError, TypeError):
        return None


def body_of(proposal: Proposal, head: str, why: str) -> str:
    """The body of a pull request. why: what the codemod says of the harm."""
    count = len(proposal.repairs)
    lines = [
        str(Mark(proposal.key, proposal.content, head)),
        f"leakfix found {count} place{'' if count == 1 else 's'} ({severities(proposal.findings)}) of "
        f"`{proposal.rule}` and repairs {'it' if count == 1 else 'them'} here.",
        "",
        *_why(why),
    ]
    ending = list(_ending(proposal))
    room = _LARGEST - sum(len(line) + 1 for line in [*lines, *ending])
    for number, repair in enumerate(proposal.repairs):
        told = "\n".join(_told(repair))
        if len(told) > room:
            lines += [f"And {count - number} more, which the changed files show.", ""]
            break
        room -= len(told) + 1
        lines.append(told)
    return "\n".join([*lines, *ending])


def _why(why: str) -> Iterator[str]:
    if why:
        yield "### Why it hurts"
        yield ""
        yield re.sub(r"``(.+?)``", r"`\1`", why)
        yield ""


def _told(repair: Repair) -> Iterator[str]:
    finding = repair.finding
    yield f"### {code(f'{visible(finding.path)}:{finding.line}')} in {code(visible(finding.function))}"
    yield ""
    yield f"{plain(finding.message)}."
    yield ""
    for step in finding.witness:
        yield f"1. line {step.line}: {plain(step.what)}"
    yield ""
    if finding.observed is not None and finding.observed.confirms:
        yield f"Seen at run time, {plain(str(finding.observed))}:"
        yield ""
        yield from (f"- {code(visible(line))}" for line in finding.observed.stack[:_STACK])
        yield ""
    yield from _difference(repair)
    yield ""
    if finding.fix is not None:
        sure = "safe" if finding.fix.safety is Safety.SAFE else "**please review**"
        check = f" Check {plain(finding.fix.check)}." if finding.fix.check else ""
        yield f"Repair ({sure}): {plain(finding.fix.title)}.{check}"
        yield ""


def _difference(repair: Repair) -> Iterator[str]:
    told = []
    for row in rows(repair.before, repair.after):
        told.append(f"@@ line {row.old} @@" if row.sign == "@" else f"{row.sign}{visible(row.text)}")
    yield fenced("diff", told)


def _ending(proposal: Proposal) -> Iterator[str]:
    paths = " ".join(sorted({repair.finding.path for repair in proposal.repairs})[:5])
    flag = " --unsafe-fixes" if any(_wants_review(repair) for repair in proposal.repairs) else ""
    yield "### How it was verified"
    yield ""
    yield (
        "Each file was compiled and analysed again after its repair: the leak is gone on every path, no other was "
        "opened, and no other statement was lost. The project's tests were not run; this pull request lets them."
    )
    yield ""
    yield "### If you do not want it"
    yield ""
    yield f"- Close this pull request: it is not opened again, unless somebody ticks it in the issue `{DASHBOARD}`."
    yield f"- Allow the leak where it is: `# leakfix: allow[{proposal.rule}] reason` on its line."
    yield f"- Push to the branch: leakfix then leaves it alone. The label `{STOP}` has the same effect."
    yield f"- The label `{REBASE}` has it made anew, whatever was pushed to it."
    yield ""
    yield f"By hand: {code(f'leakfix apply --select {proposal.rule}{flag} {visible(paths)}')}"
    yield ""
    yield f"leakfix {__version__}"


def _wants_review(repair: Repair) -> bool:
    return repair.finding.fix is not None and repair.finding.fix.safety is Safety.REVIEW


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the dashboard. key: set where a tick has it opened again; ticked: where that is still to be done."""

    text: str
    url: str = ""
    key: str = ""
    ticked: bool = False


def dashboard_of(groups: Sequence[tuple[str, Sequence[Entry]]]) -> str:
    """The body of the dashboard issue."""
    lines = [
        "<!-- leakfix-dashboard -->",
        "leakfix keeps one pull request for each rule and package with leaks it can repair. It remembers nothing but "
        "what stands here: what was closed without being merged stays closed, until it is ticked below.",
    ]
    for title, entries in groups:
        if entries:
            lines += ["", f"### {title}", "", *map(_entry, entries)]
    return "\n".join([*lines, ""])


def _entry(entry: Entry) -> str:
    tick = f"[{'x' if entry.ticked else ' '}] <!-- again:{_word(entry.key)} --> " if entry.key else ""
    link = f" ({entry.url})" if entry.url else ""
    return f"- {tick}{plain(entry.text)}{link}"


def ticked(body: str) -> set[str]:
    """The keys that people ticked on the dashboard."""
    return {json.loads(f'"{word}"') for word in _TICKED.findall(body) if '"' not in word}


def _word(key: str) -> str:
    """A key without blanks, and without what would end a comment."""
    return json.dumps(key)[1:-1].replace(" ", "\\u0020").replace("--", "\\u002d-")
