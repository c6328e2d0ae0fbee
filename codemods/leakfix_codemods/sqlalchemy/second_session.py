"""A session opened inside another of the same factory, for the same job.

What leaks
----------
``with Session(engine) as orders:`` and inside it ``with Session(engine) as items:``: one job holds two sessions, and so
two connections of the pool at the same time.

Why it hurts
------------
Two connections per request halve what the pool can serve. Worse, when all of them are first sessions waiting for a
second one, nobody ever gets it: the pool is exhausted by itself, and everybody waits for ``pool_timeout``.

How it is repaired
------------------
By hand: what the second session reads can mostly be read by the first. Whether it may is for a person to tell, because
the two then share a transaction: reads flush what is pending, give the objects that are held already instead of what
the database has by now, and are expired by the first one's commit.

When it is left alone
---------------------
The two are made in different ways, or from something that was set between; the second is made in a function of its own.
"""

import ast
from collections.abc import Iterator

from leakfix.codemod import Category, Match, PatternCodemod, Refusal, Severity, View
from leakfix.languages.python.modules import FunctionInfo

With = ast.With | ast.AsyncWith
_SESSIONS = ("sqlalchemy/session", "sqlalchemy/async-session")


def find(view: View) -> Iterator[Match]:
    """Sessions inside others that are made the same way."""
    for function in view.functions:
        blocks = [node for node in view.own(function) if isinstance(node, With) and _session(view, function, node)]
        for inner in blocks:
            outer = next((node for node in blocks if node is not inner and _holds(view, node, inner)), None)
            if outer is not None and _made(outer) == _made(inner) and not _is_set_between(view, function, outer, inner):
                yield Match(
                    inner.items[0].context_expr,
                    "one job holds two sessions, and two connections, at the same time",
                    lambda: Refusal("whether both may share a transaction is for you to decide: see this rule's text"),
                    Severity.NOTE,
                )


def _session(view: View, function: FunctionInfo, block: With) -> bool:
    """Whether a block is over one new session with a name."""
    match block.items:
        case [ast.withitem(context_expr=ast.Call() as made, optional_vars=ast.Name())]:
            resource = view.acquired(view.module, function, made)
            return resource is not None and resource.id in _SESSIONS
    return False


def _holds(view: View, outer: With, inner: With) -> bool:
    at: ast.AST | None = inner
    while at is not None and not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        at = view.parents.get(at)
        if at is outer:
            return True
    return False


def _is_set_between(view: View, function: FunctionInfo, outer: With, inner: With) -> bool:
    """Whether something the sessions are made from is another one by the time of the second, or made anew."""
    made = inner.items[0].context_expr
    if any(isinstance(node, ast.Call) for node in ast.walk(made) if node is not made):
        return True
    names = {node.id for node in ast.walk(made) if isinstance(node, ast.Name)}
    stores = (use for name in names for use in view.uses(name, function) if isinstance(use.ctx, ast.Store))
    return any(outer.lineno <= use.lineno <= inner.lineno for use in stores)


def _made(block: With) -> str:
    return ast.unparse(block.items[0].context_expr)


CODEMOD = PatternCodemod(
    find=find,
    imports=("sqlalchemy", "sqlmodel"),
    shape=r"(?s)with .*\n[ \t]+(?:async )?with ",
    noun="second session",
    repairs="told: one session may do for both",
    category=Category.ADVICE,
)
