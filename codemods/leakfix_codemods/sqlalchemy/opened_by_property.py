"""A property that opens an engine, a session or a connection each time it is read.

What leaks
----------
``@property def engine(self): return create_engine(self.url)``: every ``settings.engine`` makes another engine, with a
pool of its own. Where a property opens a session, ``self.session.add(row); self.session.commit()`` asks two of them,
and commits nothing.

Why it hurts
------------
Reading an attribute looks as if it cost nothing, so it is done again and again. The pools keep their connections until
the collector finds them.

How it is repaired
------------------
A property that makes an engine becomes a ``functools.cached_property``: the object makes it once and keeps it. Offered
for review, since what the engine is made of may change while the object lives.

When it is left alone
---------------------
What it opens is kept under another name, held by ``with``, put into a variable or disposed of where the property is
read. Without a repair: anything but engines, since their callers have to release them; classes with ``__slots__``, and
properties that can be set or deleted.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.project.kinds import is_test
from leakfix.repairs.python.imports import imported
from leakfix.resources import Resource


def find(view: View) -> Iterator[Match]:
    """Properties that return what they have opened."""
    for function in () if is_test(view.module.path) else view.functions:
        decorator = _property(view, function)
        resource = view.fresh(view.symbol(function)) if decorator is not None else None
        if decorator is None or resource is None or resource.shared or _is_taken(view, function.node.name, resource):
            continue
        for call in view.own(function):
            if isinstance(call, ast.Call) and view.acquired(view.module, function, call) is resource:
                yield Match(
                    call,
                    f"each time {function.node.name} is read, another {resource.noun} is opened",
                    partial(repair, view, function, decorator, resource),
                    Severity.ERROR,
                    resource.held,
                    identity=function.qualname,
                )
                break


def _property(view: View, function: FunctionInfo) -> ast.expr | None:
    """The decorator that makes a method a property, if it is its only one."""
    decorators = function.node.decorator_list
    if function.owner is None or len(decorators) != 1 or not view.is_a(decorators[0], None, "builtins.property"):
        return None
    return decorators[0]


def _is_taken(view: View, name: str, resource: Resource) -> bool:
    """Whether the project holds what an attribute of that name gives, or releases it."""
    released = "|".join(map(re.escape, resource.release))
    taken = re.compile(
        rf"\bwith\b[^\n]*\.{name}\b|[=(,][ \t]*(?:await[ \t]+)?[\w.]+\.{name}[ \t\r]*(?:[,)\]]|$)"
        rf"|\.{name}\.(?:{released})\(|\breturn [\w.]+\.{name}[ \t\r]*$".encode(),
        re.MULTILINE,
    )
    held = taken if not resource.of_process else re.compile(rf"\.{name}\.(?:{released})\(".encode())
    return any(held.search(text) for text in (view.module.source.data, *view.texts(name)))


def repair(view: View, function: FunctionInfo, decorator: ast.expr, resource: Resource) -> Fix | Refusal:
    """Make it once for each object."""
    if not resource.of_process:
        return Refusal(f"who reads it must release the {resource.noun}: a method that is called in a with would say so")
    owner = function.owner
    assert owner is not None
    slots = any("__slots__" in item.attributes for _, item in view.names.lineage(view.module, owner))
    said = ast.unparse(owner.node)
    if slots or "__slots__" in said or "slots=True" in said:
        return Refusal("objects of the class have no place to keep it in: __slots__")
    name = function.node.name
    if re.search(rf"@{name}\.(?:setter|deleter)\b", said):
        return Refusal("the property can be set or deleted")
    layout = view.layout()
    layout.replace(layout.span(decorator), imported(view.module, layout, "functools", "cached_property"))
    check = "that what it is made of does not change while the object lives, and that objects are not made for each use"
    return Fix(f"keep the {resource.noun} in the object", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    shape=r"^[ \t]+@property\b",
    noun="property",
    repairs="functools.cached_property",
    category=Category.LEAK,
)
