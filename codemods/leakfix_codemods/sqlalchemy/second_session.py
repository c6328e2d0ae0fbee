"""A session opened inside another of the same factory, to read for the same job.

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
What the second session reads is read by the first: one ``with`` over both. Offered for review: the reads then belong to
the same transaction, see what it has not committed yet, and give the same objects that it holds already.

When it is left alone
---------------------
The second session writes, commits, rolls back, or is handed on; what it executes is not seen to be a ``select``; what
it read is changed, which was lost and would be kept, or used after the first one's commit, which expires it. The two
are made in different ways; the second is made in a function of its own.
"""

import ast
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.repairs.python.layout import first_line, last_line

With = ast.With | ast.AsyncWith
_SESSIONS = ("sqlalchemy/session", "sqlalchemy/async-session")
_READS = frozenset({"get", "get_one", "query"})
_SELECTS = frozenset({"execute", "scalar", "scalars", "exec"})


def find(view: View) -> Iterator[Match]:
    """Sessions inside others that are made the same way."""
    for function in view.functions:
        blocks = [node for node in view.own(function) if isinstance(node, With) and _session(view, function, node)]
        for inner in blocks:
            outer = next((node for node in blocks if node is not inner and _holds(view, node, inner)), None)
            if outer is not None and _made(outer) == _made(inner):
                yield Match(
                    inner.items[0].context_expr,
                    "one job holds two sessions, and two connections, at the same time",
                    partial(repair, view, function, outer, inner),
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


def _made(block: With) -> str:
    return ast.unparse(block.items[0].context_expr)


def _name(block: With) -> str:
    target = block.items[0].optional_vars
    assert isinstance(target, ast.Name)
    return target.id


def repair(view: View, function: FunctionInfo, outer: With, inner: With) -> Fix | Refusal:
    """Let the first session read what the second one does."""
    first, second = _name(outer), _name(inner)
    uses = view.uses(second, function)
    inside = {node for statement in inner.body for node in ast.walk(statement)}
    read = [use for use in uses if use in inside]
    if len(read) != len(uses) - 1 or not all(_only_reads(view, function, use) for use in read):
        return Refusal("the second session may do more than read, and ends its own transaction")
    if sum(isinstance(use.ctx, ast.Store) for use in view.uses(first, function)) != 1:
        return Refusal(f"{first} is set again")
    bound = {node.id for node in inside if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    if _are_changed(view, function, bound) or _outlive_an_end(view, function, first, bound):
        return Refusal("what the second session read is changed, or used after the first one's transaction")
    layout = view.layout()
    start, end = first_line(inner.body[0]), last_line(inner.body[-1])
    outside, within = layout.indent_of(inner.lineno), layout.indent_of(start)
    if (
        inner.lineno == start
        or not layout.stands_alone(inner)
        or not layout.string_lines.isdisjoint(range(start, end + 1))
    ):
        return Refusal("how the block is laid out makes it hard to move")
    layout.delete(inner.lineno, start - 1)
    for line in range(start, end + 1):
        if layout.source.line_text(line).startswith(within):
            at = layout.source.offset(line, 0)
            layout.replace(type(layout.span(inner))(at, at + len(within.encode())), outside)
    for use in read:
        layout.replace(layout.span(use), first)
    check = f"that what is read may belong to the transaction of {first}"
    return Fix("one session for both", Safety.REVIEW, tuple(layout.edits), check)


def _are_changed(view: View, function: FunctionInfo, names: set[str]) -> bool:
    """Whether an attribute of something that a name holds is set."""
    for node in view.own(function):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            root: ast.expr = node
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            if isinstance(root, ast.Name) and root.id in names:
                return True
    return False


def _outlive_an_end(view: View, function: FunctionInfo, session: str, names: set[str]) -> bool:
    """Whether names are used behind a line that ends the session's transaction."""
    ends = [
        use.lineno
        for use in view.uses(session, function)
        if getattr(view.parents[use], "attr", "") in ("commit", "rollback", "close", "expire_all", "expunge_all")
    ]
    return any(use.lineno > min(ends, default=use.lineno) for name in names for use in view.uses(name, function))


def _only_reads(view: View, function: FunctionInfo, use: ast.Name) -> bool:
    """Whether a use is a call that reads: of ``get`` or ``query``, or of a ``select``."""
    match view.parents[use], view.parents[view.parents[use]]:
        case ast.Attribute(attr=word), ast.Call(args=arguments) as call if call.func is view.parents[use]:
            if word == "query":
                return _ends_in_reading(view, call)
            return word in _READS or (word in _SELECTS and bool(arguments) and _is_select(view, function, arguments[0]))
    return False


def _ends_in_reading(view: View, call: ast.expr) -> bool:
    """Whether a chain of a query ends neither in an update nor in a deletion, nor is kept."""
    at: ast.expr = call
    word = ""
    while isinstance(above := view.parents[at], ast.Attribute) and isinstance(view.parents[above], ast.Call):
        word, at = above.attr, view.parents[above]  # type: ignore[assignment]
        if word in ("update", "delete"):
            return False
    return word in ("all", "first", "one", "one_or_none", "scalar", "count")


def _is_select(view: View, function: FunctionInfo, statement: ast.expr) -> bool:
    while isinstance(statement, ast.Call) and isinstance(statement.func, ast.Attribute):
        statement = statement.func.value
    return isinstance(statement, ast.Call) and view.is_a(
        statement.func, function, "sqlalchemy.select", "sqlmodel.select", "sqlalchemy.future.select"
    )


CODEMOD = PatternCodemod(
    find=find,
    imports=("sqlalchemy", "sqlmodel"),
    shape=r"(?s)with .*\n[ \t]+(?:async )?with ",
    noun="second session",
    repairs="one session for both",
    category=Category.ADVICE,
)
