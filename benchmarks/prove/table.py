"""Tables in Markdown, made of nothing but a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Record = Mapping[str, Any]

BEGIN, END = "<!-- proof -->\n", "<!-- /proof -->\n"

ROWS: tuple[tuple[str, Callable[[Record], str]], ...] = (
    ("requests sent", lambda it: _whole(it["sent"])),
    ("answered", lambda it: f"{_whole(it['answered'])} ({_share(it['answered'], it['sent'])})"),
    ("failed: 500 and above", lambda it: _whole(it["failed"])),
    ("given up: no answer in {timeout:g} s", lambda it: _whole(it["unanswered"])),
    ("timeouts and exhaustion of a pool, in the service's log", lambda it: _whole(it["pool_timeouts"])),
    ("connections that PostgreSQL refused", lambda it: _whole(it["refused"])),
    ("open connections, highest", lambda it: _whole(it["open_highest"])),
    ("open connections, median", lambda it: f"{it['open_median']:g}"),
    ("active connections, highest", lambda it: _whole(it["active_highest"])),
    ("idle in a transaction, highest", lambda it: _whole(it["in_transaction_highest"])),
    ("idle in a transaction, median", lambda it: f"{it['in_transaction_median']:g}"),
    ("a request's wait, p50", lambda it: _milliseconds(it["latency_p50"])),
    ("a request's wait, p95", lambda it: _milliseconds(it["latency_p95"])),
    ("a request's wait, p99", lambda it: _milliseconds(it["latency_p99"])),
    ("answered per second, of {rate} asked", lambda it: f"{it['answered_per_second']:.1f}"),
    ("memory, first and last", lambda it: f"{it['memory_first']:.1f} → {it['memory_last']:.1f} MB"),
    ("memory growth", lambda it: f"{it['memory_growth']:.1f} MB"),
    ("memory growth per 1,000 answers", lambda it: f"{it['memory_per_thousand']:.1f} MB"),
)


def document(record: Record) -> str:
    """Everything: where it was measured, and a section for each service."""
    sections = [_where(record)]
    sections += [section(record, name) for name in record["services"]]
    sections += [f"Skipped: {name} ({reason})." for name, reason in record["skipped"].items()]
    return "\n\n".join(sections) + "\n"


def section(record: Record, name: str) -> str:
    """The picture, the table and the notes of one service."""
    service = record["services"][name]
    picture = f"![Connections of the service over time, before and after](proof/connections-{name}.svg)"
    notes = [
        f"- Load: {service['rate']} requests per second, {service['leaky_share']:.0%} of them to routes that leak.",
        f"- Pools: {service['pools']}.",
        f"- Repair: {service['repair']}",
        *_causes(service),
        _answers(service),
        *_agreement(service),
    ]
    return "\n\n".join([f"## {service['title']}", picture, table(record, name), "\n".join(notes)])


def table(record: Record, name: str) -> str:
    """The figures of one service."""
    service = record["services"][name]
    lines = ["| | before | after |", "|---|--:|--:|"]
    for label, shown in ROWS:
        label = label.format(timeout=record["load"]["timeout"], rate=service["rate"])
        lines.append(f"| {label} | {shown(service['before'])} | {shown(service['after'])} |")
    return "\n".join(lines)


def short(record: Record) -> str:
    """One line for each service: the table of the front page."""
    lines = [
        "| before → after | open connections, highest | failed or given up | wait, p95 | growth per 1,000 answers |",
        "|---|--:|--:|--:|--:|",
    ]
    for service in record["services"].values():
        cells = [
            _both(service, lambda it: _whole(it["open_highest"])),
            _both(service, lambda it: _share(it["failed"] + it["unanswered"], it["sent"])),
            _both(service, lambda it: _milliseconds(it["latency_p95"])),
            _both(service, lambda it: f"{it['memory_per_thousand']:.1f} MB"),
        ]
        lines.append(f"| {service['title']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def between_markers(text: str, content: str) -> str:
    """The text with the content between its markers; as it is if it has none."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    return f"{head}{BEGIN}{content}{END}{tail}" if begin and end else text


def _where(record: Record) -> str:
    machine, load = record["machine"], record["load"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return (
        f"Measured on {record['date']}: {machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gb']} GB, "
        f"{machine['system']}; {load['clients']} clients for {load['seconds']:g} s a phase; PostgreSQL with "
        f"`max_connections = {load['max_connections']}`; {versions}."
    )


def _causes(service: Record) -> list[str]:
    said = []
    for phase in ("before", "after"):
        causes = [f"{_whole(number)} × `{cause}`" for cause, number in service[phase]["causes"].items()]
        if causes:
            said.append(f"- What went wrong {phase}: {', '.join(causes)}.")
    return said


def _answers(service: Record) -> str:
    answers = service["answers"]
    said = f"- Answers: {_whole(answers['compared'])} paths were answered in both phases"
    notes = {
        "different": "{} with another answer",
        "refused_before": "{} refused before that were not refused after",
        "refused_after": "{} refused after that were not refused before",
    }
    numbers = {**answers, "different": len(answers["different"])}
    exceptions = [note.format(_whole(numbers[kind])) for kind, note in notes.items() if numbers[kind]]
    if not exceptions:
        return f"{said}, each with the same status and body."
    return f"{said}, {', '.join(exceptions)}, the others with the same status and body."


def _agreement(service: Record) -> list[str]:
    """Who saw which leak, where analysis and a watched run were compared; what both saw is only counted."""
    seen = service.get("agreement") or {}
    if not seen:
        return []
    said = [f"{len(places)} {who}" for who, places in seen.items() if places]
    lines = [f"- Leaks of the tables seen by analysis and in a run that was watched: {', '.join(said)}."]
    for who, places in list(seen.items())[1:]:
        lines += [f"  - {who}: {', '.join(f'`{place}`' for place in places)}"] if places else []
    return lines


def _both(service: Record, shown: Callable[[Record], str]) -> str:
    return f"{shown(service['before'])} → {shown(service['after'])}"


def _whole(number: int) -> str:
    return f"{number:,}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0%"


def _milliseconds(number: float) -> str:
    return f"{number:,.0f} ms" if number >= 10 else f"{number:.1f} ms"
