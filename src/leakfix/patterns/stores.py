"""Classes that somebody wrote as caches: which of their objects live long, and under which keys they are filled."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from leakfix.languages.python.modules import ClassInfo, Value
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.caches import parameters
from leakfix.patterns.called import is_of_tests
from leakfix.patterns.containers import Container, Fill, open_word
from leakfix.patterns.domain import strength
from leakfix.patterns.view import View
from leakfix.project.kinds import is_run_once, is_test

_CACHE = re.compile(r"cache|memo(?!ry)|ttl", re.IGNORECASE)
CACHE_CLASS = re.compile(rb"^class \w*(?:[Cc]ache|CACHE|Memo|TTL)", re.MULTILINE)


def is_store(container: Container) -> bool:
    """Whether a container is what the objects of a class that is called a cache keep their entries in."""
    return container.kind == "instance" and container.owner is not None and _is_called_cache(container.owner)


def _is_called_cache(owner: ClassInfo) -> bool:
    return _CACHE.search(owner.node.name) is not None


def is_kept_elsewhere(view: View, container: Container) -> bool:
    """Whether another module keeps an object of the class for good; of those that derive from others, few are."""
    if container.owner is None or (container.owner.node.bases and not is_store(container)):
        return False
    name = container.owner.node.name
    made = re.compile(rf"(?m)^\w+[ \t]*(?::[^=\n]+)?=[ \t]*(?:\w+\.)*{name}\(".encode())
    return any(made.search(text) for text in view.texts(name) if not is_of_tests(text))


def key_from_outside(view: View, container: Container, fill: Fill) -> str:
    """The word of the keys that tells most surely of an open domain, where the project gives them to a module's object.

    What the class itself calls a key says nothing; "" where no file makes such an object and fills it.
    """
    at = _position(fill)
    if container.owner is None or at is None:
        return ""
    told = (
        open_word(user, call.args[at], user.function_of(call))
        for user, call in _calls(view, container.owner.node.name, fill.function.node.name)
        if at < len(call.args)
    )
    return max(told, key=strength, default="")


def _position(fill: Fill) -> int | None:
    """Which argument of a method is the key."""
    given = [argument.arg for argument in parameters(fill.function)][1:]
    return given.index(fill.key.id) if isinstance(fill.key, ast.Name) and fill.key.id in given else None


def _calls(view: View, owner: str, method: str) -> Iterator[tuple[View, ast.Call]]:
    """Where the project calls a method of an object of a class that a module keeps."""
    for maker in view.mentioning(owner):
        for name in _kept(maker, owner):
            for user in maker.mentioning(name):
                if is_test(user.module.path) or is_run_once(user.module.path):
                    continue
                for call in user.calls:
                    match call.func:
                        case ast.Attribute(value=ast.Name() | ast.Attribute() as used, attr=word) if word == method:
                            if name_of(used) == name:
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
