"""A server's sessions as one JSON object; its shape is a promise (``schema`` counts up when it changes)."""

from __future__ import annotations

import json
from typing import Any

from leakfix import __version__
from leakfix.watch.snapshot import Group, Session, Snapshot

SCHEMA = 1


def dumped(label: str, snapshot: Snapshot, indent: int | None = 2) -> str:
    """The picture as text; without an indent on one line."""
    return json.dumps(document(label, snapshot), indent=indent)


def document(label: str, snapshot: Snapshot) -> dict[str, Any]:
    """The picture as plain values; times are seconds, and null is what the server does not tell."""
    idle, transactions, waiting = snapshot.idle_in_transaction, snapshot.transactions, snapshot.waiting
    return {
        "leakfix": __version__,
        "schema": SCHEMA,
        "taken": snapshot.taken.isoformat(timespec="milliseconds"),
        "server": {"kind": snapshot.kind, "version": snapshot.version, "address": label},
        "connections": {"used": snapshot.used, "limit": snapshot.limit},
        "states": {state.value: count for state, count in snapshot.states.items()},
        "idle_in_transaction": {"sessions": len(idle), "oldest": _session(idle[0]) if idle else None},
        "transactions": {"sessions": len(transactions), "oldest": _session(transactions[0]) if transactions else None},
        "waiting_on_locks": {
            "sessions": len(waiting) if snapshot.tells_waiting else None,
            "longest": _session(waiting[0]) if waiting else None,
        },
        "applications": [
            {"application": group.key[0], "user": group.key[1], **_counts(group)} for group in snapshot.applications
        ],
        "queries": [{"query": group.key[0], **_counts(group)} for group in snapshot.queries],
        "figures": dict(snapshot.figures),
        "notes": list(snapshot.notes),
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "state": session.state.value,
        "user": session.user,
        "application": session.application,
        "database": session.database,
        "query": session.query,
        "state_seconds": _rounded(session.state_seconds),
        "transaction_seconds": _rounded(session.transaction_seconds),
        "blocked_by": list(session.blocked_by),
    }


def _counts(group: Group) -> dict[str, Any]:
    states = sorted({session.state for session in group.sessions})
    return {"sessions": len(group.sessions), "states": {state.value: group.count(state) for state in states}}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
