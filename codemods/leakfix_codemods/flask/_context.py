"""What a Flask application stores on ``g``, and what runs when its context ends."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.codemod import Refusal, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.project.requirements import only_before
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import Layout, last_line
from leakfix.resources import Resource
from leakfix_codemods._functions import blank_below

G = ("flask.g", "flask.globals.g", "flask.ctx.g", "quart.g")
_WHOLE = ("flask.Flask()", "flask.app.Flask()")
APPLICATIONS = (*_WHOLE, "flask.Blueprint()", "flask.blueprints.Blueprint()")
TEARDOWNS = frozenset({"teardown_appcontext", "teardown_request", "teardown_app_request"})
AFTER = frozenset({"after_request", "after_app_request"})
HOOKS = TEARDOWNS | AFTER
_BEFORE = {"before_request": "teardown_request", "before_app_request": "teardown_app_request"}
"""What is called after the same requests, whatever happened in them."""
_CALLS_BACK = frozenset("callback push push_async_callback register call_on_close after_this_request finalize".split())
_READERS = frozenset({"pop", "get"})
_SETS_UP = re.compile(r"init|register|set_?up|configure|install|attach|bind")


@dataclass(frozen=True)
class Stored:
    """A resource opened into an attribute of ``g``: the opening call and where it stands."""

    view: View
    name: str
    call: ast.Call
    function: FunctionInfo
    resource: Resource


def stored(view: View) -> Iterator[Stored]:
    """What the functions of a file open into ``g``."""
    for function in view.functions:
        for node in view.own(function):
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Attribute) and isinstance(value, ast.Call):
                    if view.is_a(target.value, function, *G):
                        resource = view.acquired(view.module, function, value)
                        if resource is not None:
                            yield Stored(view, target.attr, value, function, resource)


def mentions(view: View, function: FunctionInfo, name: str) -> bool:
    """Whether a function reads an attribute of ``g``."""
    return next(reads(view, function, name), None) is not None


def reads(view: View, function: FunctionInfo, name: str) -> Iterator[ast.expr]:
    """Where a function reads an attribute of ``g``: ``g.x``, ``g.pop("x")``, ``g.get("x")``, ``getattr(g, "x")``."""
    for node in ast.walk(function.node):
        match node:
            case ast.Attribute(value=value, attr=attribute, ctx=ast.Load()) if attribute == name:
                if view.is_a(value, function, *G):
                    yield node
            case ast.Call(func=ast.Attribute(value=value, attr=method), args=[ast.Constant(value=attribute), *_]) if (
                method in _READERS and attribute == name and view.is_a(value, function, *G)
            ):
                yield node
            case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=attribute), *_]):
                if attribute == name and view.is_a(value, function, *G):
                    yield node


def releases(function: FunctionInfo, resource: Resource) -> Iterator[ast.Call]:
    """The calls in a function that are spelled like a release of it, or hand one on: ``callback(x.close)``."""
    words = {*resource.release, *(name.rpartition(".")[2] for name in resource.release_with), "close"}
    for node in ast.walk(function.node):
        match node:
            case ast.Call() if name_of(node) in words:
                yield node
            case ast.Call(args=[ast.Attribute(attr=method), *_]) if name_of(node) in _CALLS_BACK and method in words:
                yield node


def is_hook(function: FunctionInfo, kinds: frozenset[str] = HOOKS) -> bool:
    """Whether Flask calls a function when a request or its context ends, by its decorator."""
    for decorator in function.node.decorator_list:
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(node, ast.Attribute) and node.attr in kinds:
            return True
    return False


def registered(view: View, kinds: frozenset[str]) -> set[str]:
    """The names of functions given to ``app.teardown_appcontext(...)`` and its kin in a file."""
    given = (
        argument
        for call in view.calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in kinds
        for argument in call.args
    )
    return {name_of(item) for item in given if isinstance(item, ast.Name) or _is_own_method(item)}


def _is_own_method(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def with_teardown(view: View, after: ast.stmt, name: str, body: list[str]) -> Layout | Refusal:
    """A sheet with a new teardown behind a top-level statement, and behind the one that makes the application.

    Where that is made in another file, the function that is given it registers the teardown, else Flask's signal calls
    it ("Signals", Flask's documentation), which needs no application.
    """
    application = None
    for statement in view.tree.body:
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
            if isinstance(target, ast.Name) and view.is_a(statement.value, None, *APPLICATIONS):
                application, after = target, max(after, statement, key=lambda at: at.lineno)
                break
    if view.uses(name, None) or any(info.node.name == name for info in view.functions):
        return Refusal(f"there is a {name}() already")
    if application is None and applications(view):
        return _in_a_factory(view, name, body)
    if application is None:
        return _for_any_application(view, after, name, body)
    whole = any("Flask" in found for found in view.of(application))
    hook = "teardown_appcontext" if whole else "teardown_app_request"
    layout = view.layout()
    head = [f"@{application.id}.{hook}", f"def {name}(error):"]
    _add_function(view, layout, after, head, body)
    return layout


def _add_function(view: View, layout: Layout, after: ast.stmt, head: list[str], body: list[str]) -> None:
    unit = layout.unit
    lines = ["", "", *head, *(f"{unit}{line}" if line else "" for line in body)]
    last = after.end_lineno or after.lineno
    layout.add_after(last, *lines, *blank_below(layout.source, last))


def _for_any_application(view: View, after: ast.stmt, name: str, body: list[str]) -> Layout | Refusal:
    """A sheet with a new teardown for the application that another file makes."""
    layout = view.layout()
    given = [info for info in view.functions if _is_set_up(view, info)]
    if len(given) == 1:
        last = given[0].node.body[-1]
        if isinstance(last, ast.Return | ast.Raise) or not layout.stands_alone(last):
            return Refusal(f"{given[0].node.name}() is laid out in a way that cannot be added to")
        _add_function(view, layout, after, [f"def {name}(error):"], body)
        layout.add_after(layout.end_of(last), f"{layout.indent_of(last.lineno)}app.teardown_appcontext({name})")
        return layout
    if b"quart" in view.module.source.data or only_before(view.module.path, "flask 2.3"):
        return Refusal("the application is not made in this file: where its teardown belongs is for you to decide")
    signal = imported(view.module, layout, "flask", "appcontext_tearing_down")
    _add_function(view, layout, after, [f"@{signal}.connect", f"def {name}(sender, **extra):"], body)
    return layout


def _is_set_up(view: View, function: FunctionInfo) -> bool:
    """Whether a function is given the application by another file of the project, to add to it."""
    is_plain = function.owner is None and function.parent is None and not function.node.decorator_list
    if not is_plain or not _is_given_application(function) or not _SETS_UP.match(function.node.name):
        return False
    for other in view.mentioning(function.node.name):
        for call in other.calls:
            if call.args and view.symbol(function) in other.of(call.func, other.function_of(call)):
                return True
    return False


def applications(view: View) -> list[tuple[ast.Assign, str]]:
    """The statements of a file that make an application, in functions or outside, and its name."""
    return [
        (node, target.id)
        for node in view.parents
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name)
        if view.is_a(node.value, view.function_of(node), *_WHOLE)
    ]


def _in_a_factory(view: View, name: str, body: list[str]) -> Layout | Refusal:
    """A sheet with a new teardown behind the one statement of the file's functions that makes an application."""
    made = applications(view)
    if not made:
        return Refusal("the application is not made in this file: where its teardown belongs is for you to decide")
    (statement, application), layout = made[0], view.layout()
    unit = layout.unit
    if len(made) > 1 or not layout.stands_alone(statement):
        return Refusal("more than one application is made in this file: which needs it is for you to decide")
    base, last = layout.indent_of(statement.lineno), last_line(statement)
    lines = [f"@{application}.teardown_appcontext", f"def {name}(error):", *(f"{unit}{line}" for line in body)]
    is_followed = bool(view.module.source.line_text(last + 1).strip())
    layout.add_after(last, "", *(base + line for line in lines), *([""] if is_followed else []))
    return layout


def with_teardown_method(view: View, function: FunctionInfo, name: str, body: list[str]) -> Layout | Refusal:
    """A sheet with a new method behind the one that opens it, registered where its class gets the application."""
    owner = function.owner
    assert owner is not None
    starts = [owner.methods[word] for word in ("init_app", "__init__") if word in owner.methods]
    start = next((item for item in starts if _is_given_application(item)), None)
    if start is None:
        return Refusal("it is opened inside a method of a class that is not given the application")
    last = start.node.body[-1]
    layout = view.layout()
    if name in owner.methods or name in owner.attributes:
        return Refusal(f"there is a {name}() already")
    if isinstance(last, ast.Return | ast.Raise) or not layout.stands_alone(last):
        return Refusal(f"{start.node.name}() is laid out in a way that cannot be added to")
    base, unit = layout.indent_of(function.node.lineno), layout.unit_of(function.node)
    registering = f"{layout.indent_of(last.lineno)}app.teardown_appcontext(self.{name})"
    method = ["", f"{base}def {name}(self, error):", *(f"{base}{unit}{line}" for line in body)]
    if last_line(last) == last_line(function.node):
        layout.add_after(last_line(last), registering, *method)
    else:
        layout.add_after(last_line(last), registering)
        layout.add_after(last_line(function.node), *method)
    return layout


def _is_given_application(method: FunctionInfo) -> bool:
    """Whether a method has an application for sure: ``app`` without a default."""
    given = method.node.args
    needed = given.args[: len(given.args) - len(given.defaults)]
    return any(argument.arg == "app" for argument in needed)


def with_teardown_inside(view: View, function: FunctionInfo, name: str, body: list[str]) -> Layout | Refusal:
    """A sheet with a new teardown behind a nested function that is called before each of the same requests."""
    hooks = [node for node in function.node.decorator_list if isinstance(node, ast.Attribute) and node.attr in _BEFORE]
    if not hooks:
        return Refusal("it is opened inside another function")
    if view.uses(name, function.parent) or any(info.node.name == name for info in view.functions):
        return Refusal(f"there is a {name}() already")
    layout = view.layout()
    unit = layout.unit
    base = layout.indent_of(function.node.lineno)
    lines = [
        f"@{ast.unparse(hooks[0].value)}.{_BEFORE[hooks[0].attr]}",
        f"def {name}(error):",
        *(f"{unit}{line}" for line in body),
    ]
    layout.add_after(last_line(function.node), "", *(base + line for line in lines))
    return layout
