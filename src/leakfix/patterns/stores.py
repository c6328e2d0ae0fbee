"""Classes that somebody wrote as caches: which of their objects live long, and under which keys they are filled."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from leakfix.languages.python.modules import ClassInfo, Value
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.caches import parameters
from leakfix.patterns.containers import Container, Fill, open_word
from leakfix.patterns.domain import says_cache, strength
from leakfix.patterns.view import View
from leakfix.project.kinds import is_run_once, is_test

CACHE_CLASS = re.compile(rb"^class \w*(?:[Cc]ache|CACHE|Memo|TTL)", re.MULTILINE)


def is_store(container: Container) -> bool:
    """Whether a container is what the objects of a class that is called a cache keep their entries in."""
    return container.kind == "instance" and container.owner is not None and says_cache(container.owner.node.name)


def is_kept_elsewhere(view: View, container: Container) -> bool:
    """Whether another module keeps an object of the class for good; of those that derive from others, few are."""
    if container.owner is None or (container.owner.node.bases and not is_store(container)):
        return False
    name = container.owner.node.name
    made = re.compile(rf"(?m)^\w+[ \t]*(?::[^=\n]+)?=[ \t]*(?:\w+\.)*{name}\(".encode())
    return any(_lasts(module.path) for module in view.others(name, lambda text: made.search(text) is not None))


def _lasts(path: str) -> bool:
    """Whether a file belongs to what serves: neither a test nor run once."""
    return not is_test(path) and not is_run_once(path)


def key_from_outside(view: View, container: Container, fill: Fill) -> str:
    """The word of the keys that tells most surely of an open domain, where the project gives them to a module's object.

    What the class itself calls a key says nothing; "" where no file makes such an object and fills it.
    """
    if container.owner is None:
        return ""
    told = (
        open_word(user, key, user.function_of(call))
        for user, call in calls_of_kept(view, container.owner, fill.function.node.name)
        if (key := _key_given(call, fill)) is not None
    )
    return max(told, key=strength, default="")


def _key_given(call: ast.Call, fill: Fill) -> ast.expr | None:
    """The argument of a method's call that is the key, by its position or its name."""
    if not isinstance(fill.key, ast.Name):
        return None
    named = next((word.value for word in call.keywords if word.arg == fill.key.id), None)
    is_static = any(name_of(item) == "staticmethod" for item in fill.function.node.decorator_list)
    given = [argument.arg for argument in parameters(fill.function)][0 if is_static else 1 :]
    at = given.index(fill.key.id) if fill.key.id in given else len(call.args)
    return call.args[at] if at < len(call.args) else named


def calls_of_kept(view: View, owner: ClassInfo, method: str) -> Iterator[tuple[View, ast.Call]]:
    """Where the project calls a method of an object of a class that a module keeps."""
    symbol = f"@{view.module.path}:{owner.qualname}()"
    called = f".{method}(".encode()
    for maker in view.mentioning(owner.node.name):
        for name in _kept(maker, owner.node.name) if _lasts(maker.module.path) else ():
            users = maker.others(name, lambda text: called in text)
            for user in (maker, *map(maker.elsewhere, users)):
                for call in user.calls if _lasts(user.module.path) else ():
                    match call.func:
                        case ast.Attribute(value=used, attr=word) if word == method:
                            if symbol in user.of(used, user.function_of(call)):
                                yield user, call


def _kept(view: View, owner: str) -> list[str]:
    """The names under which a module keeps objects of a class."""
    return [
        name
        for name, bindings in view.module.names.items()
        for binding in bindings
        if isinstance(binding, Value) and isinstance(binding.expression, ast.Call)
        if name_of(binding.expression) == owner
    ]
