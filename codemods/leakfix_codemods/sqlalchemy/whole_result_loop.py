"""A loop over all rows of a table, made into a list first.

What leaks
----------
``for user in session.query(User).all():`` and ``session.scalars(select(User)).all()``, ``.execute(...).fetchall()``,
``session.exec(...).all()`` of SQLModel, used for one loop and nothing else, without a condition or with a fixed one, in
functions that are made for many rows: commands, tasks, exports, generators.

Why it hurts
------------
All rows are fetched and turned into objects before the loop sees one, and live until it is over: memory follows the
size of the table.

How it is repaired
------------------
``.yield_per(1000)``, for a ``select`` ``.execution_options(yield_per=1000)``: rows come in blocks, from a server-side
cursor where the driver has one ("Fetching Large Result Sets with Yield Per", SQLAlchemy's documentation; the option
since 1.4.40). Safe where only columns are selected and the loop only works on the row; else offered for review, because
relationships that are loaded in the loop need the connection that is reading.

When it is left alone
---------------------
Joins, of which a ``Query`` drops repeated objects and ``yield_per`` does not (run on 2.1); limits, conditions on a
variable, results that are used again, ``unique()``, searches, lists, tables of which nothing says that they grow. No
repair where the loop uses the session, commits or reads a relationship, or calls a function that commits elsewhere:
SQLite lets nobody write what is being read; where it changes every row, as the session keeps those until it is
flushed; and with ``joinedload``, ``subqueryload`` and relationships declared to be loaded so,
which ``yield_per`` refuses (``InvalidRequestError``).
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from leakfix.codemod import Fix, Match, PatternCodemod, Refusal, Safety, View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo, Module, Value, own_nodes
from leakfix.languages.python.names import Place
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.batches import is_batch, may_be_batch
from leakfix.patterns.tables import ENOUGH, growth
from leakfix.project.kinds import is_test
from leakfix.project.requirements import only_before
from leakfix.source import Span
from leakfix_codemods._bodies import doubt, gives_rows_away, reached

BLOCK = 1000
_REFINING = frozenset({"filter", "filter_by", "where", "order_by", "options", "execution_options"})
_ENTRIES = frozenset({"execute", "scalars", "exec"})
_LISTS = frozenset({"all", "fetchall"})
_EAGER = frozenset({"joinedload", "subqueryload", "contains_eager", "joinedload_all", "subqueryload_all"})
_ADDS = frozenset({"add", "add_all"})
_ENDS = frozenset({"commit", "begin"})


@dataclass(frozen=True)
class Whole:
    """A result made into a list: the call that does, what it selects, and the loop over it.

    statement: the ``select(...)`` chain, or None for a ``Query``. inside: the expression without the list.
    """

    call: ast.Call
    inside: ast.expr
    selected: list[ast.expr]
    chain: list[ast.Call]
    statement: ast.expr | None
    session: str
    node: ast.For | ast.comprehension


_USES = re.compile(rb"\bsqlalchemy\b|\bsqlmodel\b|\.query\(")
_KEPT = re.compile(rb".*?(\w+) = ")


def find(view: View) -> Iterator[Match]:
    """Lists of whole tables that feed one loop."""
    if is_test(view.module.path):
        return
    for function in view.functions:
        if not is_batch(view, function) or isinstance(function.node, ast.AsyncFunctionDef):
            continue
        for node in view.own(function):
            if isinstance(node, ast.For | ast.comprehension) and _goes_through(view, node):
                found = _whole(view, function, node)
                if found is not None and _is_sure(view, found):
                    yield Match(
                        found.call,
                        "all rows of the table are kept in memory until the loop is over",
                        partial(repair, view, function, found),
                        held="until-unreferenced",
                    )


def _goes_through(view: View, node: ast.For | ast.comprehension) -> bool:
    """Whether a loop goes on to its end and makes no list: a search, or a list of all rows, would gain nothing."""
    if isinstance(node, ast.comprehension):
        return isinstance(view.parents[node], ast.GeneratorExp)
    for item in (item for statement in node.body for item in ast.walk(statement)):
        if isinstance(item, ast.Return) or (isinstance(item, ast.Break) and next(view.loops_round(item)) is node):
            return False
    return True


def _whole(view: View, function: FunctionInfo, node: ast.For | ast.comprehension) -> Whole | None:
    call: ast.expr = node.iter
    if isinstance(call, ast.Name) and isinstance(node, ast.For):
        uses = view.uses(call.id, function)
        stored = [view.parents[use] for use in uses if isinstance(use.ctx, ast.Store)]
        if (
            len(uses) != 2
            or len(stored) != 1
            or not isinstance(stored[0], ast.Assign)
            or _next(view, stored[0]) is not node
        ):
            return None
        call = stored[0].value
    match call:
        case ast.Call(func=ast.Attribute(value=inside, attr=word), args=[], keywords=[]) if word in _LISTS:
            return _of_query(view, function, call, inside, node) or _of_select(view, function, call, inside, node)
    return None


def _next(view: View, statement: ast.stmt) -> ast.stmt | None:
    suite = getattr(view.parents[statement], "body", None)
    if isinstance(suite, list) and statement in suite[:-1]:
        following: ast.stmt = suite[suite.index(statement) + 1]
        return following
    return None


def _of_query(
    view: View, function: FunctionInfo, call: ast.Call, inside: ast.expr, node: ast.For | ast.comprehension
) -> Whole | None:
    chain, root = _chain(inside)
    match root:
        case ast.Call(func=ast.Attribute(value=session, attr="query"), args=[_, *_] as selected, keywords=[]):
            if _is_of_one(selected) and all(_is_fixed(item, selected) for item in chain[:-1]):
                found = Whole(call, inside, selected, chain, None, ast.unparse(session), node)
                return found if _is_sqlalchemys(view, function, root, found) else None
    return None


def _is_sqlalchemys(view: View, function: FunctionInfo, root: ast.Call, found: Whole) -> bool:
    model = _model(view, function, found)
    names = [*view.of(root.func, function), *(view.names.outside_bases(*model) if model is not None else ())]
    data = view.module.source.data
    return any("sqlalchemy" in name or "sqlmodel" in name for name in names) or b"sqlalchemy" in data


def _of_select(
    view: View, function: FunctionInfo, call: ast.Call, inside: ast.expr, node: ast.For | ast.comprehension
) -> Whole | None:
    match inside:
        case ast.Call(func=ast.Attribute(value=ast.Call() as executed, attr="scalars"), args=[], keywords=[]):
            pass
        case ast.Call() as executed:
            pass
        case _:
            return None
    match executed:
        case ast.Call(func=ast.Attribute(value=session, attr=word), args=[statement], keywords=[]) if word in _ENTRIES:
            chain, root = _chain(_begun(view, function, statement))
            if root is not None and _selects(view, function, root) and root.args and _is_of_one(root.args):
                if all(_is_fixed(item, root.args) for item in chain[:-1]):
                    return Whole(call, inside, root.args, chain, statement, ast.unparse(session), node)
    return None


def _begun(view: View, function: FunctionInfo, statement: ast.expr) -> ast.expr:
    """What a variable is first set to, where it is only narrowed after that, and only under a condition."""
    if not isinstance(statement, ast.Name):
        return statement
    uses = [use for use in view.uses(statement.id, function) if isinstance(use.ctx, ast.Store)]
    stored = [view.parents[use] for use in uses]
    values = [item.value for item in stored if isinstance(item, ast.Assign) and len(item.targets) == 1]
    if not values or len(values) != len(stored) or view.parents[stored[0]] is not function.node:
        return statement
    for item, value in zip(stored[1:], values[1:], strict=True):
        root: ast.expr = value
        while isinstance(root, ast.Call) and isinstance(root.func, ast.Attribute) and root.func.attr in _REFINING:
            root = root.func.value
        is_own = isinstance(root, ast.Name) and root.id == statement.id and root is not value
        if not is_own or not isinstance(view.parents[item], ast.If):
            return statement
    return values[0]


def _chain(node: ast.expr) -> tuple[list[ast.Call], ast.Call | None]:
    """The calls ``x(...).where(...).order_by(...)`` from the end back to ``x(...)``, and that one."""
    found: list[ast.Call] = []
    while isinstance(node, ast.Call):
        found.append(node)
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in _REFINING:
            return found, node
        node = node.func.value
    return [], None


def _selects(view: View, function: FunctionInfo, root: ast.Call) -> bool:
    return view.is_a(
        root.func,
        function,
        "sqlalchemy.select",
        "sqlmodel.select",
        "sqlalchemy.future.select",
        "sqlalchemy.sql.select",
        "sqlmodel.sql.expression.select",
        "sqlalchemy.sql.expression.select",
    )


def _is_of_one(selected: list[ast.expr]) -> bool:
    """Whether all that is selected belongs to one class, so that no row comes twice: the class, or columns of it."""
    roots = {node.id for item in selected for node in ast.walk(item) if isinstance(node, ast.Name)}
    return len(roots) == 1 and all(isinstance(item, ast.Name | ast.Attribute) for item in selected)


def _is_fixed(call: ast.Call, selected: list[ast.expr]) -> bool:
    """Whether a call narrows by nothing but constants compared with columns of the class."""
    if isinstance(call.func, ast.Attribute) and call.func.attr not in ("filter", "filter_by", "where"):
        return call.func.attr != "execution_options"
    (root,) = {node.id for item in selected for node in ast.walk(item) if isinstance(node, ast.Name)}
    for given in [*call.args, *(word.value for word in call.keywords)]:
        if any(isinstance(item, ast.Name) and item.id != root for item in ast.walk(given)):
            return False
        if any(isinstance(item, ast.Attribute) and item.attr == "in_" for item in ast.walk(given)):
            return False  # a few that are written out
    return not any(word.arg is None or word.arg in ("id", "pk", "uuid") for word in call.keywords)


def _is_sure(view: View, found: Whole) -> bool:
    """Whether what is selected is sure to grow."""
    root = found.selected[0]
    columns = [item.attr for item in found.selected if isinstance(item, ast.Attribute)]
    while isinstance(root, ast.Attribute):
        root = root.value
    conditions = [item for call in found.chain[:-1] for item in _conditions(call)]
    return growth(view, root.id if isinstance(root, ast.Name) else "", conditions, columns) >= ENOUGH


def _conditions(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """What a call asks of the rows, as a column and a value; one that is put together has no column."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in ("filter", "filter_by", "where"):
        return
    for word in call.keywords:
        yield word.arg or "", word.value
    for given in call.args:
        match given:
            case (
                ast.Compare(left=ast.Attribute(attr=column), ops=[ast.Eq() | ast.Is()], comparators=[value])
                | ast.Call(func=ast.Attribute(value=ast.Attribute(attr=column), attr="is_"), args=[value])
            ):
                yield column, value
            case _:
                yield "", given


# -- repair ------------------------------------------------------------------------------------------------------------


def repair(view: View, function: FunctionInfo, found: Whole) -> Fix | Refusal:
    """Let the rows come in blocks."""
    if found.statement is not None and only_before(view.module.path, "sqlalchemy 1.4.40"):
        return Refusal("the option yield_per came with SQLAlchemy 1.4.40")
    model = _model(view, function, found)
    eager = _eager(found) or (model is not None and _loads_at_once(*model))
    if eager:
        return Refusal(f"yield_per does not go with {eager}")
    body: list[ast.AST] = [*found.node.body] if isinstance(found.node, ast.For) else [view.parents[found.node]]
    reason = _uses_session(body, found)
    if reason:
        return Refusal(reason)
    if gives_rows_away(body, {node.id for node in ast.walk(found.node.target) if isinstance(node, ast.Name)}):
        return Refusal("write() takes whole rows: it may be another connection's, which waits while this one reads")
    writing = _writing(view, function, body)
    if writing:
        return Refusal(f"{writing}() commits: a database may not let one connection write what another is reading")
    if isinstance(found.node, ast.For) and _changes_every_row(found.node):
        return Refusal(
            "every row is changed, and the session keeps what is changed until it is flushed: do it in parts"
        )
    related = _reads_related(found, body, model[1]) if model is not None else ""
    if related:
        return Refusal(
            f"the loop loads {related} of each row: a driver may not take a second statement while it is reading"
        )
    layout = view.layout()
    end = layout.span(found.call).end
    if found.statement is None:
        layout.replace(Span(layout.span(found.inside).end, end), f".yield_per({BLOCK})")
    else:
        layout.insert(layout.span(found.statement).end, f".execution_options(yield_per={BLOCK})")
        layout.replace(Span(layout.span(found.inside).end, end), "")
    columns = all(isinstance(item, ast.Attribute) for item in found.selected)
    reason = doubt(view, function, body, found.node.iter) or ("" if columns else "relationships that the loop reads")
    check = f"{reason}: the connection is reading until the loop is over" if reason else ""
    return Fix("fetch the rows in blocks", Safety.REVIEW if reason else Safety.SAFE, tuple(layout.edits), check)


def _writing(view: View, function: FunctionInfo, body: list[ast.AST]) -> str:
    """The function of the project that a loop calls and that ends a transaction of its own; "" if none is known to."""
    for called in reached(view, Place(view.module, function), body):
        if any(isinstance(node, ast.Call) and name_of(node) in _ENDS for node in own_nodes(called.node)):
            return called.node.name
    return ""


def _model(view: View, function: FunctionInfo, found: Whole) -> tuple[Module, ClassInfo] | None:
    root = found.selected[0]
    while isinstance(root, ast.Attribute):
        root = root.value
    return next((info for name in view.of(root, function) if (info := view.names.class_(name))), None)


def _eager(found: Whole) -> str:
    for call in found.chain:
        for node in ast.walk(call):
            word = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
            if word in _EAGER:
                return f"{word}()"
    return ""


def _loads_at_once(module: Module, info: ClassInfo) -> str:
    """A relationship of the class that is loaded in the same query, or by repeating it."""
    for name, bindings in info.attributes.items():
        for binding, _ in bindings:
            if isinstance(binding, Value):
                for node in ast.walk(binding.expression):
                    match node:
                        case ast.keyword(arg="lazy", value=ast.Constant(value="joined" | "subquery" | False)):
                            return f"{name}, which is loaded at once"
                        case ast.Constant(value="joined" | "subquery"):
                            return f"{name}, which is loaded at once"
    return ""


def _uses_session(body: list[ast.AST], found: Whole) -> str:
    for root in body:
        for node in ast.walk(root):
            if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) == found.session:
                if isinstance(found.node, ast.comprehension) and _within(found.node.iter, node):
                    continue
                if not _only_adds(root, node):
                    return "the loop uses the session: a driver may not take a second statement while it is reading"
            if isinstance(node, ast.Attribute) and node.attr in ("commit", "rollback", "flush"):
                return f"{node.attr}() is called in the loop, which would end the reading"
    return ""


def _changes_every_row(loop: ast.For) -> bool:
    """Whether a loop sets an attribute of each row, under no condition."""
    for statement in loop.body:
        match statement:
            case ast.Assign(targets=[ast.Attribute(value=target)]) | ast.AugAssign(target=ast.Attribute(value=target)):
                if ast.unparse(target) == ast.unparse(loop.target):
                    return True
    return False


def _reads_related(found: Whole, body: list[ast.AST], info: ClassInfo) -> str:
    """A relationship of the class that a loop reads of its row; "" where there is none."""
    row = found.node.target.id if isinstance(found.node.target, ast.Name) else ""
    for root in body:
        for node in ast.walk(root):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == row:
                for binding, _ in info.attributes.get(node.attr, ()):
                    if isinstance(binding, Value) and isinstance(binding.expression, ast.Call):
                        made = binding.expression.func
                        if getattr(made, "attr", getattr(made, "id", "")).lower() == "relationship":
                            return node.attr
    return ""


def _within(outer: ast.AST, node: ast.AST) -> bool:
    return any(item is node for item in ast.walk(outer))


def _only_adds(root: ast.AST, node: ast.AST) -> bool:
    return any(isinstance(item, ast.Attribute) and item.value is node and item.attr in _ADDS for item in ast.walk(root))


def _looped(data: bytes, form: bytes) -> Iterator[int]:
    """Where a call stands behind an ``in``, on a line of its own, or gives its result to a variable that does."""
    at = data.find(form)
    while at >= 0:
        line = data[data.rfind(b"\n", 0, at) + 1 : at]
        if b" in " in line or not line.strip() or _is_gone_through(data, _KEPT.match(line)):
            yield at
        at = data.find(form, at + 1)


def _is_gone_through(data: bytes, kept: re.Match[bytes] | None) -> bool:
    return kept is not None and any(b"in " + kept[1] + end in data for end in (b":", b")"))


def may_loop(data: bytes, path: str) -> bool:
    """Whether a file's text loops over a whole result in a function made for many rows."""
    asks = b"query(" in data or b"select(" in data
    if not asks or _USES.search(data) is None:
        return False
    return any(may_be_batch(data, path, at) for form in (b".all()", b".fetchall()") for at in _looped(data, form))


CODEMOD = PatternCodemod(
    find=find,
    words=(".all()", ".fetchall()"),
    shape=may_loop,
    noun="rows",
    repairs=".yield_per(1000)",
)
