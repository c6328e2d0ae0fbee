"""A connection that is opened into ``g`` and that no teardown releases.

What leaks
----------
``g.db = connect()`` gives each request its own connection. No function called at the end of the application context
releases it: there is none, it is empty, it forgets the attribute without closing what it held, or it closes only after
requests that succeeded.

Why it hurts
------------
Every request leaves a connection behind, for as long as anything refers to it; the slot of a pool is gone for good, and
after as many requests as the pool has slots all others wait.

How it is repaired
------------------
Where the function that opens it releases it, too, but only if nothing went wrong, it does so in ``finally``. Else
the function that ``teardown_appcontext`` calls takes the attribute out of ``g`` and releases it. Where there is none,
one is added behind the function that opens it, for review: work that is not committed when the request ends is rolled
back then, as it should be. It is registered where the file makes the application or is given it (``init_app(app)``);
where neither is so, Flask's signal ``appcontext_tearing_down`` calls it.

When it is left alone
---------------------
Any function of the project that reads the attribute and releases it, called by a teardown, by ``after_request`` or by
hand. What needs an event loop to be released. A teardown in another file that takes the attribute out of ``g`` is
where it is repaired; before Flask 2.3 signals need another package.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix_codemods._attributes import Opened, released_behind
from leakfix_codemods._attributes import releases as releases_of
from leakfix_codemods._attributes import repair as enclosed
from leakfix_codemods.flask._context import (
    AFTER,
    G,
    Stored,
    is_hook,
    reads,
    releases,
    stored,
)
from leakfix_codemods.flask._teardowns import (
    added,
    filled,
    is_idle,
    is_pop,
    leaves_on_error,
    release_of,
    teardowns,
    tested_error,
)


def find(view: View) -> Iterator[Match]:
    """What is opened into ``g`` and not released, here; and teardowns that should release what another file opens."""
    for item in stored(view):
        if not _is_released(view, item):
            message = f"{item.resource.noun} in g is not released when the request ends"
            yield Match(
                item.call, message, partial(repair, view, item), Severity.ERROR, item.resource.held, identity=item.name
            )
    for teardown in teardowns(view):
        for other in _files_that_fill(view, teardown):
            for item in stored(other):
                if next(reads(view, teardown, item.name), None) is not None and not _is_released(other, item):
                    message = f"the teardown drops {item.name} without releasing the {item.resource.noun}"
                    fill = partial(filled, view, item, teardown)
                    at = next(reads(view, teardown, item.name))
                    yield Match(at, message, fill, Severity.ERROR, item.resource.held, identity=item.name)


_ONLY_LOOKS = frozenset("print debug info pop get getattr hasattr delattr setdefault".split())


def _files_that_fill(view: View, teardown: FunctionInfo) -> Iterator[View]:
    words = {
        node.value
        for node in ast.walk(teardown.node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()
    }
    for word in sorted(words):
        for module in view.others(word):
            yield view.elsewhere(module)


def _is_released(view: View, item: Stored) -> bool:
    """Whether any function of the project that reads the attribute releases something, whatever the request's end."""
    on_success = released_behind(view, _opened(view, item))
    for other in view.mentioning(item.name):
        for function in other.functions:
            if function.parent is not None and not is_hook(function):
                continue
            listed, held = _lists(function, item.name), _held(other, function, item.name)
            calls = [call for call in releases(function, item.resource) if listed or _is_about(call, held)]
            calls = [call for call in calls if call is not on_success and not _is_of_inner_hook(other, function, call)]
            if not calls and function in teardowns(other) and _hands_on(function, held | {repr(item.name)}):
                return True
            if len(calls) > 1 or any(not _only_on_success(other, function, call) for call in calls):
                return True  # each for one of the ways in which a request may end, or for all
    return False


def _is_of_inner_hook(view: View, function: FunctionInfo, call: ast.Call) -> bool:
    """Whether a call stands in a hook that a function defines, which is asked by itself."""
    inner = view.function_of(call)
    return inner is not None and inner is not function and is_hook(inner)


def _held(view: View, function: FunctionInfo, name: str) -> set[str]:
    """How a function spells the attribute: where it reads it, and the variables that hold it."""
    found: set[str] = set()
    for node in reads(view, function, name):
        found.add(ast.unparse(node))
        statement = view.parents[node]
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found.add(statement.targets[0].id)
    return found


def _is_about(call: ast.Call, held: set[str]) -> bool:
    """Whether a release is one of what a function has under some spelling."""
    return any(isinstance(node, ast.expr) and ast.unparse(node) in held for node in ast.walk(call))


def _hands_on(function: FunctionInfo, held: set[str]) -> bool:
    """Whether a function gives what it has, or its name, to another, which may release it: ``close_quietly(g.db)``."""
    calls = (node for node in ast.walk(function.node) if isinstance(node, ast.Call))
    handed = (given for call in calls if name_of(call) not in _ONLY_LOOKS for given in call.args)
    return any(ast.unparse(given) in held for given in handed)


def _lists(function: FunctionInfo, name: str) -> bool:
    """Whether a function goes through names of attributes, this one among them."""
    loops = (node for node in ast.walk(function.node) if isinstance(node, ast.For))
    parts = (part for loop in loops for part in ast.walk(loop.iter))
    return any(isinstance(part, ast.Constant) and part.value == name for part in parts)


def _only_on_success(view: View, function: FunctionInfo, call: ast.Call) -> bool:
    """Whether a release in a teardown stands under a test of the error it was given, or some answers pass it by."""
    if is_hook(function, AFTER):
        return any(
            isinstance(step, ast.If)
            and isinstance(step.body[-1], ast.Return)
            and step.lineno < call.lineno
            and not any(_is_of_g(view, function, node) for node in ast.walk(step.test))
            for step in function.node.body[:1]
        )
    if function not in teardowns(view):
        return False
    return tested_error(view, function, call) is not None or leaves_on_error(function, call)


def _is_of_g(view: View, function: FunctionInfo, node: ast.AST) -> bool:
    return isinstance(node, ast.Name | ast.Attribute) and view.is_a(node, function, *G)


def _answering(view: View, item: Stored) -> FunctionInfo | None:
    """A function that releases it after some answers, and leaves it in ``g``, where a teardown would find it again."""
    for other in view.mentioning(item.name):
        for function in other.functions:
            if is_hook(function, AFTER) and any(releases(function, item.resource)):
                found = list(reads(other, function, item.name))
                if found and not any(map(is_pop, found)):
                    return function
    return None


def repair(view: View, item: Stored) -> Fix | Refusal:
    """Release it where it is opened, if it is released there at all; else in the teardown of the file, or a new one."""
    opened = _opened(view, item)
    if any(releases_of(opened, item.function.node.body)):
        return _enclosed(view, item, opened)
    code = release_of(view, item)
    if isinstance(code, Refusal):
        return code
    targets = getattr(view.statement_of(item.call), "targets", ())
    if not all(isinstance(target, ast.Name) or _is_of(target, item.name) for target in targets):
        return Refusal("it is kept in another place, too")
    keeper = _keeper(view, item)
    answering = _answering(view, item)
    if answering is not None and not item.resource.repeatable:
        return Refusal(f"{answering.node.name}() leaves it in g when it has released it")
    if keeper is not None:
        return Refusal(f"{keeper.node.name}() keeps what it got from it for longer than the request")
    streaming = _streamer(view, item)
    if streaming is not None:
        return Refusal(f"{streaming.node.name}() streams from it, and goes on when the context has ended")
    known = [function for function in teardowns(view) if function.owner in (None, item.function.owner)]
    reading = [function for function in known if next(reads(view, function, item.name), None) is not None]
    for teardown in [*reading, *(function for function in known if is_idle(function))]:
        return filled(view, item, teardown)
    if known:
        return Refusal(f"{known[0].node.name}() does something else when the context ends")
    for other in view.mentioning(item.name):
        taking = [
            function for function in teardowns(other) if next(reads(other, function, item.name), None) is not None
        ]
        if taking:
            return Refusal(
                f"{taking[0].node.name}() in {other.module.path} takes it out of g: it is for that to release it"
            )
    return added(view, item, code)


def _enclosed(view: View, item: Stored, opened: Opened) -> Fix | Refusal:
    """Release it in a ``finally``, so that after an error it is there no more for what handles that."""
    handling = (b"errorhandler", b"register_error_handler", b"after_request", b"after_app_request")
    for other in view.mentioning(item.name):
        for function in other.functions:
            handles = any("errorhandler" in ast.unparse(decorator) for decorator in function.node.decorator_list)
            if handles and next(reads(other, function, item.name), None) is not None:
                return Refusal(f"{function.node.name}() needs it when the request failed")
    own = view.module.source.data
    others = (text for word in handling for text in view.texts(word.decode()))
    handled = any(word in own for word in handling) or next(others, None) is not None
    fix = enclosed(view, opened)
    if isinstance(fix, Refusal) or not handled:
        return fix
    return replace(fix, safety=Safety.REVIEW, check=fix.check or "that what handles errors does not need it any more")


def _opened(view: View, item: Stored) -> Opened:
    places = frozenset(_held(view, item.function, item.name))
    return Opened(item.function, view.statement_of(item.call), item.call, item.resource, item.name, places)


def _is_of(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Attribute) and target.attr == name


def _keeper(view: View, item: Stored) -> FunctionInfo | None:
    """A function of the file that puts live objects into something that outlives the request."""
    source = re.compile(rf"\bg\.{item.name}\b|\b{item.function.node.name}\(\)")
    for function in view.functions:
        for node in view.own(function):
            match node:
                case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))], value=value):
                    if name in view.module.names and source.search(ast.unparse(value)):
                        return function
    return None


def _streamer(view: View, item: Stored) -> FunctionInfo | None:
    """A function whose generator, which Flask goes through later, reads what the function got from it before."""
    source = re.compile(rf"\bg\.{item.name}\b|\b{item.function.node.name}\(\)")
    for other in view.mentioning(item.function.node.name):
        for inner in other.functions:
            outer = inner.parent
            if outer is None or not any(isinstance(node, ast.Yield | ast.YieldFrom) for node in other.own(inner)):
                continue
            got = {
                target.id
                for node in other.own(outer)
                if isinstance(node, ast.Assign) and source.search(ast.unparse(node.value))
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            if any(isinstance(node, ast.Name) and node.id in got for node in other.own(inner)):
                return outer
    return None


CODEMOD = PatternCodemod(
    find=find,
    imports=("flask", "quart"),
    shape=r"\bg\.\w+\s*=[^=]|\.teardown_",
    noun="connection",
    repairs="released in teardown_appcontext",
    category=Category.LEAK,
)
