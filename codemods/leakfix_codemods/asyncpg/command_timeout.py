"""Statements that may take for ever: a connection or a pool of asyncpg without ``command_timeout``.

What leaks
----------
``asyncpg.connect()`` and ``create_pool()`` wait 60 seconds for the connection, and without end for each statement:
the default of ``command_timeout`` is ``None`` (asyncpg's documentation, ``connection.connect``).

Why it hurts
------------
A statement behind a lock, or on a network that has gone, keeps its connection. Ten of them hold the whole of a
default pool, and every other request waits in ``acquire()``, which has no limit either.

How it is repaired
------------------
``command_timeout=60`` is added, for review: whether a statement may rightly take longer is for the project to say.

When it is left alone
---------------------
``**settings`` and ``server_settings``, which may limit statements; an address with a timeout in it; files that limit
statements one by one, or all at once with ``statement_timeout``. An address cannot carry ``command_timeout``: asyncpg
hands what it does not know to the server. The local host, where it is written. Tests, scripts and migrations.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Match, PatternCodemod, Severity, View
from leakfix_codemods._timeouts import calls_of, with_keyword

CHECK = "that no statement may rightly take longer than a minute"
SAYS = frozenset({"command_timeout", "server_settings", "connect"})
MAKERS = ("asyncpg.connect", "asyncpg.create_pool", "asyncpg.connection.connect", "asyncpg.pool.create_pool")
LOCAL = re.compile(r"^(?:localhost|127\.0\.0\.1|::1)$|@(?:localhost|127\.0\.0\.1)\b")
ELSEWHERE = re.compile(
    rb"statement_timeout|wait_for\(|(?:fetch|fetchrow|fetchval|execute|executemany)\([^)\n]*\btimeout="
)


def find(view: View) -> Iterator[Match]:
    """Connections and pools whose statements have no limit."""
    if ELSEWHERE.search(view.module.source.data):
        return
    for position, (call, given) in enumerate(calls_of(view, MAKERS, positional=1)):
        texts = [
            node.value for node in ast.walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        if given.keys() & SAYS or any("timeout" in text or LOCAL.search(text) for text in texts):
            continue
        yield Match(
            call,
            "without command_timeout a statement behind a lock keeps its connection for ever",
            partial(with_keyword, view, call, "command_timeout=60", CHECK),
            severity=Severity.NOTE,
            identity=f"connection {position}",
        )


CODEMOD = PatternCodemod(
    find=find,
    words=("asyncpg",),
    shape=r"connect\(|create_pool\(",
    noun="connection",
    repairs="command_timeout=60",
    category=Category.ADVICE,
)
