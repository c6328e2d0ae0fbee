"""A connection to another machine that waits more than two minutes for a server that does not answer.

What leaks
----------
``psycopg.connect(host=...)`` and ``AsyncConnection.connect(host=...)`` without ``connect_timeout``: psycopg 3 then
waits 130 seconds for each address of the host (``_DEFAULT_CONNECT_TIMEOUT`` in ``psycopg/conninfo.py``, 3.3).

Why it hurts
------------
A server that is overloaded, or behind a firewall that drops packets, answers nothing. Every request then keeps a
thread or a task in ``connect()``, long after its client has gone.

How it is repaired
------------------
``connect_timeout=10`` is added, for review: how long a caller can wait is for the project to say.

When it is left alone
---------------------
A connection string or ``**settings``, which may carry it. The local host, and hosts that are not named. Projects that
set ``PGCONNECT_TIMEOUT``. Pools of psycopg_pool, whose callers wait 30 seconds at most. Tests, scripts, migrations.
"""

from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Match, PatternCodemod, Severity, View
from leakfix_codemods._timeouts import calls_of, is_remote, is_said_elsewhere, with_keyword

CHECK = "that ten seconds are enough to reach the server"
SAYS = frozenset({"connect_timeout", "conninfo", "service"})
MAKERS = ("psycopg.connect", "psycopg.Connection.connect", "psycopg.AsyncConnection.connect")


def find(view: View) -> Iterator[Match]:
    """Connections to other machines without a timeout."""
    for position, (call, given) in enumerate(calls_of(view, MAKERS)):
        if given.keys() & SAYS or not is_remote(given.get("host")) or is_said_elsewhere(view, "PGCONNECT_TIMEOUT"):
            continue
        yield Match(
            call,
            "without connect_timeout it waits 130 seconds for a server that does not answer",
            partial(with_keyword, view, call, "connect_timeout=10", CHECK),
            severity=Severity.NOTE,
            identity=f"connection {position}",
        )


CODEMOD = PatternCodemod(
    find=find,
    words=("psycopg",),
    shape=r"connect\(",
    noun="connection",
    repairs="connect_timeout=10",
    category=Category.ADVICE,
)
