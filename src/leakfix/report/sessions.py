"""A picture of a server's sessions: for a terminal, and in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from leakfix.project.display import visible
from leakfix.watch.snapshot import OPEN_AND_IDLE, Group, Session, Snapshot, State
from leakfix.watch.watching import Silence

WARNING, CRITICAL = 0.8, 0.95
"""Parts of the limit from which on the colour changes."""
BAR = 30  # columns
ROWS = 10
"""How many applications and statements are shown where the height does not say."""
AGE_WIDTH = 12  # of "119 min 59 s"
FIXED = 16  # lines of a picture that are there whatever it shows
LEAST_ROWS = 2
OWN = ", this one not counted"
NAMES = {State.ABORTED: "aborted in transaction"}


def rows_for(height: int) -> int:
    """How many rows either table may have on a screen of so many lines."""
    return max(LEAST_ROWS, (height - FIXED) // 2)


def drawn(label: str, snapshot: Snapshot, silence: Silence | None = None, rows: int = ROWS) -> RenderableType:
    """The picture of a server; with a silence, the last one before it."""
    parts: list[RenderableType] = [_heading(label, snapshot)]
    if silence is not None:
        parts.append(_silence(silence))
    parts += [Text(), _usage(snapshot), _states(snapshot), Text(), _oldest(snapshot)]
    parts += [Text(), _applications(snapshot, rows), Text(), _queries(snapshot, rows)]
    if snapshot.notes:
        parts += [Text(), *(Text(f"note: {visible(note)}", "yellow") for note in snapshot.notes)]
    return Stack(*parts)


def line(snapshot: Snapshot) -> str:
    """The picture in one line, for a log."""
    idle = snapshot.idle_in_transaction
    parts = [", ".join(f"{count} {state}" for state, count in snapshot.states.items() if count) or "no sessions"]
    if idle:
        parts.append(f"oldest idle in transaction {_age(idle[0].state_seconds)} ({_who(idle[0])})")
    if snapshot.transactions:
        oldest = snapshot.transactions[0]
        parts.append(f"oldest transaction {_age(oldest.transaction_seconds)} ({_who(oldest)})")
    if snapshot.waiting:
        parts.append(f"{len(snapshot.waiting)} waiting on locks")
    return visible(f"{_clock(snapshot.taken)} {_used(snapshot)}: " + "; ".join(parts))


def silent_line(silence: Silence) -> str:
    """What to say of a server that does not answer."""
    return f"no answer since {_clock(silence.since)}, trying again in {_age(silence.pause)}: {visible(silence.reason)}"


def _heading(label: str, snapshot: Snapshot) -> Text:
    return Text.assemble(
        (visible(label), "bold"),
        f"  {visible(snapshot.version)}  {_clock(snapshot.taken)}",
        overflow="ellipsis",
        no_wrap=True,
    )


def _silence(silence: Silence) -> Text:
    return Text(silent_line(silence), "bold red")


def _usage(snapshot: Snapshot) -> Text:
    share = snapshot.share
    if share is None:
        return Text(f"connections  {snapshot.used}{OWN}, without a limit that is known")
    colour = _colour(share)
    filled = min(BAR, round(share * BAR))
    bar = ("━" * filled, colour), ("━" * (BAR - filled), "dim")
    return Text.assemble("connections  ", *bar, "  ", (_used(snapshot), f"bold {colour}"), (OWN, "dim"))


def _used(snapshot: Snapshot) -> str:
    if snapshot.share is None:
        return f"{snapshot.used} connections"
    return f"{snapshot.used} of {snapshot.limit} connections ({snapshot.share:.0%})"


def _colour(share: float) -> str:
    if share >= CRITICAL:
        return "red"
    return "yellow" if share >= WARNING else "green"


def _states(snapshot: Snapshot) -> Text:
    shown = [(state, count) for state, count in snapshot.states.items() if count or state is not State.UNKNOWN]
    pieces = [(f"{count} {NAMES.get(state, state)}", _weight(state, count)) for state, count in shown]
    return Text("   ").join(Text(text, style) for text, style in pieces)


def _weight(state: State, count: int) -> str:
    if not count:
        return "dim"
    return "bold yellow" if state in OPEN_AND_IDLE else "bold"


def _oldest(snapshot: Snapshot) -> Table:
    """The three sessions somebody looks for first: what they are, for how long, who, and what they ran."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True, min_width=AGE_WIDTH + 8)
    table.add_column(no_wrap=True, min_width=AGE_WIDTH, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    idle, transactions, waiting = snapshot.idle_in_transaction, snapshot.transactions, snapshot.waiting
    _add(table, "idle in transaction", idle, idle[0].state_seconds if idle else None)
    _add(table, "oldest transaction", transactions, transactions[0].transaction_seconds if transactions else None)
    if snapshot.tells_waiting:
        named = f"waiting on locks ({len(waiting)})" if waiting else "waiting on locks"
        _add(table, named, waiting, waiting[0].state_seconds if waiting else None)
    return table


def _add(table: Table, name: str, sessions: Sequence[Session], seconds: float | None) -> None:
    if not sessions:
        table.add_row(name, Text("none", "dim"))
        return
    first = sessions[0]
    blockers = f", blocked by {', '.join(first.blocked_by)}" if first.blocked_by else ""
    text = Text.assemble(visible(_who(first) + blockers), "  ", (visible(first.query), "dim"))
    table.add_row(name, Text(_age(seconds), "bold"), text)


def _who(session: Session) -> str:
    """A session as a person looks it up: its id, its application and its user."""
    return f"pid {session.id}, {_name(session.application)}, {session.user or 'nobody'}"


def _name(application: str) -> str:
    return application or "(no name)"


def _applications(snapshot: Snapshot, rows: int) -> Table:
    table = _table("application", "user")
    groups = snapshot.applications
    for group in groups[:rows]:
        application, user = group.key
        table.add_row(Text(visible(_name(application))), Text(visible(user)), *_counts(group))
    _more(table, len(groups) - rows, "applications")
    return table


def _queries(snapshot: Snapshot, rows: int) -> Table:
    table = _table("running or last statement")
    groups = snapshot.queries
    for group in groups[:rows]:
        table.add_row(Text(visible(group.key[0])), *_counts(group))
    _more(table, len(groups) - rows, "statements")
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), expand=True, header_style="bold")
    table.add_column(names[0], ratio=1, no_wrap=True, overflow="ellipsis")
    for name in names[1:]:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for name in ("sessions", "active", "in transaction"):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _counts(group: Group) -> Iterable[Text]:
    yield Text(str(len(group.sessions)), "bold")
    yield _number(group.count(State.ACTIVE), "")
    yield _number(group.count(*OPEN_AND_IDLE), "bold yellow")


def _number(count: int, style: str) -> Text:
    return Text(str(count), style if count else "dim")


def _more(table: Table, count: int, things: str) -> None:
    if count > 0:
        table.add_row(Text(f"and {count} more {things}", "dim"))


def _clock(time: datetime) -> str:
    """The time of day where the reader is."""
    return time.astimezone().strftime("%H:%M:%S")


def _age(seconds: float | None) -> str:
    """A time as a person says it."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
