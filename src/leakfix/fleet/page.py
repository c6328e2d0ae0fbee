"""A run as one page: nothing is loaded from anywhere, and everything is there without its script, which only sorts.

Everything that comes from a repository or its forge is escaped, and the page's own policy allows no other script or
style than the two that stand here.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from leakfix.fleet.report import SEVERITIES, Overview, Row, total
from leakfix.project.display import visible

_MOST_REPOSITORIES = 200
_MOST_FINDINGS = 100
_SLOWEST = 10

_STYLE = """
:root { color-scheme: light dark; --line: #d8dbe0; --dim: #5c6470; --bar: #f4f5f7; --bad: #b3261e; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a3f47; --dim: #9aa3af; --bar: #1d2025; --bad: #ff8a80; --warn: #ffca6b; }
}
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
code, .at { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
.totals { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; list-style: none; }
.totals li { background: var(--bar); border-radius: .5rem; padding: .5rem .9rem; }
.totals b { display: block; font-size: 1.4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { white-space: nowrap; } td:first-child { overflow-wrap: anywhere; min-width: 11rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; overflow-wrap: anywhere; }
details ul { padding-left: 1rem; } details li { margin: .4rem 0; }
.dim { color: var(--dim); } .error { color: var(--bad); } .warning { color: var(--warn); }
"""

_SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      const value = row => row.cells[column].textContent;
      const number = head.classList.contains("number");
      const compare = (a, b) => number ? value(a).replaceAll(",", "") - value(b).replaceAll(",", "")
                                       : value(a).localeCompare(value(b));
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...[...body.rows].sort((a, b) => down ? compare(b, a) : compare(a, b)));
    });
  });
}
"""


def write_page(overview: Overview, path: str) -> None:
    """Write the page in one step: who looks at the file sees the former page or this one."""
    target = os.path.realpath(path)
    temporary = f"{target}-{os.urandom(8).hex()}.tmp"
    try:
        with open(temporary, "x", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in page(overview))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def page(overview: Overview) -> Iterator[str]:
    """The lines of the page."""
    policy = f"default-src 'none'; style-src '{_digest(_STYLE)}'; script-src '{_digest(_SCRIPT)}'"
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>leakfix: {len(overview.rows):,} repositories</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>leakfix</h1><p>{_text(total(overview))}</p>"
    yield from _totals(overview)
    yield from _unchecked(overview)
    yield from _rules(overview)
    yield from _repositories(overview)
    yield from _worst(overview)
    yield from _slowest(overview)
    yield f"<script>{_SCRIPT}</script></body></html>"


def _totals(overview: Overview) -> Iterator[str]:
    numbers = {
        "checked": len(overview.checked),
        "not checked": len(overview.unchecked),
        "with findings": len(overview.leaky),
        "files": sum(row.files for row in overview.rows),
        **{f"{name}s": sum(row.severities.get(name, 0) for row in overview.rows) for name in SEVERITIES},
        "with a fix": sum(row.fixable for row in overview.rows),
    }
    yield '<ul class="totals">'
    yield from (f"<li><b>{number:,}</b>{_text(name)}</li>" for name, number in numbers.items())
    yield "</ul>"


def _unchecked(overview: Overview) -> Iterator[str]:
    if not overview.unchecked:
        return
    yield f"<h2>Not checked ({len(overview.unchecked):,})</h2>"
    rows = ((_repository(row), _text(row.entry.status), _text(row.message)) for row in overview.unchecked)
    yield from _table(("repository", "status", "why"), rows)


def _rules(overview: Overview) -> Iterator[str]:
    if not overview.rules:
        return
    yield "<h2>By rule</h2>"
    rows = ((f"<code>{_text(one.rule)}</code>", one.findings, one.repositories) for one in overview.rules)
    yield from _table(("rule", "findings", "repositories"), rows)


def _repositories(overview: Overview) -> Iterator[str]:
    yield "<h2>By repository</h2>"
    heads = ("repository", "commit", "status", *(f"{name}s" for name in SEVERITIES), "fixable", "files", "seconds")
    yield from _table(heads, map(_repository_cells, overview.rows))


def _repository_cells(row: Row) -> tuple[object, ...]:
    counts = (row.severities.get(name, 0) for name in SEVERITIES)
    commit = f"<code>{_text(row.commit)}</code>"
    return _repository(row), commit, _text(row.entry.status), *counts, row.fixable, row.files, row.seconds


def _slowest(overview: Overview) -> Iterator[str]:
    yield "<h2>Slowest</h2>"
    rows = ((_repository(row), row.files, row.seconds) for row in overview.slowest[:_SLOWEST])
    yield from _table(("repository", "files", "seconds"), rows)


def _worst(overview: Overview) -> Iterator[str]:
    if not overview.leaky:
        return
    yield "<h2>Findings, worst repositories first</h2>"
    for row in overview.leaky[:_MOST_REPOSITORIES]:
        yield from _details(overview, row)
    yield from _rest(len(overview.leaky) - _MOST_REPOSITORIES, "repositories", overview)


def _details(overview: Overview, row: Row) -> Iterator[str]:
    counts = ", ".join(f"{row.severities[name]:,} {name}s" for name in SEVERITIES if row.severities.get(name))
    yield f'<details><summary>{_text(_name(row))} <span class="dim">{counts}</span></summary><ul>'
    for finding in overview.findings_of(row)[:_MOST_FINDINGS]:
        yield f"<li>{_finding(row, finding)}</li>"
    yield "</ul>"
    yield from _rest(row.findings - _MOST_FINDINGS, "findings", overview)
    yield "</details>"


def _finding(row: Row, finding: Mapping[str, Any]) -> str:
    severity = str(finding.get("severity"))
    style = severity if severity in SEVERITIES else "note"
    rule, message = _text(finding.get("rule")), _text(finding.get("message"))
    place = _text(f"{finding.get('path')}:{finding.get('line')}")
    return (
        f'<span class="at">{place}</span> <span class="{style}">{_text(severity)}</span> <code>{rule}</code> {message}'
    )


def _rest(number: int, noun: str, overview: Overview) -> Iterator[str]:
    if number > 0:
        yield f'<p class="dim">{number:,} more {noun} are in {_text(overview.results.path)}</p>'


def _table(heads: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    """A table of cells that are numbers, or markup whose text has been escaped."""
    lines = list(rows)
    numeric = [bool(lines) and isinstance(cell, int | float) for cell in (lines[0] if lines else heads)]
    marks = [' class="number"' if number else "" for number in numeric]
    yield '<div class="wide"><table class="sortable"><thead><tr>'
    yield "".join(f"<th{mark}>{_text(head)}</th>" for mark, head in zip(marks, heads, strict=True))
    yield "</tr></thead><tbody>"
    for line in lines:
        yield f"<tr>{''.join(f'<td{mark}>{_cell(cell)}</td>' for mark, cell in zip(marks, line, strict=True))}</tr>"
    yield "</tbody></table></div>"


def _cell(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _repository(row: Row) -> str:
    """The name, as a link where a browser can follow it."""
    if row.entry.repository.startswith("https://"):
        address = escape(quote(row.entry.repository, safe=":/%?=&~@"))
        return f'<a href="{address}" rel="noreferrer">{_text(_name(row))}</a>'
    return _text(_name(row))


def _name(row: Row) -> str:
    shown = row.entry.repository.removeprefix("https://").removesuffix(".git")
    return shown + (f" @{row.entry.ref}" if row.entry.ref else "")


def _text(value: object) -> str:
    return escape(visible(str(value)))


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
