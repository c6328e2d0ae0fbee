"""What a Python expression names: symbolic names across the whole project.

A symbolic name is a dotted path in which ``()`` is the result of a call or an instance of a class and ``[]`` an
item. What the project defines itself begins with ``@path:``: ``@app/db.py:Database().pool`` is the attribute ``pool``
of an instance of ``Database``; it is followed to what ``__init__`` assigned there wherever that is known.
"""

from __future__ import annotations

import ast
import builtins
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from leakfix.languages.python.modules import (
    Annotated,
    Binding,
    ClassInfo,
    FunctionInfo,
    Import,
    Module,
    Value,
    local_bindings,
    own_nodes,
    parameter_parts,
)
from leakfix.languages.python.project import Modules

_MOST = 4
_DEPTH = 40
BUILTINS = frozenset(dir(builtins))
_OPTIONAL = frozenset(
    {
        "typing.Optional",
        "typing.Annotated",
        "typing.Union",
        "typing_extensions.Annotated",
        "typing.Final",
        "typing.ClassVar",
    }
)
_ITERATORS = frozenset({"Iterator", "Generator", "Iterable", "AsyncIterator", "AsyncGenerator", "AsyncIterable"})
_WRAPPERS = frozenset({"contextlib.closing", "contextlib.aclosing", "contextlib.nullcontext"})
_PASSES_ON = frozenset({"asyncio.wait_for", "asyncio.shield", "asyncio.run", "typing.cast"})
SCOPE_DECORATORS = {
    "contextlib.contextmanager": "contextmanager",
    "contextlib.asynccontextmanager": "contextmanager",
    "pytest.fixture": "fixture",
    "pytest.fixture()": "fixture",
    "pytest_asyncio.fixture": "fixture",
    "pytest_asyncio.fixture()": "fixture",
    "pytest.yield_fixture": "fixture",
    "pytest.yield_fixture()": "fixture",
}


# Decorators that call the function each time it is called and return what it returned.
_PLAIN_DECORATORS = (
    "builtins.staticmethod",
    "builtins.classmethod",
    "builtins.property",
    "abc.",
    "typing.",
    "typing_extensions.",
    "warnings.deprecated",
    "tenacity.",
    "backoff.",
    "retry.",
    "retrying.",
)


@dataclass(frozen=True)
class Place:
    """Where an expression stands: its module and the function whose names it sees."""

    module: Module
    function: FunctionInfo | None


_RECORDS = frozenset({"builtins.object", "typing.Generic", "typing.Protocol", "abc.ABC"})
"""Library classes that leave the constructor of a class derived from them to its fields."""
_SETS_UP = frozenset({"__init__", "__new__", "__post_init__"})


class Names:
    """Resolves expressions to symbolic names. Every answer has at most four names; an empty one means unknown.

    only: where given, the only files (beside ``here``) that are opened to see what they define; whatever else would
        be found in others then stays unknown, and they need not be parsed.
    """

    _count = itertools.count(1)

    def __init__(self, modules: Modules, only: Collection[str] | None = None) -> None:
        self.modules = modules
        self.here = ""
        self._only = only
        self._key = 0 if only is None else next(self._count)
        self._busy: set[object] = set()

    def _load(self, path: str) -> Module | None:
        if self._only is not None and path != self.here and path not in self._only:
            return None
        return self.modules.load(path)

    def _memo(self, module: Module) -> dict[object, tuple[str, ...]]:
        """Answers are kept with the module, those of unlimited sight for good."""
        found = module.memos.get(self._key)
        if found is None:
            for old in [key for key in module.memos if key]:
                del module.memos[old]
            found = module.memos[self._key] = {}
        return found

    # -- expressions ------------------------------------------------------------------------------------------------

    def of(self, node: ast.expr, place: Place) -> tuple[str, ...]:
        """The symbolic names an expression may have."""
        memo = self._memo(place.module)
        known = memo.get(node)
        if known is not None:
            return known
        if node in self._busy or len(self._busy) > _DEPTH:
            return ()
        self._busy.add(node)
        try:
            found = _few(self._of(node, place))
        finally:
            self._busy.discard(node)
        memo[node] = found  # also where a cycle cut it short, else a cycle would be walked again and again
        return found

    def _of(self, node: ast.expr, place: Place) -> Iterator[str]:
        match node:
            case ast.Name(id=name):
                yield from self.name(name, place)
            case ast.Attribute(value=value, attr=attribute):
                for base in self.of(value, place):
                    yield from self.member(base, attribute)
            case ast.Call(func=function):
                yield from self._of_call(node, function, place)
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Starred(value=value):
                yield from self.of(value, place)
            case ast.Subscript(value=value):
                for base in self.of(value, place):
                    yield f"{base}[]"
            case ast.BoolOp(values=values):
                for value in values:
                    yield from self.of(value, place)
            case ast.IfExp(body=body, orelse=orelse):
                yield from self.of(body, place)
                yield from self.of(orelse, place)

    def _of_call(self, node: ast.Call, function: ast.expr, place: Place) -> Iterator[str]:
        for name in self.of(function, place):
            if name in _PASSES_ON and node.args:
                yield from self.of(node.args[-1 if name == "typing.cast" else 0], place)
            elif name in _WRAPPERS and node.args:
                yield f"{name}()"
            elif name == "builtins.super":
                yield from self._super(place)
            else:
                yield from self.called(name)

    def _super(self, place: Place) -> Iterator[str]:
        owner = place.function.owner if place.function else None
        if owner is not None:
            for base in owner.node.bases:
                for name in self.of(base, Place(place.module, None)):
                    yield f"{name}()"

    def entered(self, node: ast.expr, place: Place) -> tuple[str, ...]:
        """What ``with node as x`` binds to x."""
        if isinstance(node, ast.Await):
            return self.entered(node.value, place)
        if isinstance(node, ast.Call) and node.args:
            if any(name in _WRAPPERS for name in self.of(node.func, place)):
                return self.of(node.args[0], place)
        if isinstance(node, ast.Call):
            for name in self.of(node.func, place):
                found = self.function(name)
                if found is not None and self.scope(found[1], found[0]) == "contextmanager":
                    return self._results(name, found, yields=True)
        result: list[str] = []
        for name in self.of(node, place):
            entering = [*self._method(name, "__enter__"), *self._method(name, "__aenter__")]
            result += [item for method in entering for item in self.called(method)] if entering else [name]
        return _few(result)

    def each(self, node: ast.expr, place: Place) -> tuple[str, ...]:
        """What iterating over the expression gives."""
        if isinstance(node, ast.Call):
            for name in self.of(node.func, place):
                found = self.function(name)
                if found is not None:
                    return self._results(name, found, yields=True)
        return tuple(f"{name}[]" for name in self.of(node, place))

    # -- names ------------------------------------------------------------------------------------------------------

    def name(self, name: str, place: Place) -> tuple[str, ...]:
        """A plain name, looked up from the function outward."""
        function = place.function
        while function is not None:
            if self._is_local(name, function):
                key = ("local", id(function), name)
                return self._once(place.module, key, partial(self._local, name, function, place.module))
            function = function.parent
        return self.module_name(place.module, name)

    def _is_local(self, name: str, function: FunctionInfo) -> bool:
        if function.locals is None:
            function.locals = local_bindings(function.node)
        if name in function.locals:
            return True
        arguments = function.node.args
        return any(a.arg == name for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])

    def _local(self, name: str, function: FunctionInfo, module: Module) -> tuple[str, ...]:
        place = Place(module, function)
        arguments = function.node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        names: list[str] = []
        if every and every[0].arg == name and function.owner is not None and not _is_static(function):
            return (self._self(function, module),)
        outside = Place(module, function.parent)
        annotation, default = parameter_parts(function.node, name)
        if annotation is not None:
            names += self.instance(annotation, outside)
        # A default such as `= engine` tells the type too; `= Depends(x)` and None tell nothing.
        if isinstance(default, ast.Name | ast.Attribute):
            names += self.of(default, outside)
        for binding in (function.locals or {}).get(name, ()):
            names += self.binding(binding, place)
        return _few(names)

    def _self(self, function: FunctionInfo, module: Module) -> str:
        assert function.owner is not None
        own = f"@{module.path}:{function.owner.qualname}"
        return own if _is_class_method(function) else f"{own}()"

    def binding(self, binding: Binding, place: Place) -> tuple[str, ...]:
        """What one binding makes a name mean."""
        match binding:
            case Value(expression=value, how="is"):
                return self.of(value, place)
            case Value(expression=value, how="entered"):
                return self.entered(value, place)
            case Value(expression=ast.Call(func=function), how=how) if how.isdigit():
                return _few(n for name in self.of(function, place) for n in self.part(name, int(how)))
            case Value(expression=value):
                return self.each(value, place)
            case Annotated(annotation=annotation):
                return self.instance(annotation, place)
            case FunctionInfo(qualname=qualname) | ClassInfo(qualname=qualname):
                return (f"@{place.module.path}:{qualname}",)
            case Import():
                return self._imported(binding, place.module)
        return ()

    def module_name(self, module: Module, name: str) -> tuple[str, ...]:
        """A global of a module, its star imports included, else a builtin."""
        return self._once(module, ("global", module.path, name), lambda: self._module_name(module, name))

    def _once(self, module: Module, key: object, ask: Callable[[], Iterable[str]]) -> tuple[str, ...]:
        """Ask once and keep the answer with the module; a question that is being asked already has none."""
        memo = self._memo(module)
        known = memo.get(key)
        if known is not None:
            return known
        if key in self._busy:
            return ()
        self._busy.add(key)
        try:
            found = _few(ask())
        finally:
            self._busy.discard(key)
        memo[key] = found
        return found

    def _module_name(self, module: Module, name: str) -> Iterator[str]:
        bindings, later = module.names.get(name), module.set_later.get(name, ())
        for binding in bindings or ():
            yield from self.binding(binding, Place(module, None))
        for binding, function in later:
            yield from self.binding(binding, Place(module, function))
        if bindings or later:
            return
        for star in module.stars:
            path = self.modules.find(module.path, star)
            other = self._load(path) if path else None
            if other is not None and other is not module:
                found = tuple(item for item in self.module_name(other, name) if not item.startswith("builtins."))
                if found:
                    yield from found
                    return
            elif path is None and star.level == 0 and name not in BUILTINS:
                yield f"{star.module}.{name}"
        if name in BUILTINS:
            yield f"builtins.{name}"

    def _imported(self, item: Import, module: Module) -> tuple[str, ...]:
        if item.attribute is None:
            path = self.modules.find(module.path, item)
            return (f"@{path}:",) if path else (item.module,)
        path = self.modules.find(module.path, Import(item.module, None, item.level))
        if path is not None:
            return self._from_file(path, item, module)
        folder = self.modules.find(module.path, Import(_joined(item.module, item.attribute), None, item.level))
        if folder is not None:
            return (f"@{folder}:",)
        return (_joined(item.module, item.attribute),) if not item.level else ()

    def _from_file(self, path: str, item: Import, module: Module) -> tuple[str, ...]:
        assert item.attribute is not None
        other = self._load(path)
        if other is not None and other is not module:
            found = self.module_name(other, item.attribute)
            if found and not all(name.startswith("builtins.") for name in found):
                return found
        inner = self.modules.find(module.path, Import(_joined(item.module, item.attribute), None, item.level))
        return (f"@{inner}:",) if inner else ()

    # -- members, calls, instances ----------------------------------------------------------------------------------

    def member(self, base: str, attribute: str) -> tuple[str, ...]:
        """The attribute of what a symbolic name stands for."""
        if not base.startswith("@"):
            return (f"{base}.{attribute}",)
        path, _, inner = base[1:].partition(":")
        module = self._load(path)
        if not inner:
            return self._module_member(path, module, attribute)
        if module is None:
            return ()
        instance = inner.endswith("()")
        info = module.classes.get(inner[:-2] if instance else inner)
        if info is None:
            return (f"{base}.{attribute}",)
        return self._class_member(module, info, attribute, set()) or tuple(
            f"{outside}{'()' if instance else ''}.{attribute}" for outside in self.outside_bases(module, info)
        )

    def _module_member(self, path: str, module: Module | None, attribute: str) -> tuple[str, ...]:
        named = self.module_name(module, attribute) if module is not None else ()
        found = tuple(name for name in named if not name.startswith("builtins."))
        if found:
            return found
        inner = self.modules.find(path, Import(attribute, None, 1)) if "__init__" in path else None
        return (f"@{inner}:",) if inner else ()

    def _class_member(self, module: Module, info: ClassInfo, attribute: str, seen: set[str]) -> tuple[str, ...]:
        key = f"@{module.path}:{info.qualname}"
        if key in seen:
            return ()
        seen.add(key)
        if attribute in info.methods:
            method = info.methods[attribute]
            name = f"@{module.path}:{method.qualname}"
            return self.called(name) if _is_property(method) else (name,)
        if attribute in info.attributes:
            return self._once(
                module,
                ("attribute", key, attribute),
                lambda: (
                    name
                    for binding, function in info.attributes[attribute]
                    for name in self.binding(binding, Place(module, function))
                ),
            )
        for other, base in self.inside_bases(module, info):
            result = self._class_member(other, base, attribute, seen)
            if result:
                return result
        return ()

    def defines(self, name: str, method: str) -> bool:
        """Whether a class of the project, or a base of it that is, has a method."""
        found = self.class_(name)
        if found is None:
            return False
        return method in found[1].methods or any(
            method in base.methods for _, base in self.inside_bases(*found) if base is not found[1]
        )

    def inside_bases(self, module: Module, info: ClassInfo) -> Iterator[tuple[Module, ClassInfo]]:
        """The project's own base classes."""
        for base in info.node.bases:
            for name in self.of(base, Place(module, None)):
                found = self.class_(name)
                if found is not None:
                    yield found

    def is_record(self, name: str) -> bool:
        """Whether it is a class of the project without a constructor that anybody wrote: a dataclass."""
        found = self.class_(name)
        if found is None or any(base not in _RECORDS for base in self.outside_bases(*found)):
            return False
        return _SETS_UP.isdisjoint(method for _, info in self.lineage(*found) for method in info.methods)

    def lineage(self, module: Module, info: ClassInfo) -> Iterator[tuple[Module, ClassInfo]]:
        """A class of the project and all it derives from that is the project's, each once."""
        waiting, seen = [(module, info)], set[int]()
        while waiting:
            found = waiting.pop()
            if id(found[1]) not in seen:
                seen.add(id(found[1]))
                yield found
                waiting.extend(self.inside_bases(*found))

    def outside_bases(self, module: Module, info: ClassInfo, depth: int = 0) -> list[str]:
        """Symbolic names of base classes the project does not define, also those of its own base classes."""
        found: list[str] = []
        for base in info.node.bases:
            node = base.value if isinstance(base, ast.Subscript) else base
            for name in self.of(node, Place(module, None)):
                inside = self.class_(name)
                if inside is None:
                    found.append(name)
                elif depth < 8 and inside[1] is not info:
                    found += self.outside_bases(*inside, depth + 1)
        return found

    def stands_alone(self, module: Module, info: ClassInfo) -> bool:
        """Whether all that a class does is written in the project: other bases are none, or bring nothing along."""
        for place, owner in self.lineage(module, info):
            for base in owner.node.bases:
                names = self.of(base.value if isinstance(base, ast.Subscript) else base, Place(place, None))
                if not names or any(self.class_(name) is None and name not in _RECORDS for name in names):
                    return False
        return True

    def _method(self, instance: str, method: str) -> tuple[str, ...]:
        if not instance.startswith("@"):
            return ()
        return tuple(n for n in self.member(instance, method) if self.function(n) is not None)

    def called(self, name: str) -> tuple[str, ...]:
        """What calling a symbolic name returns."""
        if not name.startswith("@"):
            return (f"{name}()",)
        found = self.function(name)
        if found is not None:
            if self.scope(found[1], found[0]) == "contextmanager" or _is_generator(found[1]):
                return (f"{name}()",)
            return self._results(name, found, yields=False) or (f"{name}()",)
        if self.class_(name) is not None:
            return (f"{name}()",)
        if name.endswith("()"):
            return _few(item for method in self._method(name, "__call__") for item in self.called(method))
        return (f"{name}()",)

    def part(self, name: str, position: int | None = None) -> Iterator[str]:
        """One part, or every part, of the tuple a function of the project returns."""
        found = self.function(name)
        if found is None or ("part", name) in self._busy:
            return
        self._busy.add(("part", name))
        try:
            for node in own_nodes(found[1].node):
                if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
                    elements = node.value.elts
                    for element in elements if position is None else elements[position : position + 1]:
                        yield from self.of(element, Place(*found))
        finally:
            self._busy.discard(("part", name))

    def _results(self, name: str, found: tuple[Module, FunctionInfo], yields: bool) -> tuple[str, ...]:
        return self._once(found[0], ("results", name, yields), lambda: self._handed_out(*found, yields))

    def _handed_out(self, module: Module, info: FunctionInfo, yields: bool) -> list[str]:
        place = Place(module, info)
        names: list[str] = []
        for node in own_nodes(info.node):
            match node:
                case ast.Return(value=ast.expr() as value) if not yields:
                    names += self.of(value, place)
                case ast.Yield(value=ast.expr() as value) if yields:
                    names += self.of(value, place)
        if not names and info.node.returns is not None:
            names += self.instance(info.node.returns, Place(module, None), iterates=yields)
        return names

    def instance(self, annotation: ast.expr, place: Place, iterates: bool = False) -> tuple[str, ...]:
        """Symbolic names of an instance of an annotated type; Optional, unions and Annotated are seen through."""
        match annotation:
            case ast.Constant(value=str() as text):
                try:
                    return self.instance(ast.parse(text, mode="eval").body, place, iterates)
                except (SyntaxError, ValueError):
                    return ()
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return _few([*self.instance(left, place), *self.instance(right, place)])
            case ast.Subscript(value=generic, slice=inner):
                items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                names = self.of(generic, place)
                if any(name in _OPTIONAL for name in names):
                    only_first = any(name.endswith("Annotated") for name in names)
                    return _few(n for item in items[: 1 if only_first else None] for n in self.instance(item, place))
                if iterates and any(name.rpartition(".")[2] in _ITERATORS for name in names):
                    return self.instance(items[0], place)
                return tuple(f"{name}()" for name in names if not name.startswith(("builtins.", "typing.")))
            case ast.Name() | ast.Attribute():
                alias = self._alias(annotation, place)
                if alias is not None:
                    return self.instance(*alias, iterates=iterates)
                names = self.of(annotation, place)
                return tuple(
                    f"{name}()"
                    for name in names
                    if not name.startswith(("builtins.", "typing.")) and not name.endswith("()")
                )
        return ()

    def _alias(self, node: ast.expr, place: Place, depth: int = 0) -> tuple[ast.expr, Place] | None:
        """What a name for ``Annotated[T, ...]`` or ``Optional[T]`` stands for, followed through imports."""
        if not isinstance(node, ast.Name) or depth > _MOST:
            return None
        for binding, at in self._bindings(node.id, place):
            match binding:
                case Value(expression=ast.Subscript(value=generic) as value, how="is"):
                    if any(name in _OPTIONAL for name in self.of(generic, at)):
                        return value, at
                case Import(module=module, attribute=str() as name, level=level):
                    path = self.modules.find(at.module.path, Import(module, None, level))
                    source = self._load(path) if path else None
                    if source is not None and source is not at.module:
                        return self._alias(ast.Name(name, ast.Load()), Place(source, None), depth + 1)
        return None

    def made_by(self, node: ast.expr, place: Place, depth: int = 0) -> list[tuple[ast.Call, Place]]:
        """The calls a name's value may come from, through imports and attributes of ``self``, and where they stand."""
        match node:
            case ast.Name(id=name):
                return [call for binding, at in self._bindings(name, place) for call in self._calls(binding, at, depth)]
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                return [
                    call
                    for symbol in self.name(name, place)
                    for binding, at in self._attribute_bindings(symbol, attribute)
                    for call in self._calls(binding, at, depth)
                ]
        return []

    def _bindings(self, name: str, place: Place) -> Iterator[tuple[Binding, Place]]:
        function = place.function
        while function is not None and not self._is_local(name, function):
            function = function.parent
        found = place.module.names if function is None else function.locals or {}
        yield from ((binding, Place(place.module, function)) for binding in found.get(name, ()))

    def _attribute_bindings(self, symbol: str, attribute: str) -> Iterator[tuple[Binding, Place]]:
        found = self.class_(symbol.removesuffix("()"))
        module = self._load(symbol[1:-1]) if symbol.startswith("@") and symbol.endswith(":") else None
        if found is not None:
            for binding, method in found[1].attributes.get(attribute, ()):
                yield binding, Place(found[0], method)
        elif module is not None:
            yield from ((binding, Place(module, None)) for binding in module.names.get(attribute, ()))

    def _calls(self, binding: Binding, place: Place, depth: int) -> Iterator[tuple[ast.Call, Place]]:
        match binding:
            case Value(expression=ast.Call() as call, how="is"):
                yield call, place
            case Value(expression=ast.Name() | ast.Attribute() as other, how="is") if depth < _MOST:
                yield from self.made_by(other, place, depth + 1)
            case Import(module=module, attribute=str() as name, level=level) if depth < _MOST:
                path = self.modules.find(place.module.path, Import(module, None, level))
                source = self._load(path) if path else None
                if source is not None:
                    for further in source.names.get(name, ()):
                        yield from self._calls(further, Place(source, None), depth + 1)

    # -- what the project defines -----------------------------------------------------------------------------------

    def function(self, name: str) -> tuple[Module, FunctionInfo] | None:
        """The project's function of a symbolic name."""
        if not name.startswith("@"):
            return None
        path, _, qualname = name[1:].partition(":")
        module = self._load(path)
        info = module.functions.get(qualname) if module else None
        return (module, info) if module and info else None

    def class_(self, name: str) -> tuple[Module, ClassInfo] | None:
        """The project's class of a symbolic name."""
        if not name.startswith("@"):
            return None
        path, _, qualname = name[1:].partition(":")
        module = self._load(path)
        info = module.classes.get(qualname) if module else None
        return (module, info) if module and info else None

    def is_wrapped(self, info: FunctionInfo, module: Module) -> bool:
        """Whether a decorator may hand callers something else than what the function returns: a cache does."""
        for decorator in info.node.decorator_list:
            node = decorator.func if isinstance(decorator, ast.Call) else decorator
            names = self.of(node, Place(module, None))
            if not names or not all(name.startswith(_PLAIN_DECORATORS) for name in names):
                return True
        return False

    def scope(self, info: FunctionInfo, module: Module) -> str:
        """What a decorator makes of a function: "contextmanager", "fixture" or ""."""
        for decorator in info.node.decorator_list:
            node = decorator.func if isinstance(decorator, ast.Call) else decorator
            for name in self.of(node, Place(module, None)):
                if name in SCOPE_DECORATORS:
                    return SCOPE_DECORATORS[name]
        return ""


def _joined(module: str, attribute: str) -> str:
    return f"{module}.{attribute}" if module else attribute


def _few(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))[:_MOST]


def _decorators(info: FunctionInfo) -> frozenset[str]:
    """Last words of a function's decorators."""
    words = set()
    for item in info.node.decorator_list:
        node = item.func if isinstance(item, ast.Call) else item
        words.add(node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", ""))
    return frozenset(words)


def _is_property(info: FunctionInfo) -> bool:
    return bool(_decorators(info) & {"property", "cached_property", "hybrid_property", "reify"})


def _is_static(info: FunctionInfo) -> bool:
    return "staticmethod" in _decorators(info)


def _is_class_method(info: FunctionInfo) -> bool:
    return "classmethod" in _decorators(info) or info.node.name in ("__init_subclass__", "__new__")


def _is_generator(info: FunctionInfo) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(info.node))
