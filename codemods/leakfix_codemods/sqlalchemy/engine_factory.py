"""A function that makes another engine each time it is called, for callers that drop it.

What leaks
----------
``def get_engine(): return create_engine(URL)``, and a function of the file that calls it and returns something made of
the engine, a session, so that it cannot dispose of it: every call brings a new connection pool. It is said of leaks
that are found anyway.

Why it hurts
------------
The connections a pool keeps for reuse are never reused, and stay open until the cyclic collector runs.

How it is repaired
------------------
``@lru_cache(maxsize=1)`` on the function: one engine for the process, made when it is first asked for, as SQLAlchemy's
documentation wants it ("Engine Configuration": an engine is "intended to be created once"). Offered for review, because
settings that change later are not seen any more.

When it is left alone
---------------------
Functions that take arguments, are decorated, are coroutines or do more than make and return the engine; databases in
memory, of which each engine has its own; asynchronous engines, which belong to their event loop; engines that somebody
listens to or disposes of. Leaks of callers that use the engine themselves are repaired there, by ``dispose()``.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Safety, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.project.kinds import is_test
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import first_line
from leakfix_codemods._blocks import body_of

_IN_MEMORY = re.compile(rb":memory:|mode=memory|sqlite(?:\+\w+)?://(?![/\w?])|StaticPool")
_TOUCHED = re.compile(rb"\blistens?(?:_for)?\(|\.dispose\(")


def find(view: View) -> Iterator[Match]:
    """Calls of functions of the file that make an engine, nothing else, and do so each time."""
    data = view.module.source.data
    if is_test(view.module.path) or _IN_MEMORY.search(data) or _TOUCHED.search(data):
        return
    factories = {view.symbol(function): function for function in view.functions if _makes_an_engine(view, function)}
    made = [
        (call, factories[name])
        for call in (view.calls if factories else ())
        for name in view.of(call.func, view.function_of(call))
        if name in factories
    ]
    kept_by_callers = {function for call, function in made if _outlives(view, call)}
    for call, function in made:
        if function in kept_by_callers:
            yield Match(
                call,
                f"{function.node.name}() makes another engine each time, and nothing disposes of it",
                partial(repair, view, function),
                identity=f"{function.node.name} {call.lineno}",
            )


def _outlives(view: View, call: ast.Call) -> bool:
    """Whether a function returns something made of the engine: it cannot dispose of it."""
    function, statement = view.function_of(call), view.statement_of(call)
    if function is None or isinstance(statement, ast.Return):
        return isinstance(statement, ast.Return)
    held = {
        node.id
        for node in view.own(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        if any(item is call for item in ast.walk(view.statement_of(node)))
    }
    for node in view.own(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if held & _names(value):
                held.add(name)
    returned = (node.value for node in view.own(function) if isinstance(node, ast.Return) and node.value is not None)
    return any(isinstance(value, ast.Name | ast.Call) and held & _names(value) for value in returned)


def _names(node: ast.AST) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


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
    resource = view.acquired(view.module, function, made)
    reads = all(isinstance(item, ast.Assign) and name_of(item.value) != "connect" for item in before)
    return reads and resource is not None and resource.of_process and not resource.asynchronous


def repair(view: View, function: FunctionInfo) -> Fix:
    """One engine for the process."""
    layout = view.layout()
    cached = imported(view.module, layout, "functools", "lru_cache")
    layout.add_before(first_line(function.node), f"@{cached}(maxsize=1)")
    check = "that the settings it is made of do not change while the process runs, and that no test wants another one"
    return Fix("make one engine for the process", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    words=("create_engine", "engine_from_config"),
    noun="engine",
    repairs="@lru_cache(maxsize=1) on the function that makes it",
    category=Category.LEAK,
    refines=True,
)
