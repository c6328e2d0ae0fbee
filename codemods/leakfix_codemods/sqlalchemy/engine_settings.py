"""A long-lived engine whose pool hands out dead connections, opens more than it says, or logs every statement.

What leaks
----------
``create_engine(url)`` keeps its connections for as long as the process lives, and asks nobody whether they still
work. ``pool_size=20`` alone allows 30 of them, because ``max_overflow`` is 10 unless said otherwise. ``echo=True``
writes every statement with its values to the log.

Why it hurts
------------
A connection that the server, a proxy or a firewall has dropped meanwhile fails the request that gets it
(SQLAlchemy's documentation, "Dealing with Disconnects"). Each worker process has a pool of its own: the server's
limit is reached by workers x (``pool_size`` + ``max_overflow``), a sum nobody wrote down. A log of every statement
fills disks, and holds what was in the rows.

How it is repaired
------------------
``pool_pre_ping=True`` and ``pool_recycle=3600`` are added where neither is there, and beside a ``pool_size`` the
``max_overflow=10`` and ``pool_timeout=30`` that hold anyway, so that they are seen. ``echo=True`` becomes ``False``,
for review. Where the project's own files tell how many workers there are, the message does the sum.

When it is left alone
---------------------
Engines a function makes for itself, in tests, scripts and migrations. SQLite, and databases that are reached
otherwise than by a kept connection. ``pool=``, ``creator=``, ``**settings``: they may say it all, and with ``pool=``
every one of these keywords is a ``TypeError``. Pool classes that are none of the queue: ``NullPool``, ``StaticPool``,
``AssertionPool`` and ``SingletonThreadPool`` raise a ``TypeError`` for ``max_overflow``.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.project.deployment import is_one_off, workers
from leakfix.project.kinds import is_test
from leakfix.project.requirements import only_before
from leakfix_codemods._items import add_items
from leakfix_codemods.sqlalchemy._engines import engines, is_server, queues, word_of

_SIZE, _OVERFLOW = 5, 10
LIVE = ("pool_pre_ping=True", "pool_recycle=3600")


def find(view: View) -> Iterator[Match]:
    """Engines that live as long as the process and lack one of the settings."""
    if is_test(view.module.path) or is_one_off(view.module.path):
        return
    for position, call in enumerate(engines(view)):
        given = {word.arg: word.value for word in call.keywords if word.arg}
        echo = given.get("echo")
        loud = echo if isinstance(echo, ast.Constant) and echo.value is True else None
        items, told = _missing(view, call, given)
        if loud is not None:
            told.append("echo=True logs every statement with its values")
        if told:
            yield Match(
                call,
                "; ".join(told),
                partial(repair, view, call, items, loud),
                severity=Severity.NOTE,
                identity=f"engine {position}",
            )


def _missing(view: View, call: ast.Call, given: dict[str, ast.expr]) -> tuple[list[str], list[str]]:
    """The keywords an engine lacks, and what is said about them."""
    server = is_server(view, call)
    if server is False or not queues(given.get("poolclass")):
        return [], []
    items: list[str] = []
    told: list[str] = []
    if not given.keys() & {"pool_pre_ping", "pool_recycle"} and not _pings(view):
        items += LIVE
        told.append("a connection that the server dropped meanwhile fails the request that gets it")
    size = given.get("pool_size")
    if size is not None and "max_overflow" not in given and (server or "poolclass" in given):
        items.append(f"max_overflow={_OVERFLOW}")
        items += ["pool_timeout=30"] if "pool_timeout" not in given else []
        number = size.value if isinstance(size, ast.Constant) and type(size.value) is int else 0
        told.append(f"pool_size={number} allows {number + _OVERFLOW} connections" if number else "max_overflow is 10")
    return items, told + _sum(view, given) if told else told


def _sum(view: View, given: dict[str, ast.expr]) -> list[str]:
    numbers = []
    for word, default in (("pool_size", _SIZE), ("max_overflow", _OVERFLOW)):
        value = given.get(word, ast.Constant(default))
        if not isinstance(value, ast.Constant) or type(value.value) is not int or value.value < 0:
            return []
        numbers.append(value.value)
    served = workers(view.module.path)
    if served is None or not numbers[0]:
        return []
    count, file = served
    return [f"{count} workers ({file}) x ({numbers[0]} + {numbers[1]}) may open {count * sum(numbers)} connections"]


def _pings(view: View) -> bool:
    """Whether the file tests connections itself, by an event."""
    return re.search(rb"""["'](?:engine_connect|checkout|do_connect)["']""", view.module.source.data) is not None


def repair(view: View, call: ast.Call, items: list[str], loud: ast.expr | None) -> Fix | Refusal:
    """Add the keywords as the call is laid out."""
    if any(item.startswith("pool_pre_ping") for item in items) and only_before(view.module.path, "sqlalchemy 1.2"):
        return Refusal("pool_pre_ping came with SQLAlchemy 1.2")
    layout = view.layout()
    checks = []
    if items:
        add_items(layout, call, items)
        if not is_server(view, call):
            checks.append(f"that {word_of(call)} is the address of a database server")
    if loud is not None:
        layout.replace(layout.span(loud), "False")
        checks.append("that nobody reads these logs")
    names = [item.partition("=")[0] for item in items] + (["echo"] if loud is not None else [])
    safety = Safety.REVIEW if checks else Safety.SAFE
    return Fix(f"set {', '.join(names)}", safety, tuple(layout.edits), "; ".join(checks))


CODEMOD = PatternCodemod(
    find=find,
    words=("create_engine", "create_async_engine"),
    shape=r"sqlalchemy|sqlmodel",
    noun="engine",
    repairs="pool_pre_ping=True, pool_recycle=3600; a pool's limits said in full; echo=False",
    category=Category.ADVICE,
)
