"""A dependency that returns an open session or connection: nobody ever closes it.

What leaks
----------
A function given to ``Depends`` opens a session, a connection or a pool slot and returns it, alone or inside an object
that only uses it; or a class given to ``Depends`` opens one when it is made. FastAPI hands it to the endpoint and
forgets it.

Why it hurts
------------
Every request keeps what it was given. A pool's slots are gone for good; a session holds its connection until the
cyclic garbage collector runs, which under load is too late.

How it is repaired
------------------
``return`` becomes ``yield``, inside the scope that releases what was opened: ``with Session(...) as session: yield
session``. FastAPI runs the rest after the request, whatever happened in it. What was returned out of such a scope,
closed already, and opened itself again for the endpoint, is yielded in it. A return annotation is adapted. Where an
endpoint that uses the dependency streams or works in the background, the repair is offered for review: by FastAPI's
version, the second half runs before or after that.

When it is left alone
---------------------
The function is also called directly, or handed to something else (these places are named): as a generator it would
give them something else; a method counts as called where an object of unknown kind is asked for its name. It returns
in several places, in the middle, or out of a block whose end commits. A class that opens something itself is reported,
and left to you; one that can release what it holds, or derives from a library's, is not.
"""

import ast
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.separate import line_edits
from leakfix.resources import Resource
from leakfix_codemods.fastapi._carriers import carried, opened_by
from leakfix_codemods.fastapi._injected import class_users, given_names, is_named_in_text, other_uses, users, word_of

_LATER = (b"StreamingResponse", b"BackgroundTask", b"EventSourceResponse")


def find(view: View) -> Iterator[Match]:
    """Dependencies that return what they opened."""
    given = given_names(view)
    for function in view.functions:
        if word_of(function).encode() not in given:
            continue
        returns = [node for node in view.own(function) if isinstance(node, ast.Return) and node.value is not None]
        if not returns or any(isinstance(node, ast.Yield | ast.YieldFrom) for node in view.own(function)):
            continue
        resource, inside = view.fresh(view.symbol(function)), ""
        if resource is None:
            resource, inside = carried(view, function, returns[-1])
        if resource is None or next(users(view, function), None) is None:
            continue
        for call in view.own(function):
            if isinstance(call, ast.Call) and view.acquired(view.module, function, call) is resource:
                yield Match(
                    call,
                    f"{resource.noun} is returned to FastAPI{inside}, which never releases it",
                    partial(repair, view, function, resource, returns),
                    Severity.ERROR,
                    resource.held,
                )
                break
    for info in view.module.classes.values():
        opened = opened_by(view, info) if info.node.name.encode() in given else None
        if opened is not None and next(class_users(view, info), None) is not None:
            yield Match(
                opened[0],
                f"FastAPI makes a {info.node.name} for each request, and never releases the {opened[1].noun} of it",
                lambda: Refusal("let a dependency yield it, and close what it opened behind the yield"),
                Severity.ERROR,
                opened[1].held,
                identity=info.qualname,
            )


def repair(view: View, function: FunctionInfo, resource: Resource, returns: list[ast.Return]) -> Fix | Refusal:
    """Yield it inside the scope that releases it."""
    elsewhere = other_uses(view, function)
    if elsewhere:
        return Refusal(f"{function.node.name}() is also used at {', '.join(elsewhere[:3])}")
    if len(returns) != 1:
        return Refusal("it returns in several places")
    within = _blocks_round(view, function, returns[0])
    if within is None or any(isinstance(block, ast.Try) and not _raises_again(block) for block in within):
        return Refusal("it goes on where it has returned, or returns in the middle")
    if any(_commits(block, resource) for block in within):
        return Refusal("the block it returns from would commit what the endpoint has written")
    layout = view.layout()
    start = layout.span(returns[0]).start
    layout.replace(type(layout.span(returns[0]))(start, start + len("return")), "yield")
    annotation = function.node.returns
    if annotation is not None:
        kind = "AsyncIterator" if isinstance(function.node, ast.AsyncFunctionDef) else "Iterator"
        spelled = imported(view.module, layout, "collections.abc", kind)
        layout.replace(layout.span(annotation), f"{spelled}[{layout.text(annotation)}]")
    scoped = view.scoped(view.module.source.edited(layout.edits), function.qualname)
    if isinstance(scoped, Refusal):
        return scoped
    later = any(word in other.module.source.data for other, _ in users(view, function) for word in _LATER)
    check = "that nothing streamed or done in the background still needs it" if later else ""
    if not later and not resource.asynchronous and not isinstance(function.node, ast.AsyncFunctionDef):
        later = any(_is_of_coroutine(other, call) for other, call in users(view, function))
        check = "that it may be closed in another thread than the coroutine's that uses it" if later else ""
    if not later and is_named_in_text(view, function):
        later, check = True, "that nothing asks for it by its name, which stands in a text, and calls it"
    edits = line_edits(view.module.source, scoped)
    if scoped.data == view.module.source.edited(layout.edits).data and not within:
        return Refusal("what it is returned in may release it: where that belongs is for you to decide")
    return Fix("yield it, and release it after the request", Safety.REVIEW if later else Safety.SAFE, edits, check)


def _blocks_round(
    view: View, function: FunctionInfo, leaving: ast.Return
) -> list[ast.With | ast.AsyncWith | ast.Try] | None:
    """The ``with`` and ``try`` a ``return`` ends, with nothing behind it or them; None where it stands elsewhere."""
    found: list[ast.With | ast.AsyncWith | ast.Try] = []
    at: ast.stmt = leaving
    while at is not function.node.body[-1]:
        above = view.parents[at]
        if not isinstance(above, ast.With | ast.AsyncWith | ast.Try) or above.body[-1] is not at:
            return None
        if isinstance(above, ast.Try) and above.orelse:
            return None
        found.append(above)
        at = above
    return found


def _is_of_coroutine(view: View, given: ast.AST) -> bool:
    """Whether a ``Depends(...)`` stands among the parameters of a coroutine."""
    at: ast.AST | None = given
    while at is not None and not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef):
        at = view.parents.get(at)
    return isinstance(at, ast.AsyncFunctionDef)


def _raises_again(block: ast.Try) -> bool:
    """Whether all that a ``try`` catches, which what FastAPI throws in would be, too, goes on from it."""
    return all(isinstance(handler.body[-1], ast.Raise) for handler in block.handlers)


def _commits(block: ast.stmt, resource: Resource) -> bool:
    """Whether leaving a ``with`` commits, as it does for most drivers' connections."""
    scopes = {resource.with_, resource.async_with}
    return isinstance(block, ast.With | ast.AsyncWith) and not scopes.isdisjoint({"commits", "transaction"})


CODEMOD = PatternCodemod(
    find=find,
    noun="dependency",
    repairs="a dependency that yields inside a scope",
    category=Category.LEAK,
    asks=("Depends", "Security"),
)
