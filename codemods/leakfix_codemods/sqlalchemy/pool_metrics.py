"""A pool that nobody can see from outside.

What leaks
----------
Nothing by itself. An engine that lives as long as the process has a pool, and no metric of the project says how many
of its connections are in use.

Why it hurts
------------
A pool that leaks runs dry slowly and fails at once. The gauge of connections in use climbs for hours before the first
request waits for one: it is the alarm that comes in time.

How it is repaired
------------------
Four gauges of prometheus_client are registered beside the engine: the size of its pool, the connections in use, those
that are idle, and those beyond the size. They are read when they are scraped (``Gauge.set_function``), so nothing runs
in between, and they ask the engine, so that they outlive ``dispose()``.

When it is left alone
---------------------
``checkedout`` stands somewhere in the project outside its tests: somebody looks at a pool already. Engines that a
function makes, in tests, scripts and migrations. SQLite and pools that are no queue. A metric of such a name is there,
or the file is run as a program and may be imported a second time: prometheus_client refuses to register a name twice.
Where several engines live, a label has to tell them apart, and which is for people to choose. prometheus-client is
used where the project declares it, or where ``allow-dependencies`` lets it in.
"""

import ast
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Requirement, Safety, Severity, View
from leakfix.project.deployment import is_one_off
from leakfix.project.kinds import is_test
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import last_line
from leakfix_codemods.sqlalchemy._engines import engines, is_server, queues

LIBRARY = Requirement("prometheus-client", "0.5", "prometheus_client")
_SEEN = "checkedout"
_MAKERS = ("create_engine", "create_async_engine")
_GAUGES = (
    ("db_pool_size", "db_pool_connections_total", "Connections the pool keeps", "{}.pool.size()"),
    ("db_pool_active", "db_pool_connections_active", "Connections in use", "{}.pool.checkedout()"),
    ("db_pool_idle", "db_pool_connections_idle", "Connections that wait", "{}.pool.checkedin()"),
    ("db_pool_overflow", "db_pool_connections_overflow", "Connections beyond its size", "max(0, {}.pool.overflow())"),
)
_CHECK = "that one process serves /metrics: with PROMETHEUS_MULTIPROC_DIR gauges that are read when asked do not work"


def find(view: View) -> Iterator[Match]:
    """Engines at module level whose pool no metric shows."""
    if is_test(view.module.path) or is_one_off(view.module.path) or _is_watched(view):
        return
    for call in engines(view):
        poolclass = next((word.value for word in call.keywords if word.arg == "poolclass"), None)
        if view.function_of(call) is None and queues(poolclass) and is_server(view, call):
            yield Match(
                call,
                "nothing tells how many connections of the pool are in use",
                partial(repair, view, call),
                severity=Severity.NOTE,
            )


def _is_watched(view: View) -> bool:
    others = view.mentions.of(_SEEN, view.module.path)
    return _SEEN.encode() in view.module.source.data or not all(map(is_test, others))


def repair(view: View, call: ast.Call) -> Fix | Refusal:
    """Register the gauges behind the statement that makes the engine."""
    match view.statement_of(call):
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) as statement:
            pass
        case _:
            return Refusal("the engine is not kept in a variable of its own")
    if _has_others(view, call):
        return Refusal("there are several engines: which label tells their pools apart is for you to decide")
    layout = view.layout()
    if statement.col_offset or not layout.stands_alone(statement):
        return Refusal("the engine is made under a condition, or shares its line with another statement")
    reason = _why_not(view)
    if reason:
        return Refusal(reason)
    if not view.may_use(LIBRARY) and not _is_imported(view):
        return Refusal('prometheus-client is not declared: add it, or allow-dependencies = ["prometheus-client"]')
    gauge = imported(view.module, layout, "prometheus_client", "Gauge")
    lines = []
    for variable, metric, text, value in _GAUGES:
        lines.append(f'{variable} = {gauge}("{metric}", "{text}")')
        lines.append(f"{variable}.set_function(lambda: {value.format(name)})")
    layout.add_after(last_line(statement), *lines)
    return Fix("register the pool's metrics", Safety.REVIEW, tuple(layout.edits), _CHECK, (LIBRARY,))


def _why_not(view: View) -> str:
    """What would make a second gauge of the same name, which prometheus_client refuses when the file is imported."""
    taken = [variable for variable, *_ in _GAUGES if variable in view.module.names]
    if taken:
        return f"{taken[0]} is the name of something else here"
    for _, metric, *_ in _GAUGES:
        if metric.encode() in view.module.source.data or any(view.texts(metric)):
            return f"the project has a metric called {metric} already"
    if b"__main__" in view.module.source.data:
        return "this file is a program, too: imported a second time, it would register its metrics twice"
    return ""


def _is_imported(view: View) -> bool:
    """Whether the file cannot be imported without the library anyway."""
    for node in view.tree.body:
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(name), level=0):
                modules = [name]
            case _:
                continue
        if LIBRARY.imported in (name.partition(".")[0] for name in modules):
            return True
    return False


def _has_others(view: View, call: ast.Call) -> bool:
    """Whether the project makes a second engine anywhere but in its tests and scripts."""
    if any(other is not call for other in engines(view)):
        return True
    modules = {module.path for word in _MAKERS for module in view.others(word)}
    return any(not is_test(path) and not is_one_off(path) for path in modules)


CODEMOD = PatternCodemod(
    find=find,
    words=_MAKERS,
    shape=r"sqlalchemy|sqlmodel",
    noun="engine",
    repairs="gauges of prometheus_client for the pool: size, in use, idle, overflow",
    category=Category.ADVICE,
    requires=(LIBRARY,),
    asks=(_SEEN, *(metric for _, metric, *_ in _GAUGES), *_MAKERS),
)
