"""The scope forms a resource allows in a function: ``with``, ``closing``, ``async with`` or ``try``/``finally``."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from leakfix.project.requirements import only_before
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import first_line
from leakfix.repairs.python.replaced import require_same
from leakfix.repairs.python.subject import Refused, Subject
from leakfix.source import Span


@dataclass(frozen=True)
class Form:
    """How a resource is put into a scope.

    keyword: "with", "async with", or "" for try/finally.
    wrapper: a call to put round the acquiring expression ("closing"), or "".
    drops_await: the acquiring call stands in the scope form without its ``await``.
    """

    keyword: str
    wrapper: str = ""
    drops_await: bool = False

    def entering(self, text: str) -> str:
        """The context expression for an expression's text."""
        return f"{self.wrapper}({text})" if self.wrapper else text


def form_of(subject: Subject) -> Form:
    """The form that fits the resource and the function. Raises Refused."""
    resource = subject.resource
    if resource.asynchronous and not subject.is_async:
        raise Refused(f"releasing the {resource.noun} must be awaited, but the function is not async")
    closes = resource.release[:1] == ("close",)
    if not resource.asynchronous and closes and _has_no_with(subject):
        return Form("with", "closing")
    if subject.leaves_its_own_way and closes:
        return Form("") if resource.asynchronous else Form("with", "closing")
    if resource.async_with == "closes" and subject.is_async:
        if subject.acquisition is subject.call:
            return Form("async with")
        if not resource.awaitable:
            return Form("async with")
        if subject.parents.get(subject.call) is subject.acquisition and not subject.calls_a_coroutine:
            return Form("async with", drops_await=True)
        return Form("")  # what a coroutine gives once it was awaited is no context manager
    if not resource.asynchronous and resource.with_ == "closes":
        return Form("with")
    if not resource.asynchronous and closes:
        return Form("with", "closing")
    return Form("")


def _has_no_with(subject: Subject) -> bool:
    """Whether the library is too old for it, or a factory of the project may return something that only closes."""
    if any(only_before(subject.module.path, since) for since in subject.resource.with_since):
        return True
    return (subject.via_factory or subject.receiver_is_the_projects) and not subject.resource.objects


def with_imports(subject: Subject, form: Form) -> Form:
    """The same form with its wrapper spelled as this file can, its import added."""
    if not form.wrapper:
        return form
    spelled = imported(subject.module, subject.layout, "contextlib", form.wrapper)
    return Form(form.keyword, spelled, form.drops_await)


def entered_span(subject: Subject, form: Form) -> Span:
    """The part of the acquiring expression that stays in the scope form."""
    return subject.layout.span(subject.call if form.drops_await else subject.acquisition)


def release_code(subject: Subject, name: str, names_pool: bool = False) -> str:
    """The statement that releases a variable. Raises Refused where the pool it came from has no name.

    names_pool: whether the pool may get one in front of the acquisition, which everything that needs it follows.
    """
    receiver = None
    function = subject.call.func
    if isinstance(function, ast.Attribute):
        plain = _is_plain(function.value)
        receiver = subject.layout.text(function.value) if plain and not subject.via_factory else None
        if receiver and (subject.resource.gives_back or not subject.resource.release):
            require_same(subject, function.value)
        elif names_pool and not plain and not subject.resource.release and not subject.via_factory:
            receiver = _named(subject, function.value)
    code = subject.resource.release_code(name, receiver)
    if code is None or (not subject.resource.release and subject.via_factory):
        raise Refused(f"what the {subject.resource.noun} must be given back to has no name here")
    return code


def is_given_back(subject: Subject) -> bool:
    """Whether the scope gives it back to where it came from, where closing it would throw it away."""
    if not subject.resource.gives_back:
        return False
    function = subject.call.func
    named = isinstance(function, ast.Attribute) and _is_plain(function.value) and not subject.via_factory
    return named or form_of(subject).keyword != ""


def _is_plain(node: ast.expr) -> bool:
    return all(isinstance(part, ast.Name | ast.Attribute | ast.expr_context) for part in ast.walk(node))


def _named(subject: Subject, pool: ast.expr) -> str | None:
    """A name for what hands out the resource: ``c = get_pool().getconn()`` evaluates it before anything else.

    Asked for again, it might be another one.
    """
    statement, layout = subject.statement, subject.layout
    text = layout.text(pool)
    whole = isinstance(statement, ast.Assign) and statement.value is subject.call
    if not whole or "\n" in text or not layout.stands_alone(statement) or not _asks_the_same(subject, pool):
        return None
    name = subject.new_name("pool")
    layout.add_before(first_line(statement), f"{layout.indent_of(first_line(statement))}{name} = {text}")
    layout.replace(layout.span(pool), name)
    return name


def _asks_the_same(subject: Subject, pool: ast.expr) -> bool:
    """Whether an expression is one call or look-up, of which no part changes once the resource is acquired."""
    if not isinstance(pool, ast.Call | ast.Subscript):
        return False
    simple = ast.Name | ast.Attribute | ast.Constant | ast.keyword | ast.expr_context
    if not all(node is pool or isinstance(node, simple) for node in ast.walk(pool)):
        return False
    parts = {_word(node) for node in ast.walk(pool)}
    return not any(
        isinstance(node, ast.Name | ast.Attribute)
        and not isinstance(node.ctx, ast.Load)
        and node.lineno > subject.statement.lineno
        and _word(node) in parts
        for node in subject.parents
    )


def _word(node: ast.AST) -> str | None:
    return getattr(node, "id", getattr(node, "attr", None))
