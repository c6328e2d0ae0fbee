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
The attribute is released by ``__exit__`` or a method it calls, whatever the ``with`` ended with; by another method, a
class that derives from it or who has the object; handed on, set anew, or given out by ``__enter__`` to somebody who
does more than use it inside the ``with``; classes whose bases are not of the project, or whose ``__exit__`` calls what
is not in the same file.
"""

import ast
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.project.kinds import is_test
from leakfix.resources import Resource
from leakfix_codemods._blocks import body_of, is_laid_out, put_in_try
from leakfix_codemods.dbapi._exits import Ending, attributes_set, ending, is_only_entered, is_own

_PAIRS = (("__enter__", "__exit__"), ("__aenter__", "__aexit__"))
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
            if start is None or end is None or not view.names.stands_alone(view.module, owner):
                continue
            for attribute, call, resource in _opened(view, owner, start):
                if ending(view, owner, end, attribute, resource) is Ending.LOST:
                    yield Match(
                        call,
                        f"{resource.noun} in self.{attribute} is not released by {leaving}()",
                        partial(repair, view, end, attribute, call, resource),
                        Severity.ERROR,
                        resource.held,
                        identity=f"{owner.qualname}.{attribute}",
                    )


def _opened(view: View, owner: ClassInfo, start: FunctionInfo) -> Iterator[tuple[str, ast.Call, Resource]]:
    """What ``__enter__`` opens into an attribute, and gives out to nobody who may keep or release it."""
    returned = [node.value for node in ast.walk(start.node) if isinstance(node, ast.Return)]
    for attribute, value, names in attributes_set(start):
        resource = view.acquired(view.module, start, value) if isinstance(value, ast.Call) else None
        if not isinstance(value, ast.Call) or resource is None or resource.shared or resource.of_process:
            continue
        out = any(is_own(item, attribute) or (isinstance(item, ast.Name) and item.id in names) for item in returned)
        if not out or is_only_entered(view, owner):
            yield attribute, value, resource


def repair(view: View, end: FunctionInfo, attribute: str, call: ast.Call, resource: Resource) -> Fix | Refusal:
    """Release it at the end of ``__exit__``, whatever that does before."""
    receiver = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else None
    code = resource.release_code(f"self.{attribute}", receiver)
    if code is None:
        return Refusal(f"what the {resource.noun} must be given back to has no name here")
    if resource.asynchronous and not isinstance(end.node, ast.AsyncFunctionDef):
        return Refusal(f"releasing the {resource.noun} must be awaited")
    calls = (node for node in ast.walk(end.node) if isinstance(node, ast.Call))
    if not resource.repeatable and any(name_of(node) in resource.release for node in calls):
        return Refusal("it is released on one way out already, and must not be released twice")
    layout, body = view.layout(), body_of(end.node)
    if not is_laid_out(layout, body):
        return Refusal("the statements of the method share a line")
    if len(body) == 1 and isinstance(body[0], ast.Pass):
        layout.replace(layout.span(body[0]), code)
    else:
        put_in_try(layout, body, "", ("finally:", code))
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
