"""Settings of a database that keep connections nobody uses again, that the driver refuses, or that wait for ever.

What leaks
----------
``CONN_MAX_AGE`` above 0 under ASGI: the connection is kept for the next request of its thread, but every request has
a thread of its own. With Django 5.2, 30 requests one after another left 30 connections open until the cyclic
collector ran, and Django's documentation ("Databases") says to disable persistent connections there.
``CONN_MAX_AGE = None`` anywhere: the connection stays as long as the worker. No ``connect_timeout`` for PostgreSQL:
libpq waits for a server without end.

Why it hurts
------------
Kept connections add up to the server's limit, and requests that wait for a database that does not answer use up the
workers. Three more settings fail at once, or under load: an option libpq does not know ends every connection in
``invalid connection option``; ``pool`` beside a ``CONN_MAX_AGE`` other than 0 raises ``ImproperlyConfigured``
(Django 5.1); behind PgBouncer in transaction mode ``.iterator()`` loses its server-side cursor ("Transaction pooling
and server-side cursors").

How it is repaired
------------------
The value is corrected: ``CONN_MAX_AGE`` 0 (60 instead of ``None`` under WSGI), the unknown option removed,
``DISABLE_SERVER_SIDE_CURSORS`` True, ``connect_timeout`` 10. All for review.

When it is left alone
---------------------
Settings for tests and for a developer's machine, other backends, values that are computed, dicts with ``**`` in
them or changed later in the file; SQLite. A project whose files start a WSGI server. PgBouncer where the project's
files name another ``pool_mode``. Options that belong elsewhere are reported, not moved.
"""

import ast
from collections.abc import Callable, Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.project.kinds import is_test
from leakfix.project.requirements import only_before
from leakfix.repairs.python.layout import Layout
from leakfix_codemods._items import add_items, quote_of, without_item
from leakfix_codemods.django._databases import (
    POSTGRES,
    Database,
    databases,
    entries_of,
    position_of,
    seconds,
    why_asgi,
    why_pooled,
)

# Tried with psycopg2 2.9 and psycopg 3.3: each is an "invalid connection option".
UNKNOWN = frozenset(
    "max_idle_time max_idle max_lifetime min_size max_size pool_size max_overflow pool_timeout pool_recycle "
    "pool_pre_ping max_connections max_conns MAX_CONNS charset init_command sql_mode timeout read_timeout".split()
)
ELSEWHERE = {
    "CONN_MAX_AGE": "it belongs beside OPTIONS, not in it",
    "CONN_HEALTH_CHECKS": "it belongs beside OPTIONS, not in it",
    "statement_timeout": "libpq takes it as options='-c statement_timeout=...'",
    "idle_in_transaction_session_timeout": "libpq takes it as options='-c idle_in_transaction_session_timeout=...'",
}
Found = tuple[ast.expr, str, str, Callable[[], Fix | Refusal]]


def find(view: View) -> Iterator[Match]:
    """What is wrong with each database of a settings module."""
    if is_test(view.module.path):
        return
    for database in databases(view):
        for check in (_kept, _unknown, _pooler, _patient):
            for node, name, message, repair in check(view, database):
                yield Match(node, message, repair, severity=Severity.NOTE, identity=f"{database.alias} {name}")


def _kept(view: View, database: Database) -> Iterator[Found]:
    """Connections that are kept although the backend pools, or nobody comes back for them."""
    value = database.entries.get("CONN_MAX_AGE")
    age = seconds(value)
    if value is None or not age or "sqlite" in database.engine:
        return
    if database.has_pool and not only_before(view.module.path, "django 5.1"):
        reason = "Django refuses a pool beside a CONN_MAX_AGE other than 0"
    elif asgi := why_asgi(view):
        reason = f"under ASGI ({asgi}) no request comes back to the connections that CONN_MAX_AGE keeps"
    elif isinstance(value, ast.Constant) and value.value is None:
        reason = "CONN_MAX_AGE = None keeps a connection for as long as its worker lives, however little it is used"
        check = "that no session state, a temporary table for instance, is meant to last longer"
        yield value, "CONN_MAX_AGE", reason, partial(_replaced, view, value, "60", "CONN_MAX_AGE = 60", check)
        return
    else:
        return
    check = "that nothing else serves the project" if "ASGI" in reason else ""
    yield value, "CONN_MAX_AGE", reason, partial(_replaced, view, value, "0", "CONN_MAX_AGE = 0", check)


def _unknown(view: View, database: Database) -> Iterator[Found]:
    """Options that libpq does not know: no connection can be made."""
    options = database.options if database.engine in POSTGRES else None
    for name in entries_of(options) if options is not None else ():
        assert options is not None
        key = options.keys[position_of(options, name)]
        assert key is not None
        early = name == "pool" and only_before(view.module.path, "django 5.1")
        if name in UNKNOWN or early:
            yield key, name, f"no driver of PostgreSQL knows {name}", partial(_removed, view, options, name)
        elif name in ELSEWHERE:
            yield key, name, f"no driver of PostgreSQL knows {name}", partial(Refusal, ELSEWHERE[name])


def _pooler(view: View, database: Database) -> Iterator[Found]:
    """Server-side cursors through a pooler that gives the connection away after each transaction."""
    name = "DISABLE_SERVER_SIDE_CURSORS"
    value = database.entries.get(name)
    said = why_pooled(view, database) if database.engine in POSTGRES else ""
    off = isinstance(value, ast.Constant) and value.value is False
    if not said or not (off or (value is None and database.whole)):
        return
    message = f"through PgBouncer ({said}) a server-side cursor is gone when its transaction is"
    check = "that PgBouncer pools transactions, not sessions"
    if value is not None:
        yield value, name, message, partial(_replaced, view, value, "True", f"{name} = True", check)
    else:
        yield database.entries[said], name, message, partial(_added, view, database.node, f"{name}", "True", check)


def _patient(view: View, database: Database) -> Iterator[Found]:
    """A server that does not answer is waited for without end."""
    given = database.entries.get("OPTIONS")
    options = entries_of(database.options) if database.options is not None else {}
    if database.engine not in POSTGRES or not database.whole or not database.is_remote:
        return
    if given is not None and (database.options is None or None in database.options.keys):
        return
    if options.keys() & ({"connect_timeout", "pool", "service"} | ELSEWHERE.keys()):
        return
    message = "without connect_timeout a request waits for a server that does not answer as long as the network lets it"
    check = "that ten seconds are enough to reach the server"
    target = database.options if database.options is not None else database.node
    yield database.key, "connect_timeout", message, partial(_added, view, target, "connect_timeout", "10", check)


def _fix(layout: Layout, title: str, check: str) -> Fix:
    return Fix(title, Safety.REVIEW, tuple(layout.edits), check)


def _replaced(view: View, value: ast.expr, text: str, title: str, check: str) -> Fix:
    layout = view.layout()
    layout.replace(layout.span(value), text)
    return _fix(layout, title, check)


def _removed(view: View, options: ast.Dict, name: str) -> Fix:
    layout = view.layout()
    without_item(layout, options, position_of(options, name))
    return _fix(layout, f"remove {name}", f"what {name} was meant to do: it did nothing so far")


def _added(view: View, node: ast.Dict, name: str, text: str, check: str) -> Fix:
    layout, quote = view.layout(), quote_of(view.module)
    item = f"{quote}{name}{quote}: {text}"
    if name == "connect_timeout" and "ENGINE" in entries_of(node):
        item = f"{quote}OPTIONS{quote}: {{{item}}}"
    add_items(layout, node, [item])
    return _fix(layout, f"add {name}", check)


CODEMOD = PatternCodemod(
    find=find,
    words=("DATABASES",),
    shape=r"\bDATABASES\b[^=\n]*=\s*\{",
    noun="setting",
    repairs="CONN_MAX_AGE = 0, DISABLE_SERVER_SIDE_CURSORS = True, connect_timeout = 10, unknown options removed",
    category=Category.ADVICE,
)
