"""An engine for each session: it is made anew where a function returns a session, and nobody disposes of it.

What leaks
----------
``create_engine()`` in a function that returns a session or a sessionmaker on it, or a ``get_engine()`` of the file that
makes another engine each time it is called for one. Every call brings a new connection pool, and whoever gets the
session cannot dispose of the engine. It is said of leaks that are found anyway.

Why it hurts
------------
The connections a pool keeps for reuse are never reused, and stay open until the cyclic collector runs: the database
sees up to five per call.

How it is repaired
------------------
One engine for the process, made when it is first asked for, as SQLAlchemy's documentation wants it ("Engine
Configuration": an engine is "intended to be created once"): ``@lru_cache(maxsize=1)`` on the function that makes it, or
on a new one, ``shared_engine()``. Offered for review, because settings that change later are not seen any more.

When it is left alone
---------------------
Engines whose arguments depend on the call; functions that make an engine and are decorated, are coroutines or do more;
databases in memory, of which each engine has its own; asynchronous engines, which belong to their event loop; files in
which engines are disposed of or listened to. Leaks of functions that use the engine themselves are repaired there, by
``dispose()``.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import local_names, name_of
from leakfix.project.kinds import is_test
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import first_line
from leakfix_codemods._blocks import body_of
from leakfix_codemods._functions import blank_above

NAME = "shared_engine"
_MAKERS = frozenset({"sessionmaker", "scoped_session"})
_SESSIONS = frozenset({"sqlalchemy/session", "sqlalchemy/scoped-session"})
_IN_MEMORY = re.compile(rb":memory:|mode=memory|sqlite(?:\+\w+)?://(?![/\w?])|StaticPool")
_TOUCHED = re.compile(rb"\blistens?(?:_for)?\(|\.dispose\(")
_CHECK = "that the settings it is made of do not change while the process runs, and that no test wants another one"


def find(view: View) -> Iterator[Match]:
    """Calls that bring another engine each time, for what is returned to somebody else."""
    data = view.module.source.data
    if is_test(view.module.path) or _IN_MEMORY.search(data) or _TOUCHED.search(data):
        return
    factories = {view.symbol(function): function for function in view.functions if _makes_an_engine(view, function)}
    made: list[tuple[ast.Call, FunctionInfo | None]] = []
    for call in view.calls:
        function = view.function_of(call)
        if function is None or function in factories.values():
            continue
        factory = next((factories[name] for name in view.of(call.func, function) if name in factories), None)
        if factory is not None or (_is_engine(view, function, call) and _is_of_module(function, call)):
            made.append((call, factory))
    returned = {factory for call, factory in made if _outlives(view, call)}
    for call, factory in made:
        if factory in returned and (factory is not None or _outlives(view, call)):
            yield Match(
                call,
                "another engine is made each time, and nothing disposes of it",
                partial(decorated, view, factory) if factory is not None else partial(extracted, view, call),
                identity=str(call.lineno),
            )


def _is_engine(view: View, function: FunctionInfo, call: ast.Call) -> bool:
    resource = view.acquired(view.module, function, call)
    made = name_of(call) in ("create_engine", "engine_from_config")
    return made and resource is not None and resource.of_process and not resource.asynchronous


def _is_of_module(function: FunctionInfo, call: ast.Call) -> bool:
    """Whether the arguments of a call mean the same outside of the function."""
    at: FunctionInfo | None = function
    own: set[str] = set()
    while at is not None:
        own |= local_names(at.node)
        at = at.parent
    return not own & _names(call)


def _makes_an_engine(view: View, function: FunctionInfo) -> bool:
    """``return create_engine(...)``, perhaps by a variable, on values of the module."""
    node = function.node
    given = node.args
    if function.owner is not None or function.parent is not None or isinstance(node, ast.AsyncFunctionDef):
        return False
    if node.decorator_list or given.args or given.posonlyargs or given.kwonlyargs or given.vararg or given.kwarg:
        return False
    match body_of(node):
        case [
            *before,
            ast.Assign(targets=[ast.Name(id=held)], value=ast.Call() as made),
            ast.Return(value=ast.Name(id=name)),
        ]:
            if held != name:
                return False
        case [*before, ast.Return(value=ast.Call() as made)]:
            pass
        case _:
            return False
    return all(isinstance(item, ast.Assign) for item in before) and _is_engine(view, function, made)


def _outlives(view: View, call: ast.Call) -> bool:
    """Whether a function returns a session made on the engine, or what makes such: it cannot dispose of it."""
    function = view.function_of(call)
    if function is None:
        return False
    held, sessions = set[str](), set[str]()
    for node in view.own(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if held & _names(value) or _has(value, call):
                held.add(name)
                sessions |= {name} if _is_session(view, function, value) else set()
            case ast.Return(value=ast.Call() as value) if held & _names(value) or _has(value, call):
                if _is_session(view, function, value):
                    return True
            case ast.Return(value=ast.Name(id=name)) if name in sessions:
                return True
    return False


def _is_session(view: View, function: FunctionInfo, value: ast.expr) -> bool:
    """``Session(engine)``, ``sessionmaker(engine)`` or what that makes."""
    if not isinstance(value, ast.Call):
        return False
    resource = view.acquired(view.module, function, value)
    return name_of(value) in _MAKERS or (resource is not None and resource.id in _SESSIONS)


def _has(value: ast.expr, call: ast.Call) -> bool:
    return any(item is call for item in ast.walk(value))


def _names(node: ast.AST) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


def decorated(view: View, factory: FunctionInfo) -> Fix:
    """Let the function that makes the engine make one."""
    layout = view.layout()
    cached = imported(view.module, layout, "functools", "lru_cache")
    layout.add_before(first_line(factory.node), f"@{cached}(maxsize=1)")
    return Fix("make one engine for the process", Safety.REVIEW, tuple(layout.edits), _CHECK)


def extracted(view: View, call: ast.Call) -> Fix | Refusal:
    """Let a new function make the engine, once."""
    layout, source = view.layout(), view.module.source
    known = next((function.node.body for function in view.functions if function.qualname == NAME), None)
    if known is not None and ast.dump(known[-1]) == ast.dump(ast.Return(call)):
        layout.replace(layout.span(call), f"{NAME}()")
        return Fix("use the one engine for the process", Safety.REVIEW, tuple(layout.edits), _CHECK)
    if NAME in view.module.all_names:
        return Refusal(f"there is a {NAME} already")
    if layout.string_lines.intersection(range(call.lineno, (call.end_lineno or call.lineno) + 1)):
        return Refusal("a text of several lines is given to create_engine()")
    top: ast.stmt = view.statement_of(call)
    while not isinstance(view.parents[top], ast.Module):
        top = view.statement_of(view.parents[top])
    cached = imported(view.module, layout, "functools", "lru_cache")
    base = layout.indent_of(call.lineno)
    first, *others = layout.text(call).split(layout.newline)
    moved = [layout.unit + line.removeprefix(base) for line in others]
    line, blank = blank_above(source, first_line(top))
    head = [f"@{cached}(maxsize=1)", f"def {NAME}():", f"{layout.unit}return {first}"]
    layout.add_before(line, *blank, *head, *moved, "", "")
    layout.replace(layout.span(call), f"{NAME}()")
    return Fix("make one engine for the process", Safety.REVIEW, tuple(layout.edits), _CHECK)


CODEMOD = PatternCodemod(
    find=find,
    words=("create_engine", "engine_from_config"),
    noun="engine",
    repairs="one engine for the process, by @lru_cache(maxsize=1) on what makes it",
    category=Category.LEAK,
    refines=True,
)
