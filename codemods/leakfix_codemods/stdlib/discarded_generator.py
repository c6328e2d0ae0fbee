"""``next()`` on a generator that nobody keeps: what it yields is closed at once, and used all the same.

What leaks
----------
``db = next(get_db())`` takes the session out of a dependency that yields it. The generator itself has no name: it goes
away with the statement, its ``finally`` runs and closes the session. The next query opens the closed session again,
and nothing will ever close that.

Why it hurts
------------
It looks like a use of the project's own clean-up and is none. Sessions keep their connections until the cyclic
garbage collector runs; a connection that cannot be opened again fails in the middle of the work.

How it is repaired
------------------
``with contextmanager(get_db)() as db:`` round the statements that use it: the same function, entered and left as a
context manager (``contextlib``). Offered for review: what the statements did after the session was closed under them
is now done inside it.

When it is left alone
---------------------
The generator is kept in a variable, so that somebody can close it; it yields nothing that is known to be a resource;
what it yielded is closed in a ``finally`` or a ``with`` of its own, which closes what was opened again, too;
something other than clean-up follows its ``yield``, or a handler in it would swallow what is raised.
"""

import ast
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.patterns.generators import acquired_in, entered_instead
from leakfix.resources import Resource


def find(view: View) -> Iterator[Match]:
    """``next(generator())`` where the generator acquires something and has no name."""
    for function in view.functions:
        for node in view.own(function):
            call = _taken(view, function, node)
            resource = acquired_in(view, call, function) if call is not None else None
            if call is None or resource is None or _is_released_after_all(view, function, node, resource):
                continue
            if isinstance(node, ast.Call):
                message = f"the generator goes away at once and closes the {resource.noun} that is used from here on"
                yield Match(node, message, partial(repair, view, function, node, call), held=resource.held)


def _taken(view: View, function: FunctionInfo, node: ast.AST) -> ast.Call | None:
    """The generator's call in ``next(generator())``, ``anext(generator())`` or ``generator().__next__()``."""
    match node:
        case ast.Call(func=ast.Name() as taking, args=[ast.Call() as call, *_]):
            if view.is_a(taking, function, "builtins.next", "builtins.anext"):
                return call
        case ast.Call(func=ast.Attribute(value=ast.Call() as call, attr="__next__" | "__anext__"), args=[]):
            return call
    return None


def _is_released_after_all(view: View, function: FunctionInfo, taking: ast.AST, resource: Resource) -> bool:
    """Whether the function itself releases what it took, however it ends."""
    bound = view.parents.get(taking)
    bound = view.parents.get(bound) if isinstance(bound, ast.Await) else bound
    match bound:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            own = view.own(function)
            ends = [step for node in own if isinstance(node, ast.Try) for step in node.finalbody]
            calls = [node for step in ends for node in ast.walk(step) if isinstance(node, ast.Call)]
            items = [item for node in own if isinstance(node, ast.With | ast.AsyncWith) for item in node.items]
            return any(_releases(call, name, resource) for call in calls) or any(
                isinstance(item.context_expr, ast.Name) and item.context_expr.id == name for item in items
            )
    return False


def _releases(call: ast.Call, name: str, resource: Resource) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id=found), attr=method):
            return found == name and method in resource.release
    return False


def repair(view: View, function: FunctionInfo, taking: ast.Call, call: ast.Call) -> Fix | Refusal:
    """Enter the generator function as a context manager instead."""
    edits = entered_instead(view, function, taking, call)
    if isinstance(edits, Refusal):
        return edits
    check = "that what is used after the block does not need it any more"
    return Fix("enter it as a context manager", Safety.REVIEW, edits, check)


CODEMOD = PatternCodemod(
    find=find,
    words=("next(", "__next__()"),
    shape=r"next\([\w.]*(?:sess|conn|db|cur|pool|data)\w*\(|\)\.__a?next__",
    noun="generator",
    repairs="with contextmanager(generator)() as x:",
    category=Category.LEAK,
)
