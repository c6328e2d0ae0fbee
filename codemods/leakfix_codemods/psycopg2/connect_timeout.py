"""A connection to another machine that waits for as long as the network keeps it waiting.

What leaks
----------
``psycopg2.connect(host=...)`` without ``connect_timeout``, and pools that are given the same keywords. libpq waits
without end unless it is told otherwise (PostgreSQL's documentation, "Database Connection Control Functions").

Why it hurts
------------
A server that is overloaded, or behind a firewall that drops packets, answers nothing. Every request then keeps a
thread in ``connect()``, until the workers are used up by a database that is down.

How it is repaired
------------------
``connect_timeout=10`` is added, for review: how long a caller can wait is for the project to say.

When it is left alone
---------------------
A connection string or ``**settings``, which may carry it. The local host, and hosts that are not named. Asynchronous
connections, of which libpq leaves the waiting to the caller. Projects that set ``PGCONNECT_TIMEOUT``. Tests, scripts
and migrations.
"""

from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Match, PatternCodemod, Severity, View
from leakfix_codemods._timeouts import calls_of, is_remote, is_said_elsewhere, with_keyword

CHECK = "that ten seconds are enough to reach the server"
# libpq leaves the time an asynchronous connection takes to its caller.
SAYS = frozenset({"connect_timeout", "dsn", "service", "async", "async_"})
POOLS = ("SimpleConnectionPool", "ThreadedConnectionPool", "PersistentConnectionPool")


def find(view: View) -> Iterator[Match]:
    """Connections and pools to other machines without a timeout."""
    connects = calls_of(view, ("psycopg2.connect",))
    pools = calls_of(view, [f"psycopg2.pool.{name}" for name in POOLS], positional=2)
    found = [(call, given) for calls in (connects, pools) for call, given in calls]
    for position, (call, given) in enumerate(found):
        if given.keys() & SAYS or not is_remote(given.get("host")) or is_said_elsewhere(view, "PGCONNECT_TIMEOUT"):
            continue
        yield Match(
            call,
            "without connect_timeout it waits for a server that does not answer as long as the network lets it",
            partial(with_keyword, view, call, "connect_timeout=10", CHECK),
            severity=Severity.NOTE,
            identity=f"connection {position}",
        )


CODEMOD = PatternCodemod(
    find=find,
    words=("psycopg2",),
    shape=r"connect\(|ConnectionPool\(",
    noun="connection",
    repairs="connect_timeout=10",
    category=Category.ADVICE,
)
