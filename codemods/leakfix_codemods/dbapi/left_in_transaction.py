"""A connection of the whole process that a function leaves inside a transaction.

What leaks
----------
The first statement on a connection begins a transaction (PEP 249), also a ``SELECT``, and only ``commit()`` or
``rollback()`` ends it. A function that reads on a connection of the module, and does neither, leaves the transaction
open for as long as nothing else is asked: "idle in transaction". One that writes, and commits where all goes well, does
so where a statement fails. So it is with psycopg2, psycopg, pg8000, the drivers of MySQL and connections of SQLAlchemy.

Why it hurts
------------
PostgreSQL's vacuum cannot remove a row that was deleted after the transaction began, and locks on the tables that were
read make ``ALTER TABLE`` wait, and everybody behind it. With MySQL's ``REPEATABLE READ``, and PostgreSQL's, every later
read is answered as of the first. After an error, PostgreSQL answers nothing at all on that connection: "current
transaction is aborted, commands ignored until end of transaction block".

How it is repaired
------------------
What the function does with the connection moves into ``try``, and the ``finally`` rolls back: nothing is lost where it
only read, nothing happens where it has committed. Offered for review, because a transaction may have been left open for
what follows.

When it is left alone
---------------------
Autocommit or an isolation level is set anywhere in the file; other files, or statements of the module, use the
connection; the project is one of Flask, which has rules of its own; it is opened by a script, a command, or in a file
that is run as a program. The function, or one that calls it, rolls back, or enters the connection by ``with``. A
function of the file writes and never commits: what is pending then is nobody's guess. No repair where a function that
uses the connection calls another one that does, which would undo half of its work, where functions commit and threads
or tasks share the connection, and where rows are handed on while they are read.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.project.kinds import is_run_once, is_test
from leakfix.project.requirements import only_before
from leakfix_codemods._blocks import body_of, is_laid_out, put_in_try

_FLASK = "Flask"
_AT_ONCE = ("threading", "ThreadPoolExecutor", "FastAPI", "Starlette", "aiohttp", "tornado", "gevent")
"""Words of a project that runs functions in threads or tasks."""
_DRIVERS = frozenset({"psycopg2", "psycopg", "pg8000", "pymysql", "mysqlclient", "mysql_connector", "sqlalchemy"})
_CONNECTION = "/connection"
_UNDOES = frozenset({"rollback", "close_all", "reset"})
_RUNS = frozenset(
    {"execute", "executemany", "scalar", "scalars", "callproc", "copy_from", "copy_to", "copy_expert", "copy"}
)
_SET_OTHERWISE = re.compile(rb"\bautocommit\b|\bset_session\b|isolation_level|__main__", re.IGNORECASE)
_READS = re.compile(r"[\s(]*(?:SELECT|SHOW|EXPLAIN|VALUES|DESCRIBE|DESC|WITH)\b", re.IGNORECASE)
_CHANGES = re.compile(
    r"\b(?:FOR\s+(?:UPDATE|SHARE|NO\s+KEY|KEY)|INTO|INSERT|UPDATE|DELETE|ANALYZE|nextval|setval|pg_\w*lock\w*|get_lock)\b",
    re.IGNORECASE,
)
_SELECTS = re.compile(r"sqlalchemy\.(?:\w+\.)*select\(\)")
_OPENED = rb"^\w+[ \t]*(?::[^=\n]+)?=[ \t]*[\w.]*(?i:connect)\w*\("


@dataclass(frozen=True)
class User:
    """A function that uses the connection, where it does so first, and what it does with it.

    rolls_back: or closes it, or enters it, which ends a transaction either way.
    """

    function: FunctionInfo
    first: ast.Name
    statements: list[ast.Call]
    commits: bool
    rolls_back: bool

    def reads_only(self, view: View) -> bool:
        """Whether all statements are known, and none writes or locks anything."""
        return all(_is_reading(view, call, self.function) for call in self.statements)


def find(view: View) -> Iterator[Match]:
    """Functions that leave a connection of the module inside a transaction."""
    path, data = view.module.path, view.module.source.data
    if is_test(path) or is_run_once(path) or _SET_OTHERWISE.search(data):
        return
    if any(True for text in (data, *view.texts(_FLASK)) if _FLASK.encode() in text):
        return  # which has rules of its own for what its handlers share
    for statement in view.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                users = _users(view, name) if _is_transactional(view, call) else []
                if any(not (user.commits or user.rolls_back or user.reads_only(view)) for user in users):
                    continue
                for user in users:
                    if user.statements and not user.rolls_back and not _is_called_by_who_ends(view, user, users):
                        begun = "that reading begins" if not user.commits else "where a statement fails"
                        yield Match(
                            user.first,
                            f"{name} stays inside the transaction {begun}, until somebody ends it",
                            partial(repair, view, name, user, users),
                            Severity.WARNING,
                            "forever",
                        )


def _is_transactional(view: View, call: ast.Call) -> bool:
    resource = view.acquired(view.module, None, call)
    library = resource.id.removesuffix(_CONNECTION) if resource is not None else ""
    return library in _DRIVERS and not (library == "sqlalchemy" and only_before(view.module.path, "sqlalchemy 2.0"))


def _users(view: View, name: str) -> list[User]:
    """The functions of the file that use the connection; none where anything else does."""
    if len(view.module.names.get(name, ())) != 1 or name in view.module.set_later or _is_used_elsewhere(view, name):
        return []
    by_function: dict[FunctionInfo, list[ast.Name]] = {}
    for use in view.uses(name, None):
        function = view.function_of(use)
        if isinstance(use.ctx, ast.Load):
            if function is None:
                return []
            by_function.setdefault(function, []).append(use)
    return [_user(view, function, uses) for function, uses in by_function.items()]


def _is_used_elsewhere(view: View, name: str) -> bool:
    stem = re.escape(re.split(r"[/\\]", view.module.path)[-1].removesuffix(".py"))
    used = re.compile(rf"\b{stem}\.{name}\b|\b{stem}[ \t]+import\b[^#]*\b{name}\b|\bimport[ \t]+\*".encode())
    return any(used.search(text) for text in view.texts(name))


def _user(view: View, function: FunctionInfo, uses: list[ast.Name]) -> User:
    calls = [node for node in view.own(function) if isinstance(node, ast.Call)]
    names = {use.id for use in uses}
    called = {name_of(call) for call in calls}
    entered = [
        item.context_expr
        for node in view.own(function)
        if isinstance(node, ast.With)
        for item in node.items
        if ast.unparse(item.context_expr).removesuffix(".begin()").removesuffix(".transaction()") in names
    ]
    run = (call for call in calls if name_of(call) in _RUNS and isinstance(call.func, ast.Attribute))
    statements = [call for call in run if call.args]  # without, it is a result that is asked
    return User(
        function,
        min(uses, key=lambda use: use.lineno),
        statements,
        "commit" in called,
        bool(entered or called & _UNDOES),
    )


def _calls(view: View, user: User, other: User) -> bool:
    word = other.function.node.name
    return any(isinstance(node, ast.Call) and name_of(node) == word for node in view.own(user.function))


def _is_called_by_who_ends(view: View, user: User, users: list[User]) -> bool:
    """Whether one of its callers ends the transaction, or it is called when the module is imported: by a script."""
    if any(other.rolls_back and _calls(view, other, user) for other in users):
        return True
    return any(view.function_of(use) is None for use in view.uses(user.function.node.name, None))


def _is_reading(view: View, call: ast.Call, function: FunctionInfo) -> bool:
    text = _text(view, call.args[0], function) if call.args else None
    return text is not None and _READS.match(text) is not None and _CHANGES.search(text) is None


def _text(view: View, node: ast.expr, function: FunctionInfo) -> str | None:
    """The beginning of a statement at least; None where it is not known."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else "?" for part in parts)  # type: ignore[misc]
        case ast.Call(func=ast.Name(id="text"), args=[given, *_]):
            return _text(view, given, function)
        case ast.Call():
            selects = any(_SELECTS.match(name) for name in view.of(node, function))
            return "SELECT" if selects and "with_for_update" not in ast.unparse(node) else None
        case ast.Name(id=name):
            stored = [
                use for use in (*view.uses(name, function), *view.uses(name, None)) if isinstance(use.ctx, ast.Store)
            ]
            values = [parent.value for use in stored if isinstance(parent := view.parents[use], ast.Assign)]
            return _text(view, values[0], function) if len(values) == len(stored) == 1 else None
    return None


def _may_be_reading(view: View, value: ast.expr | None, function: FunctionInfo) -> bool:
    """Whether an expression is a cursor or a result, as far as its name or how it was made tells."""
    if isinstance(value, ast.Name):
        stored = [use for use in view.uses(value.id, function) if isinstance(use.ctx, ast.Store)]
        made = [getattr(view.parents[use], "value", getattr(view.parents[use], "context_expr", None)) for use in stored]
        return any(not isinstance(item, ast.Name) and _may_be_reading(view, item, function) for item in made)
    return isinstance(value, ast.Call) and name_of(value) in (*_RUNS - {"scalar"}, "cursor")


def _is_shared(view: View, users: list[User]) -> bool:
    """Whether several of the functions may run at once, as far as words of the project tell."""
    if any(isinstance(user.function.node, ast.AsyncFunctionDef) for user in users):
        return True
    own = view.module.source.data
    return any(word.encode() in own or any(True for _ in view.texts(word)) for word in _AT_ONCE)


def repair(view: View, name: str, user: User, users: list[User]) -> Fix | Refusal:
    """Roll back when the function is left."""
    function = user.function
    own = view.own(function)
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own):
        return Refusal("rows are handed on while they are read")
    if any(isinstance(node, ast.Return) and _may_be_reading(view, node.value, function) for node in own):
        return Refusal("what it returns may still be reading")
    if any(other.commits for other in users) and _is_shared(view, users):
        return Refusal("threads or tasks share the connection: ending one's transaction undoes what another has begun")
    word = function.node.name
    for other in users:
        if other is not user and _calls(view, other, user):
            return Refusal(f"{other.function.node.name}() calls it, perhaps in the middle of its own transaction")
        if other is not user and _calls(view, user, other):
            return Refusal(f"it calls {other.function.node.name}(), perhaps in the middle of its own transaction")
    if any(not isinstance(view.parents[use], ast.Attribute | ast.withitem) for use in view.uses(name, function)):
        return Refusal("the connection is handed on")
    layout, body = view.layout(), body_of(function.node)
    top = next(item for item in body if any(node is user.first for node in ast.walk(item)))
    suite = body[body.index(top) :]
    if not is_laid_out(layout, suite):
        return Refusal("the statements of the function share a line")
    put_in_try(layout, suite, "", ("finally:", f"{name}.rollback()"))
    check = "that what was written before it is left early is not wanted; and " if user.commits else ""
    check += f"that nothing which follows relies on the transaction of {word}(): a lock, a setting, an open cursor"
    return Fix("end the transaction", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    words=("execute",),
    shape=_OPENED.decode(),
    noun="transaction",
    repairs="try/finally with rollback()",
    category=Category.LEAK,
    asks=(_FLASK, *_AT_ONCE),
)
