"""Taking hold of acquiring and releasing functions, when the module that has them is imported, and letting go again."""

from __future__ import annotations

import functools
import gc
import inspect
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from types import CoroutineType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

from leakfix.resources import Resource, ResourceTable
from leakfix.runtime.frames import Place
from leakfix.runtime.imports import Finder
from leakfix.runtime.ledger import Ledger, releasing_names
from leakfix.runtime.points import Point, points

Function = Callable[..., Any]
Stack = tuple[Place, ...] | None

_CODES = set[object]()


class Patches:
    """All changes made to other people's modules and classes."""

    def __init__(self, ledger: Ledger, table: ResourceTable) -> None:
        self.ledger = ledger
        self.table = table
        self.points = points(table)
        self._undo: list[tuple[object, str, object, object]] = []
        self._ours: dict[int, object] = {}
        self._standing: dict[int, tuple[object, object]] = {}
        self._lock = threading.RLock()
        self._releasing: set[tuple[type, str, type | None]] = set()
        self._entering: set[type] = set()
        self._pending: dict[int, tuple[Resource, int, type, Stack]] = {}
        self._owns = functools.lru_cache(maxsize=256)(self._owned)
        self._finder = Finder(self.points, self._told)

    def install(self) -> None:
        """Take hold of what is imported already, and of the rest when it will be."""
        sys.meta_path.insert(0, self._finder)
        for name, module in list(sys.modules.items()):
            if name in self.points:
                self._told(module, name)
        _replace_references(self._standing)

    def remove(self) -> None:
        """Put everything back that nobody else has changed since."""
        with suppress(ValueError):
            sys.meta_path.remove(self._finder)
        for holder, name, original, ours in reversed(self._undo):
            with self.ledger.unseen:
                if _names(holder).get(name) is ours:
                    _set(holder, name, original)
        _replace_references({id(ours): (ours, original) for original, ours in self._standing.values()})
        for known in (self._undo, self._standing, self._releasing, self._entering, self._pending):
            known.clear()

    def after_fork(self) -> None:
        """Begin anew in a child process, where a thread that held the lock is not."""
        self._lock = threading.RLock()

    def _told(self, module: ModuleType, name: str) -> None:
        for point in self.points[name]:
            with self.ledger.unseen:
                self._take(module, point)

    def _take(self, module: ModuleType, point: Point) -> None:
        """Take hold of one point, where the module has it."""
        holder: Any = module
        for word in point.path[:-1]:
            holder = _names(holder).get(word)
        value: Any = _names(holder).get(point.path[-1])
        if point.method:
            if issubclass(type(value), type):
                self._method(value, point)
        elif issubclass(type(value), type):
            self._constructor(value, point.resource)
        elif value is not None:
            self._function(holder, point.path[-1], value, point.resource)

    def _is_ours(self, value: object) -> bool:
        return id(value) in self._ours or (type(value) is MethodType and id(value.__func__) in self._ours)

    def _function(self, holder: Any, name: str, value: Any, resource: Resource) -> None:
        bound = type(value) in (classmethod, staticmethod)
        inner = value.__func__ if bound else value
        if not callable(inner) or self._is_ours(inner):
            return
        if bound:
            acquiring = self._acquiring(inner, resource, method=type(value) is classmethod)
            self._replace(holder, name, value, type(value)(acquiring))
            return
        if id(value) not in self._standing:
            self._standing[id(value)] = value, self._acquiring(value, resource, method=False)
        self._replace(holder, name, value, self._standing[id(value)][1])

    def _method(self, owner: type, point: Point) -> None:
        for name in point.resource.release_with:
            self._releasing_method(owner, name.rpartition(".")[2], first=1)
        for holder in owner.__mro__:
            value = vars(holder).get(point.method)
            if value is not None:
                if callable(value) and not self._is_ours(value) and holder is not object:
                    self._replace(holder, point.method, value, self._acquiring(value, point.resource, method=True))
                return

    def _constructor(self, owner: type, resource: Resource) -> None:
        original: Function = owner.__init__  # type: ignore[misc]
        if self._is_ours(original) or not inspect.isfunction(original):  # that of a C type is not asked for by name
            return
        self._watch_releases(owner, resource, type(None))
        ledger, frames, patches = self.ledger, self.ledger.frames, self

        @functools.wraps(original)
        def construct(self: object, /, *args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe().f_back
            if frames.is_internal(frame):
                return original(self, *args, **kwargs)
            ledger.sweep()
            result = original(self, *args, **kwargs)
            if not patches.harmless(resource, args, kwargs):
                patches.constructed(resource, self, frame)
            return result

        self._replace(owner, "__init__", vars(owner).get("__init__"), self._own(construct))

    def _acquiring(self, original: Function, resource: Resource, method: bool) -> Function:
        ledger, frames, patches = self.ledger, self.ledger.frames, self

        def acquire(*args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe().f_back
            internal = frames.is_internal(frame)
            if not internal:
                ledger.sweep()
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                patches.refused(error)
                raise
            if internal and type(result) is not CoroutineType:
                return result
            owner = args[0] if method and args else None
            if type(result) is CoroutineType:
                return awaited(result, owner, patches.harmless(resource, args, kwargs))
            if not patches.harmless(resource, args, kwargs):
                patches.given(resource, result, owner, frame)
            return result

        async def awaited(coroutine: Any, owner: object, harmless: bool) -> Any:
            try:
                result = await coroutine
            except BaseException as error:
                patches.refused(error)
                raise
            if not harmless:
                patches.acquired(resource, result, owner, sys._getframe())
            return result

        async def acquire_async(*args: Any, **kwargs: Any) -> Any:
            ledger.sweep()
            owner = args[0] if method and args else None
            return await awaited(original(*args, **kwargs), owner, patches.harmless(resource, args, kwargs))

        _CODES.add(awaited.__code__)
        if inspect.iscoroutinefunction(original):
            return self._own(functools.wraps(original)(acquire_async))
        if method or type(original) in (FunctionType, MethodType):
            return self._own(functools.wraps(original)(acquire))
        _CODES.add(acquire.__code__)
        return self._own((_Binding if hasattr(type(original), "__get__") else _StandIn)(acquire, original))

    def _own(self, wrapper: Any) -> Function:
        """Know a function as one of ours."""
        self._ours[id(wrapper)] = wrapper
        _CODES.add(getattr(wrapper, "__code__", None))
        result: Function = wrapper
        return result

    def harmless(self, resource: Resource, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether an acquiring call was given what makes it harmless, or an owner of all it would hold."""
        if not resource.unless and not (resource.owned_by and (args or kwargs)):
            return False
        with self.ledger.unseen:
            for keyword, _, name in (each.partition("=") for each in resource.unless):
                if name in (each.__name__ for each in _lines(kwargs.get(keyword))):
                    return True
            for value in (*args, *kwargs.values()) if kwargs else args:
                kind: Any = type(value)
                if self._owns(resource.owned_by, kind):
                    return True
        return False

    def _owned(self, names: tuple[str, ...], kind: Any) -> bool:
        """Whether something of a class owns all that would be acquired."""
        owners = {self.table.canonical(name).removesuffix("()") for name in names}
        return any(self.table.canonical(f"{each.__module__}.{each.__qualname__}") in owners for each in kind.__mro__)

    def given(self, resource: Resource, result: object, owner: object, frame: FrameType | None) -> None:
        """Write down what an acquiring call gave, or will give when it is awaited or entered."""
        with self.ledger.unseen:
            if not resource.awaitable or not hasattr(type(result), "__await__"):
                self.acquired(resource, result, owner, frame)
                return
            self._watch_entering(type(result))
            stack = self.ledger.frames.caller(frame)
            if stack is not None and self.ledger.active:
                self._pending[id(result)] = resource, id(owner), type(owner), stack

    def taken(self, context: object, value: object) -> None:
        """Write down what an awaited or entered context gave."""
        promised = self._pending.pop(id(context), None)
        if promised is not None:
            resource, owner, kind, stack = promised
            self._written(resource, value, owner, kind, stack)

    def acquired(self, resource: Resource, thing: object, owner: object, frame: FrameType | None) -> None:
        """Write down what was acquired."""
        with self.ledger.unseen:
            if thing is not None and self.ledger.active and not self.ledger.knows(thing):
                self._written(resource, thing, id(owner), type(owner), self.ledger.frames.caller(frame))

    def constructed(self, resource: Resource, thing: object, frame: FrameType | None) -> None:
        """Write down what was just made by its class; the constructors of subclasses may still go on."""
        with self.ledger.unseen:
            if self.ledger.active and not self.ledger.knows(thing):
                self._written(resource, thing, None, type(None), self.ledger.frames.caller(frame, thing))

    def _written(self, resource: Resource, thing: object, owner: int | None, kind: type, stack: Stack) -> None:
        with self.ledger.unseen:
            real = _unwrapped(thing)
            if real is not None and self.ledger.acquired(resource, real, owner, stack):
                self._watch_releases(type(real), resource, kind)

    def refused(self, error: BaseException, context: object = None) -> None:
        """Count a failed acquisition once, however many points it came through. context: what was to give it."""
        with self.ledger.unseen:
            self._pending.pop(id(context), None)
            if isinstance(error, Exception) and not _came_through(error):
                self.ledger.refused(error)

    def _watch_releases(self, kind: type, resource: Resource, owner: type) -> None:
        """Take hold of what releases a kind of thing. owner: the class of what it was acquired from."""
        if (kind, resource.id, owner) in self._releasing:
            return
        given = {name.rpartition(".")[2] for name in resource.release_with}
        with self._lock:  # nobody releases one of the first before this is done
            for name in releasing_names(resource):
                if name not in given:
                    self._releasing_method(kind, name, first=0)
            for name in resource.release_with:
                if owner is not type(None):
                    self._releasing_method(owner, name.rpartition(".")[2], first=1)
                else:
                    self._releasing_function(kind, name)
            self._releasing.add((kind, resource.id, owner))

    def _releasing_method(self, owner: type, name: str, first: int) -> None:
        """Take hold of a method that releases itself (first = 0) or what it is given first (1)."""
        for holder in owner.__mro__:
            value = vars(holder).get(name)
            if value is not None:
                if callable(value) and not self._is_ours(value):
                    self._replace(holder, name, value, self._releases(value, first, name))
                return

    def _releasing_function(self, kind: type, name: str) -> None:
        """Take hold of a function of the module a thing's class lives in."""
        module_name, _, function = name.rpartition(".")
        module = sys.modules.get(module_name or kind.__module__.partition(".")[0])
        value = _names(module).get(function)
        if callable(value) and not self._is_ours(value) and not isinstance(value, type):
            self._replace(module, function, value, self._releases(value, 0, function))

    def _releases(self, original: Function, first: int, name: str) -> Function:
        ledger = self.ledger

        def release(*args: Any, **kwargs: Any) -> Any:
            if not (first or ledger.knows(args[0] if args else None)):  # most are a library's own
                return original(*args, **kwargs)
            try:
                ledger.releasing(args[0] if args else None)
                return original(*args, **kwargs)
            finally:
                note(args, kwargs, sys._getframe())

        async def release_async(*args: Any, **kwargs: Any) -> Any:
            if not (first or ledger.knows(args[0] if args else None)):
                return await original(*args, **kwargs)
            frame = sys._getframe()
            try:
                ledger.releasing(args[0] if args else None)
                return await original(*args, **kwargs)
            finally:
                note(args, kwargs, frame)

        def note(args: tuple[Any, ...], kwargs: Mapping[str, Any], frame: FrameType | None) -> None:
            if not (first or ledger.knows(args[0] if args else None)):  # what it called has said so
                return
            with ledger.unseen:
                for thing in args[first : first + 1] or kwargs.values():
                    ledger.released(thing if ledger.knows(thing) else _unwrapped(thing), frame, name)

        chosen = release_async if inspect.iscoroutinefunction(original) else release
        return self._own(functools.wraps(original)(chosen))

    def _watch_entering(self, kind: type) -> None:
        """Take hold of how an awaitable context gives what it acquires."""
        if kind in self._entering:
            return
        with self._lock:
            for name, make in (("__await__", _awaiting), ("__aenter__", _entering)):
                holder = next((each for each in kind.__mro__ if name in vars(each)), None)
                if holder is not None and not self._is_ours(vars(holder)[name]):
                    original = vars(holder)[name]
                    self._replace(holder, name, original, self._own(make(original, self)))
            self._entering.add(kind)

    def _replace(self, holder: Any, name: str, original: object, ours: object) -> None:
        _set(holder, name, ours)
        self._ours[id(ours)] = ours
        self._undo.append((holder, name, original, ours))


def _awaiting(original: Function, patches: Patches) -> Function:
    @functools.wraps(original)
    def wait(self: object) -> Generator[Any, Any, Any]:
        try:
            value = yield from original(self)
        except BaseException as error:
            patches.refused(error, self)
            raise
        patches.taken(self, value)
        return value

    return wait


def _entering(original: Function, patches: Patches) -> Function:
    @functools.wraps(original)
    async def enter(self: object) -> Any:
        try:
            value = await original(self)
        except BaseException as error:
            patches.refused(error, self)
            raise
        patches.taken(self, value)
        return value

    return enter


class _StandIn:
    """Stands in for a builtin function or another callable object: it looks like it and is what it is."""

    def __init__(self, call: Function, original: Function) -> None:
        self._call = call
        self._original = original
        for name in ("__module__", "__doc__"):  # those that every object has
            with suppress(AttributeError):
                setattr(self, name, getattr(original, name))

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Do what the original does."""
        return self._call(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_original"], name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What isinstance is told."""
        return type(self._original)

    def __repr__(self) -> str:
        """Look like the original."""
        return repr(self._original)

    def __reduce_ex__(self, protocol: object) -> Any:
        """Be found by name, where the original is."""
        return self._original.__reduce_ex__(protocol)  # type: ignore[arg-type]


class _Binding(_StandIn):
    """One for an object that is bound as a method where it is found in a class."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)


def _came_through(error: BaseException) -> bool:
    """Whether an error passed another point before this one: it is counted there."""
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    while trace is not None:
        if trace.tb_frame.f_code in _CODES:
            return True
        trace = trace.tb_next
    return False


def _unwrapped(thing: object) -> object:
    """What is behind a proxy that somebody else put round it."""
    kind: Any = type(thing)
    if _is_proxy(kind):
        return getattr(thing, "__wrapped__", thing)
    return thing


@functools.lru_cache(maxsize=256)
def _is_proxy(kind: Any) -> bool:
    return any("__wrapped__" in vars(each) for each in kind.__mro__)


def _lines(value: object) -> tuple[type, ...]:
    """A class and those it inherits from."""
    return value.__mro__ if isinstance(value, type) else ()


def _names(holder: object) -> Mapping[str, Any]:
    """What a module or a class has. A module that is loaded on first use is not used by this."""
    if issubclass(type(holder), ModuleType):
        names: dict[str, Any] = object.__getattribute__(holder, "__dict__")
        return names
    return vars(holder) if issubclass(type(holder), type) else {}


def _set(holder: Any, name: str, value: object) -> None:
    """Set an attribute, also of a class written in C; None deletes it."""
    try:
        if value is None:
            delattr(holder, name)
        else:
            setattr(holder, name, value)
    except TypeError:
        _force(holder, name, value)


def _force(holder: type, name: str, value: object) -> None:
    """Write into the namespace of a class that refuses assignment, and tell the interpreter's caches.

    CPython looks methods up in that dictionary (``Objects/typeobject.c``); PyType_Modified is the documented way to say
    that it changed. Slots such as ``tp_init`` are not affected, which is why only methods are replaced so.
    """
    import ctypes

    for namespace in gc.get_referents(holder.__dict__):
        if isinstance(namespace, dict) and namespace.get("__doc__", gc) is vars(holder).get("__doc__", gc):
            if value is None:
                namespace.pop(name, None)
            else:
                namespace[name] = value
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(holder))
            return


def _replace_references(replaced: Mapping[int, tuple[object, object]]) -> None:
    """Let ``from library import connect`` mean the same function as in the library, where it was run before."""
    if not replaced:
        return
    for module in list(sys.modules.values()):
        names = _names(module) if issubclass(type(module), ModuleType) else {}
        for name, value in list(names.items()):
            found = replaced.get(id(value))
            if found is not None and found[0] is value:
                names[name] = found[1]  # type: ignore[index]
