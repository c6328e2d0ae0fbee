"""A context manager of one's own whose ``__exit__`` does not release what its ``__enter__`` opened.

What leaks
----------
``__enter__`` sets ``self.session = factory()`` and ``__exit__`` only rolls back, commits, or does nothing: a unit of
work whose session is never closed. The ``with`` round it looks as if it released something.

Why it hurts
------------
Each use keeps a connection, until the collector finds the object. A pool is empty after as many uses as it has slots.

How it is repaired
------------------
What ``__exit__`` did so far moves into ``try``, and its ``finally`` releases the attribute. Offered for review: what
callers got inside the ``with`` may still need it afterwards, as objects of an ORM do whose attributes have expired.

When it is left alone
---------------------
The attribute is released anywhere in the project, handed on by ``__exit__``, given out by ``__enter__``, or held by an
exit stack; classes whose bases are not of the project, or whose ``__exit__`` calls another.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.patterns.called import is_of_tests
from leakfix.project.kinds import is_test
from leakfix.resources import Resource
from leakfix_codemods._blocks import body_of, is_laid_out, put_in_try

_PAIRS = (("__enter__", "__exit__"), ("__aenter__", "__aexit__"))
_ABSTRACT = frozenset({"builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol"})
_OPENS = (
    r"def __a?enter__\(self[^)]*\)[^:]*:[ \t]*(?:\r?\n(?![ \t]*def )[^\n]*){0,12}?"
    r"\r?\n[ \t]+self\.\w+[ \t]*(?::[^=\n]+)?=[^=\n]*\("
)


def find(view: View) -> Iterator[Match]:
    """What an ``__enter__`` opens into an attribute that nothing releases."""
    if is_test(view.module.path):
        return
    for owner in view.module.classes.values():
        for entering, leaving in _PAIRS:
            start, end = owner.methods.get(entering), owner.methods.get(leaving)
            if start is None or end is None or not _ABSTRACT.issuperset(view.names.outside_bases(view.module, owner)):
                continue
            for attribute, call, resource in _opened(view, start):
                if not _is_released(view, end, attribute, resource) and not _is_given_out(start, attribute):
                    yield Match(
                        call,
                        f"{resource.noun} in self.{attribute} is not released by {leaving}()",
                        partial(repair, view, end, attribute, call, resource),
                        Severity.ERROR,
                        resource.held,
                        identity=f"{owner.qualname}.{attribute}",
                    )


def _opened(view: View, start: FunctionInfo) -> Iterator[tuple[str, ast.Call, Resource]]:
    for statement in start.node.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        value = getattr(statement, "value", None)
        value = value.value if isinstance(value, ast.Await) else value
        if isinstance(target, ast.Attribute) and _is_self(target.value) and isinstance(value, ast.Call):
            resource = view.acquired(view.module, start, value)
            if resource is not None and not resource.shared and not resource.of_process:
                yield target.attr, value, resource


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_own(node: ast.AST | None, attribute: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == attribute and _is_self(node.value)


def _is_given_out(start: FunctionInfo, attribute: str) -> bool:
    returns = (node.value for node in ast.walk(start.node) if isinstance(node, ast.Return))
    return any(_is_own(value, attribute) for value in returns)


def _is_released(view: View, end: FunctionInfo, attribute: str, resource: Resource) -> bool:
    """Whether anything in the project may release the attribute, or ``__exit__`` does what cannot be seen through."""
    for node in ast.walk(end.node):
        match node:
            case ast.Name(id="super") | ast.Attribute(attr="__exit__" | "__aexit__"):
                return True
            case ast.Call(args=given) if any(_is_own(value, attribute) for value in given):
                return True
            case ast.Assign(value=value) | ast.withitem(context_expr=value) if _is_own(value, attribute):
                return True
    words = "|".join(map(re.escape, (*resource.release, *resource.release_with, "close", "remove", "release")))
    released = re.compile(rf"\.{attribute}\.(?:{words})\b|\b(?:{words})\([^()\n]*\.{attribute}\b|ExitStack".encode())
    if released.search(view.module.source.data):
        return True
    return any(released.search(text) for text in view.texts(attribute) if not is_of_tests(text))


def repair(view: View, end: FunctionInfo, attribute: str, call: ast.Call, resource: Resource) -> Fix | Refusal:
    """Release it at the end of ``__exit__``, whatever that does before."""
    receiver = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else None
    code = resource.release_code(f"self.{attribute}", receiver)
    if code is None:
        return Refusal(f"what the {resource.noun} must be given back to has no name here")
    if resource.asynchronous and not isinstance(end.node, ast.AsyncFunctionDef):
        return Refusal(f"releasing the {resource.noun} must be awaited")
    layout, body = view.layout(), body_of(end.node)
    if not is_laid_out(layout, body):
        return Refusal("the statements of the method share a line")
    if len(body) == 1 and isinstance(body[0], ast.Pass):
        layout.replace(layout.span(body[0]), code)
    else:
        put_in_try(view, layout, body, "", ("finally:", code))
    check = f"that nothing which callers got inside the `with` needs the {resource.noun} after it"
    return Fix(f"release the {resource.noun} when the `with` is left", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    words=("__enter__", "__aenter__"),
    shape=_OPENS,
    noun="connection",
    repairs="released in a finally of __exit__",
    category=Category.LEAK,
)
