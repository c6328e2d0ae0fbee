"""Caches made by ``functools``: which of them grow without bound, and the bound they get."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from leakfix.finding import Fix, Refusal, Safety
from leakfix.languages.python.modules import ClassInfo, FunctionInfo, own_nodes, parameter_parts
from leakfix.patterns.called import is_called, is_called_with_constants, is_of_tests
from leakfix.patterns.domain import (
    is_open_parameter,
    says_closed,
    says_long_lived,
    says_one_each,
    says_server,
    strength,
)
from leakfix.patterns.unique import CHANCE, CLOCK, CONNECTED, DONE, IN_USE, is_changing
from leakfix.patterns.view import View
from leakfix.repairs.python.imports import forget_import, imported

MOST_ENTRIES = 4096
MOST_OBJECTS = 128
_STARTS = re.compile(rb"__main__|\bdef (?:main|run|start\w*|lifespan|create_app|setup)\b|asyncio\.run\(")
_FEW_OBJECTS = ("Command", "Config", "Configuration", "Settings", "App", "Application")


@dataclass(frozen=True)
class UnboundedCache:
    """A cache without a bound, and the function it is for. size: the constant ``None``, where one is written."""

    made: ast.expr
    function: FunctionInfo
    size: ast.expr | None


def unbounded_caches(view: View) -> Iterator[UnboundedCache]:
    """``lru_cache(maxsize=None)`` and ``cache``: on the file's functions, called with one, or kept to decorate them."""
    kept = {}
    for statement in view.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as made) if _size(view, made, None):
                kept[name] = made
            case ast.Assign(value=ast.Call(func=made, args=[ast.Name() as cached])):
                for found in view.of(cached):
                    function = view.module.functions.get(found.rpartition(":")[2])
                    size = _size(view, made, None)
                    if function is not None and (size or view.is_a(made, None, "functools.cache")):
                        yield UnboundedCache(made, function, size)
    for function in view.functions:
        for decorator in function.node.decorator_list:
            if view.is_a(decorator, function.parent, "functools.cache"):
                yield UnboundedCache(decorator, function, None)
            elif isinstance(decorator, ast.Name) and decorator.id in kept:
                made = kept[decorator.id]
                yield UnboundedCache(made, function, _size(view, made, None))
            elif size := _size(view, decorator, function.parent):
                yield UnboundedCache(decorator, function, size)


def _size(view: View, made: ast.expr, function: FunctionInfo | None) -> ast.expr | None:
    """The ``None`` in ``lru_cache(maxsize=None)``."""
    if not isinstance(made, ast.Call) or not view.is_a(made.func, function, "functools.lru_cache"):
        return None
    sizes = [*made.args[:1], *(word.value for word in made.keywords if word.arg == "maxsize")]
    return sizes[0] if sizes and isinstance(sizes[0], ast.Constant) and sizes[0].value is None else None


_DECORATED = re.compile(
    rb"^[ \t]*@(?:\w+\.)?(?:lru_cache\(\s*(?:maxsize\s*=\s*)?None[^\n]*|cache[ \t]*(?:#[^\n]*)?)\r?\n"
    rb"(?:[ \t]*[@#][^\n]*\n)*[ \t]*(?:async )?def \w+\(\s*([^)\s,:]*)\s*([,):]?)",
    re.MULTILINE,
)
_CLEARED = re.compile(rb"(\w+)\.cache_clear\b")
_OTHERWISE = re.compile(
    rb"lru_cache\(\s*\n|import[^\n]*\bcache as\b|=\s*(?:\w+\.)?(?:cache\(\w|lru_cache\(\s*(?:maxsize\s*=\s*)?None)"
)


def may_be_unbounded(data: bytes, path: str) -> bool:
    """Whether a file's text has a cache without a bound on something that takes arguments."""
    if b"lru_cache" not in data and not any(form in data for form in (b"@cache", b".cache", b"cache as", b"= cache(")):
        return False
    if _OTHERWISE.search(data) is not None:
        return True
    return any(_may_be_open(first, after) for first, after in _DECORATED.findall(data))


def _may_be_open(first: bytes, after: bytes) -> bool:
    """Whether the first parameter after a decorator leaves it open that the cache grows."""
    name = first.decode("utf-8", "replace")
    return bool(name) and (after != b")" or (name != "cls" and not says_closed(name)))


def parameters(function: FunctionInfo) -> list[ast.arg]:
    """All parameters of a function, in their order."""
    given = function.node.args
    rest = [argument for argument in (given.vararg, given.kwarg) if argument is not None]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *rest]


def keeps_self(function: FunctionInfo) -> bool:
    """Whether a cached function is a method whose entries hold the object."""
    words = {getattr(item, "id", getattr(item, "attr", "")) for item in function.node.decorator_list}
    return function.owner is not None and not words & {"staticmethod", "classmethod"} and bool(parameters(function))


def is_made_at_import(view: View, name: str) -> bool:
    """Whether an object of a class of the file is made when a module is imported."""
    made = re.compile(
        rf"^\w+[ \t]*(?::[^=\n]+)?=[ \t]*(?:\w+\.)*{name}\(|def [^\n]*=\s*{name}\(".encode(), re.MULTILINE
    )
    return made.search(view.module.source.data) is not None


def is_made_in_passing(view: View, name: str) -> bool:
    """Whether all the project makes of a class are local variables of functions, other than those that start it."""
    return _is_made_only(view, name, re.compile(rb"[ \t]+(?:\w+ = |with )(?:\w+\.)*$"), _STARTS)


def _is_made_only(view: View, name: str, way: re.Pattern[bytes], never: re.Pattern[bytes] | None = None) -> bool:
    """Whether the project makes objects of a class, behind nothing but this, and in no file with what is never there.

    Tests make theirs as they like.
    """
    made = re.compile(rb"^(.*?)\b" + name.encode() + rb"\(", re.MULTILINE)
    found = False
    for text in (view.module.source.data, *(text for text in view.texts(name) if not is_of_tests(text))):
        before = [line for line in made.findall(text) if not line.lstrip().startswith((b"class ", b"#"))]
        if before and ((never is not None and never.search(text)) or not all(map(way.match, before))):
            return False
        found = found or bool(before)
    return found


def grows(view: View, function: FunctionInfo, argument: ast.arg) -> bool:
    """Whether a cache is sure to grow with the values of a parameter: an open word, numbers that never repeat, or what
    a database is asked for.
    """
    if not is_open_parameter(view, function, argument):
        return False
    if strength(argument.arg) > 0 or _asks_database(view, function):
        return True
    return argument.annotation is not None and view.is_a(argument.annotation, function, "builtins.float")


def _asks_database(view: View, function: FunctionInfo) -> bool:
    calls = (node for node in own_nodes(function.node) if isinstance(node, ast.Call))
    return any(view.acquired(view.module, function, call) is not None for call in calls)


def is_met_by_many(view: View, function: FunctionInfo, keys: list[str]) -> bool:
    """Whether a cached function is given more values of its open parameters than the program itself has."""
    told = [
        key
        for key in keys
        if strength(key) > 1 and not says_server(key) and parameter_parts(function.node, key)[1] is None
    ]
    if says_one_each(function.node.name) and not told:
        return False
    return is_called(view, function) and not is_called_with_constants(view, function)


def compiles_patterns(view: View, function: FunctionInfo) -> bool:
    """Whether all a function returns are compiled patterns: the program writes those, few are made of what comes in."""
    values = [node.value for node in own_nodes(function.node) if isinstance(node, ast.Return) and node.value]
    return bool(values) and all(
        isinstance(value, ast.Call) and view.is_a(value.func, function, "re.compile") for value in values
    )


def has_few_objects(view: View, owner: ClassInfo) -> bool:
    """Whether a program makes few objects of a class, so that keeping them costs nothing: one for another object."""
    name = owner.node.name
    bases = view.names.outside_bases(view.module, owner)
    return (
        name.endswith(_FEW_OBJECTS)
        or says_long_lived(name)
        or any(base == "builtins.type" or base.rpartition(".")[2].endswith("Command") for base in bases)
        or is_made_at_import(view, name)
        or _is_part_of_another(view, name)
    )


def _is_part_of_another(view: View, name: str) -> bool:
    """Whether all the project makes of a class is kept by the object that makes it."""
    return _is_made_only(view, name, re.compile(rb"[ \t]+self\.\w+(?:[ \t]*:[^=]+)?[ \t]*=[ \t]*(?:\w+\.)*$"))


def calls_itself(function: FunctionInfo) -> bool:
    """Whether a function recurses: its cache is its algorithm."""
    name = function.node.name
    own = (f"self.{name}", f"cls.{name}", name)
    return any(isinstance(node, ast.Call) and ast.unparse(node.func) in own for node in own_nodes(function.node))


def is_cleared(view: View, function: FunctionInfo) -> bool:
    """Whether anything in the project empties the function's cache."""
    name = function.node.name.encode()
    elsewhere = view.once("functions whose cache is cleared", lambda: _cleared(view.texts("cache_clear")))
    return name in elsewhere or name in _cleared([view.module.source.data])


def _cleared(texts: Iterable[bytes]) -> set[bytes]:
    return {name for text in texts for name in _CLEARED.findall(text)}


_DONE = re.compile(DONE)
_ONE_OF_ITS_KIND = re.compile(
    rf"(?:\w+\.)*(?:\w*(?:{IN_USE})|{CONNECTED}|Counter|defaultdict|deque)\([^()]*\)$|.*(?:{CHANCE}|{CLOCK})"
    r"|(?:\[\]|\{\}|(?:list|dict|set|OrderedDict)\(\))$"
)


def _given(function: FunctionInfo) -> Iterator[ast.expr]:
    """What a function returns, there or where its variable is set."""
    nodes = list(own_nodes(function.node))
    values = [node.value for node in nodes if isinstance(node, ast.Return) and node.value is not None]
    names = {value.id for value in values if isinstance(value, ast.Name)}
    yield from values
    for node in nodes:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in names for t in node.targets):
            yield node.value


_CHANGED = r"(?m)\b{variable}(?:\.\w+|\[[^\]\n]*\])+[ \t]*(?:[-+*/|&]|//|<<)?=[^=]|\b{variable}\.(?:{changing})\("
_CHANGING = "append|add|update|extend|insert|remove|discard|pop|popitem|clear|setdefault|sort|reverse"


def _is_changed(view: View, function: FunctionInfo) -> bool:
    """Whether anything in the project changes what a cached function gave: ``account(number).balance += 1``."""
    name = re.escape(function.node.name)
    made = rf"\b(\w+)[ \t]*(?:=|\bin)[ \t]*(?:\w+\.)*{name}\(".encode()
    others = () if name.startswith("_") else view.texts(function.node.name)
    for text in (view.module.source.data, *others):
        variables = {item.decode() for item in re.findall(made, text)}
        spelled = [rf"{name}\([^()\n]*\)", *map(re.escape, sorted(variables))]
        if any(re.search(_CHANGED.format(variable=each, changing=_CHANGING).encode(), text) for each in spelled):
            return True
    return False


def why_not_again(view: View, function: FunctionInfo) -> str:
    """Why what a cached function gave cannot be computed again; "" where it can."""
    values = list(_given(function))
    if not values:
        return "it gives nothing, and is called for what it does once for each: that would be done again"
    for value in values:
        if _ONE_OF_ITS_KIND.match(ast.unparse(value)) or is_changing(view, function, value):
            return "what it holds is not the same when it is computed again: which to drop is for you to decide"
    if any(_DONE.search(ast.unparse(value)) for value in values):
        return "it does something, once for each: that would be done again"
    if _is_changed(view, function):
        return "what it gave is changed later: an entry that goes would take that with it"
    return ""


def bound(view: View, found: UnboundedCache, most: int, check: str) -> Fix | Refusal:
    """The same cache with a bound."""
    reason = why_not_again(view, found.function)
    if reason:
        return Refusal(reason)
    layout = view.layout()
    if found.size is not None:
        layout.replace(layout.span(found.size), str(most))
    elif isinstance(found.made, ast.Attribute):
        layout.replace(layout.span(found.made), f"{layout.text(found.made.value)}.lru_cache(maxsize={most})")
    else:
        assert isinstance(found.made, ast.Name)
        last = len(view.uses(found.made.id, None)) == 1
        spelled = imported(view.module, layout, "functools", "lru_cache")
        layout.replace(layout.span(found.made), f"{spelled}(maxsize={most})")
        if last:
            forget_import(view.module, layout, found.made.id)
    return Fix(f"keep at most {most:,} entries", Safety.REVIEW, tuple(layout.edits), check)
