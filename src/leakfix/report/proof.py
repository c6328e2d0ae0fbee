"""What `leakfix prove` found: one table, as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from leakfix import __version__
from leakfix.project.display import visible
from leakfix.runtime.evidence import document, fate

if TYPE_CHECKING:
    from leakfix.proof.prove import Proof, Run

Row = tuple[str, str, str]

SCHEMA = 1
_MOST = 10


def rendered(proof: Proof) -> Iterator[str]:
    """For a terminal."""
    rows = [("", "before", "after"), *_rows(proof)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, before, after in rows:
        yield f"{name:<{widths[0]}}  {before:>{widths[1]}}  {after:>{widths[2]}}\n"
    yield "\n"
    yield from (f"{line}\n" for line in _said(proof))


def markdown(proof: Proof) -> Iterator[str]:
    """For a pull request or a page."""
    yield "| | before | after |\n|---|---:|---:|\n"
    yield from (f"| {name} | {before} | {after} |\n" for name, before, after in _rows(proof))
    yield "\n"
    yield from (f"- {line}\n" for line in _said(proof))


def dumped(proof: Proof) -> str:
    """For programs."""
    values = {
        "leakfix": __version__,
        "schema": SCHEMA,
        "holds": proof.holds,
        "before": _run(proof.before),
        "after": _run(proof.after),
        "differing": list(proof.differing),
        "repaired": [_place(finding) for finding in proof.repaired],
        "remaining": [_place(finding) for finding in proof.remaining],
        "foreign": list(proof.foreign),
    }
    return json.dumps(values, indent=2)


def _place(finding: Any) -> dict[str, Any]:
    return {"rule": finding.rule, "path": finding.path, "line": finding.line, "fingerprint": finding.fingerprint}


def _run(run: Run) -> dict[str, Any]:
    return {
        "exit_code": run.ended.code,
        "seconds": round(run.ended.seconds, 3),
        "open": run.open,
        "peak": run.evidence.peak,
        "timeouts": run.timeouts,
        "memory_growth": run.growth,
        "figures": dict(run.figures),
        "evidence": document(run.evidence),
    }


def _rows(proof: Proof) -> Iterator[Row]:
    def row(name: str, of: Callable[[Run], str]) -> Row:
        return name, of(proof.before), of(proof.after)

    yield row("left open", lambda run: str(run.open))
    yield row("most open at once", lambda run: str(run.evidence.peak))
    yield row("timeouts waiting for one", lambda run: str(run.timeouts))
    yield row("memory growth, MB", lambda run: f"{run.growth / 1e6:.1f}")
    yield row("seconds", lambda run: f"{run.ended.seconds:.1f}")
    names = dict.fromkeys([*proof.before.figures, *proof.after.figures])
    for name in names:
        yield row(visible(name).replace("_", " "), lambda run, name=name: _number(run.figures.get(name)))  # type: ignore[misc]
    yield row("exit code", lambda run: str(run.ended.code))
    yield "results", "", "differ" if proof.differing else "equal"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.10g}" if value == int(value) else f"{value:.3g}"


def _said(proof: Proof) -> Iterator[str]:
    yield f"{len(proof.repaired)} repaired, {len(proof.remaining)} left"
    for name in proof.differing[:_MOST]:
        yield f"differs: {visible(name)}"
    if len(proof.differing) > _MOST:
        yield f"and {len(proof.differing) - _MOST} more differ"
    for seen in proof.after.evidence.unreleased[:_MOST]:
        yield f"still {visible(seen.path)}:{seen.line} in {visible(seen.function)}: {fate(seen)}"
    for path in proof.foreign[:_MOST]:
        yield f"{visible(path)} of the project itself was run, not the copy's: its figures are no proof"
    if not proof.before.evidence.processes:
        yield "no Python process could be watched; those that ignore PYTHONPATH cannot"
