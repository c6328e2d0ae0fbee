"""A connection to another machine that waits for as long as the network keeps it waiting.

What leaks
----------
``aiomysql.connect(host=...)`` and ``create_pool(host=...)`` without ``connect_timeout``, whose default is ``None``
(aiomysql 0.3); PyMySQL's own is ten seconds.

Why it hurts
------------
A server that has gone, or is behind a firewall that drops packets, answers nothing: the system tries for two minutes
or so. Every request keeps a task in ``connect()`` meanwhile, and with a pool the slot that goes with it.

How it is repaired
------------------
``connect_timeout=10`` is added, for review: how long a caller can wait is for the project to say. It limits
how long the server is sought; a server that takes the connection and then says nothing is still waited for (tried
with aiomysql 0.3).

When it is left alone
---------------------
``**settings`` and option files, which may carry it. The local host, and hosts that are not named. Tests, scripts and
migrations.
"""

from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Match, PatternCodemod, Severity, View
from leakfix_codemods._timeouts import calls_of, is_remote, with_keyword

CHECK = "that ten seconds are enough to reach the server"
SAYS = frozenset({"connect_timeout", "read_default_file"})
MAKERS = ("aiomysql.connect", "aiomysql.create_pool")


def find(view: View) -> Iterator[Match]:
    """Connections and pools to other machines without a timeout."""
    for position, (call, given) in enumerate(calls_of(view, MAKERS)):
        if given.keys() & SAYS or not is_remote(given.get("host")):
            continue
        yield Match(
            call,
            "without connect_timeout it seeks a server that has gone for as long as the system does",
            partial(with_keyword, view, call, "connect_timeout=10", CHECK),
            severity=Severity.NOTE,
            identity=f"connection {position}",
        )


CODEMOD = PatternCodemod(
    find=find,
    words=("aiomysql",),
    shape=r"connect\(|create_pool\(",
    noun="connection",
    repairs="connect_timeout=10",
    category=Category.ADVICE,
)
