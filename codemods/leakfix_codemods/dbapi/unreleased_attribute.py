"""An attribute in which a method opens something, and which it closes only if nothing between goes wrong.

What leaks
----------
A method sets ``self.connection = connect()``, works with it, mostly through other methods, and closes it some lines
further on. An exception on the way passes the line that closes; so does a ``return``.

Why it hurts
------------
The object keeps what it opened, for as long as anybody keeps the object, or until the next call opens another; a
connection that came from a pool is never given back.

How it is repaired
------------------
What stands between the two lines moves into ``try``, and the ``finally`` closes it. Offered for review where code of
other files, or a handler of exceptions, has an attribute of that name: it may find it closed where it was left open.

When it is left alone
---------------------
It is closed in a ``finally`` or a handler, by another method of the class or of one that derives from it, or by who has
the object; it is closed in several places, or used again behind that.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo
from leakfix.project.kinds import is_test
from leakfix_codemods._attributes import Opened, released_behind
from leakfix_codemods._attributes import repair as enclosed
from leakfix_codemods.dbapi._exits import attributes_set, is_released_elsewhere


def find(view: View) -> Iterator[Match]:
    """What methods open into attributes, and close where all went well."""
    if is_test(view.module.path):
        return
    for owner in view.module.classes.values():
        for method in owner.methods.values():
            for item in _opened(view, owner, method):
                if released_behind(view, item) is not None and not _is_released(view, owner, item):
                    yield Match(
                        item.call,
                        f"{item.resource.noun} in self.{item.attribute} is not released if something fails before",
                        partial(repair, view, item),
                        Severity.WARNING,
                        item.resource.held,
                        identity=f"{method.qualname} {item.attribute}",
                    )


def _opened(view: View, owner: ClassInfo, method: FunctionInfo) -> Iterator[Opened]:
    for attribute, value, names in attributes_set(method):
        resource = view.acquired(view.module, method, value) if isinstance(value, ast.Call) else None
        if isinstance(value, ast.Call) and resource is not None and not resource.shared and not resource.of_process:
            known = frozenset({f"self.{attribute}", *names})
            yield Opened(method, view.statement_of(value), value, resource, attribute, known)


def _is_released(view: View, owner: ClassInfo, item: Opened) -> bool:
    words = {*item.resource.release, *(name.rpartition(".")[2] for name in item.resource.release_with), "close"}
    return is_released_elsewhere(view, owner, [item.function], item.attribute, words)


def repair(view: View, item: Opened) -> Fix | Refusal:
    """Close it in a ``finally`` round what follows."""
    fix = enclosed(view, item)
    if isinstance(fix, Refusal):
        return fix
    named = re.compile(rf"\.{item.attribute}\b".encode())
    handlers = (node for node in ast.walk(view.tree) if isinstance(node, ast.ExceptHandler))
    handled = any(isinstance(n, ast.Attribute) and n.attr == item.attribute for h in handlers for n in ast.walk(h))
    if handled or any(map(named.search, view.texts(item.attribute))):
        check = fix.check or f"that nobody needs self.{item.attribute} any more when the method has failed"
        return replace(fix, safety=Safety.REVIEW, check=check)
    return fix


CODEMOD = PatternCodemod(
    find=find,
    shape=r"^[ \t]+self\.\w+[ \t]*(?::[^=\n]+)?=[^=\n]*\(",
    noun="attribute",
    repairs="try/finally round what follows",
    category=Category.LEAK,
)
