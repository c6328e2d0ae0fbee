"""Taking hold of acquiring and releasing functions, when the module that has them is imported, and letting go again."""

from __future__ import annotations

import functools
import gc
import importlib.machinery
import inspect
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from types import BuiltinFunctionType, FrameType, ModuleType
from typing import Any

from leakfix.resources import Resource
from leakfix.runtime.ledger import Ledger
from leakfix.runtime.points import Point

_MARK = "__leakfix_original__"
_CODES = set[object]()
_OURS = 2  # references to a local variable's object: the variable's and getrefcount's argument

Function = Callable[..., Any]


class Patches:
    """All changes made to other people's modules and classes."""

    def __init__(self, ledger: Ledger, points: Mapping[str, tuple[Point, ...]]) -> None:
        self.ledger = ledger
        self.points = points
        self._undo: list[tuple[object, str, object, object]] = []
        self._releasing: set[tuple[type, str]] = set()
        self._entering: set[type] = set()
        self._pending: dict[int, tuple[Resource, object]] = {}
        self._finder = _Finder(self)

    def install(self) -> None:
        """Take hold of what is imported already, and of the rest when it will be."""
        sys.meta_path.insert(0, self._finder)
        replaced = dict[int, tuple[object, object]]()
        for name, module in list(sys.modules.items()):
            if name in self.points and isinstance(module, ModuleType):
                replaced |= self.imported(module, name)
        _replace_references(replaced)

    def remove(self) -> None:
        """Put everything back that nobody else has changed since."""
        with suppress(ValueError):
            sys.meta_path.remove(self._finder)
        back = dict[int, tuple[object, object]]()
        for holder, name, original, ours in reversed(self._undo):
            if vars(holder).get(name) is ours:
                _set(holder, name, original)
                back[id(ours)] = (ours, original)
        _replace_references(back)
        self._undo.clear()
        self._releasing.clear()
        self._entering.clear()

    def imported(self, module: ModuleType, name: str) -> dict[int, tuple[object, object]]:
        """Take hold of the points of a module. Returns the functions that were replaced, by their identity."""
        replaced = {}
        for point in self.points.get(name, ()):
            holder: Any = module
            for word in point.path[:-1]:
                holder = vars(holder).get(word) if isinstance(holder, ModuleType | type) else None
            if not isinstance(holder, ModuleType | type):
                continue
            value = vars(holder).get(point.path[-1])
            if point.method:
                if isinstance(value, type):
                    self._method(value, point)
            elif isinstance(value, type):
                self._constructor(value, point.resource)
            elif value is not None and self._function(holder, point.path[-1], value, point.resource):
                replaced[id(value)] = (value, vars(holder)[point.path[-1]])
        return replaced

    def _function(self, holder: Any, name: str, value: Any, resource: Resource) -> bool:
        inner = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if not callable(inner) or hasattr(inner, _MARK):
            return False
        acquiring = self._acquiring(inner, resource, method=isinstance(value, classmethod))
        self._replace(holder, name, value, type(value)(acquiring) if inner is not value else acquiring)
        return True

    def _method(self, owner: type, point: Point) -> None:
        for holder in owner.__mro__:
            value = vars(holder).get(point.method)
            if value is not None:
                if callable(value) and not hasattr(value, _MARK) and holder is not object:
                    self._replace(holder, point.method, value, self._acquiring(value, point.resource, method=True))
                return

    def _constructor(self, owner: type, resource: Resource) -> None:
        original: Function = owner.__init__  # type: ignore[misc]
        if hasattr(original, _MARK) or not inspect.isfunction(original):  # that of a C type is not asked for by name
            return
        ledger = self.ledger

        @functools.wraps(original)
        def construct(self: object, *args: Any, **kwargs: Any) -> None:
            ledger.sweep()
            original(self, *args, **kwargs)
            patches.acquired(resource, self, None, sys._getframe(), None)

        patches = self
        self._replace(owner, "__init__", vars(owner).get("__init__"), _marked(construct, original))

    def _acquiring(self, original: Function, resource: Resource, method: bool) -> Function:
        ledger, patches = self.ledger, self

        def acquire(*args: Any, **kwargs: Any) -> Any:
            ledger.sweep()
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                patches.refused(error)
                raise
            owner = args[0] if method and args else None
            if inspect.iscoroutine(result):
                return awaited(result, owner)
            own = sys.getrefcount(result) - _OURS
            patches.given(resource, result, owner, sys._getframe(), own)
            return result

        async def awaited(coroutine: Any, owner: object) -> Any:
            try:
                result = await coroutine
            except BaseException as error:
                patches.refused(error)
                raise
            own = sys.getrefcount(result) - _OURS
            patches.acquired(resource, result, owner, sys._getframe(), own)
            return result

        async def acquire_async(*args: Any, **kwargs: Any) -> Any:
            ledger.sweep()
            return await awaited(original(*args, **kwargs), args[0] if method and args else None)

        if inspect.iscoroutinefunction(original):
            return _marked(functools.wraps(original)(acquire_async), original)
        if isinstance(original, BuiltinFunctionType) and not method:
            return _Builtin(acquire, original)
        return _marked(functools.wraps(original)(acquire), original)

    def given(self, resource: Resource, result: object, owner: object, frame: FrameType, own: int) -> None:
        """Write down what an acquiring call gave, or will give when it is awaited or entered."""
        if resource.awaitable and hasattr(type(result), "__await__"):
            with self.ledger.unseen():
                self._watch_entering(type(result))
                self._pending[id(result)] = (resource, owner)
        else:
            self.acquired(resource, result, owner, frame, own)

    def acquired(self, resource: Resource, thing: object, owner: object, frame: FrameType, own: int | None) -> None:
        """Write down what was acquired, and take hold of what releases it.

        own: references it has to itself, counted before the program got it; None for what was just constructed.
        """
        if thing is None or not self.ledger.active:
            return
        with self.ledger.unseen():
            real = _unwrapped(thing)
            if self.ledger.acquired(resource, real, owner, frame, own):
                self._watch_releases(type(real), resource, owner)

    def refused(self, error: BaseException) -> None:
        """Count a failed acquisition once, however many points it came through."""
        with self.ledger.unseen():
            if isinstance(error, Exception) and not _came_through(error):
                self.ledger.refused(error)

    def _watch_releases(self, kind: type, resource: Resource, owner: object) -> None:
        if (kind, resource.id) in self._releasing:
            return
        self._releasing.add((kind, resource.id))
        leaving = [f"__{a}exit__" for a, how in (("", resource.with_), ("a", resource.async_with)) if _closes(how)]
        for name in (*resource.release, *leaving):
            self._releasing_method(kind, name, first=0)
        for name in resource.release_with:
            if owner is not None:
                self._releasing_method(type(owner), name.rpartition(".")[2], first=1)
            else:
                self._releasing_function(kind, name)

    def _releasing_method(self, owner: type, name: str, first: int) -> None:
        """Take hold of a method that releases itself (first = 0) or what it is given first (1)."""
        for holder in owner.__mro__:
            value = vars(holder).get(name)
            if value is not None:
                if callable(value) and not hasattr(value, _MARK):
                    self._replace(holder, name, value, self._releases(value, first))
                return

    def _releasing_function(self, kind: type, name: str) -> None:
        """Take hold of a function of the module a thing's class lives in."""
        module_name, _, function = name.rpartition(".")
        module = sys.modules.get(module_name or kind.__module__.partition(".")[0])
        value = vars(module).get(function) if module is not None else None
        if callable(value) and not hasattr(value, _MARK) and not isinstance(value, type):
            self._replace(module, function, value, self._releases(value, first=0))

    def _releases(self, original: Function, first: int) -> Function:
        ledger = self.ledger

        def release(*args: Any, **kwargs: Any) -> Any:
            try:
                return original(*args, **kwargs)
            finally:
                note(args, kwargs, sys._getframe())

        async def release_async(*args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe()
            try:
                return await original(*args, **kwargs)
            finally:
                note(args, kwargs, frame)

        def note(args: Sequence[Any], kwargs: Mapping[str, Any], frame: FrameType) -> None:
            with ledger.unseen():
                for thing in (*args[first : first + 1], *(kwargs.values() if first else ())):
                    ledger.released(_unwrapped(thing), frame)

        chosen = release_async if inspect.iscoroutinefunction(original) else release
        return _marked(functools.wraps(original)(chosen), original)

    def _watch_entering(self, kind: type) -> None:
        """Take hold of how an awaitable context gives what it acquires."""
        if kind in self._entering:
            return
        self._entering.add(kind)
        patches = self

        def taken(context: object, value: object, frame: FrameType, own: int) -> None:
            resource, owner = patches._pending.pop(id(context), (None, None))
            if resource is not None:
                patches.acquired(resource, value, owner, frame, own)

        for name in ("__await__", "__aenter__"):
            holder = next((each for each in kind.__mro__ if name in vars(each)), None)
            if holder is not None and not hasattr(vars(holder)[name], _MARK):
                original = vars(holder)[name]
                make = _awaiting if name == "__await__" else _entering
                self._replace(holder, name, original, make(original, taken, self.refused))

    def _replace(self, holder: Any, name: str, original: object, ours: object) -> None:
        _set(holder, name, ours)
        self._undo.append((holder, name, original, ours))


def _awaiting(original: Function, taken: Function, refused: Function) -> Function:
    def wait(self: object) -> Generator[Any, Any, Any]:
        try:
            value = yield from original(self)
        except BaseException as error:
            refused(error)
            raise
        own = sys.getrefcount(value) - _OURS
        taken(self, value, sys._getframe(), own)
        return value

    return _marked(functools.wraps(original)(wait), original)


def _entering(original: Function, taken: Function, refused: Function) -> Function:
    async def enter(self: object) -> Any:
        try:
            value = await original(self)
        except BaseException as error:
            refused(error)
            raise
        own = sys.getrefcount(value) - _OURS
        taken(self, value, sys._getframe(), own)
        return value

    return _marked(functools.wraps(original)(enter), original)


class _Builtin:
    """Stands in for a builtin function: like one, and unlike a Python function, it is never bound as a method."""

    def __init__(self, call: Function, original: Function) -> None:
        functools.update_wrapper(self, original)
        self.__leakfix_original__ = original
        self._call = call
        _CODES.add(call.__code__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the builtin does."""
        return self._call(*args, **kwargs)

    def __repr__(self) -> str:
        """Look like the builtin."""
        return repr(self.__leakfix_original__)


def _marked(wrapper: Any, original: object) -> Function:
    setattr(wrapper, _MARK, original)
    _CODES.add(wrapper.__code__)
    result: Function = wrapper
    return result


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
    if any("__wrapped__" in vars(each) for each in type(thing).__mro__):
        return getattr(thing, "__wrapped__", thing)
    return thing


def _closes(how: str) -> bool:
    return how in ("closes", "commits")


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
        if isinstance(module, ModuleType):
            for name, value in list(vars(module).items()):
                found = replaced.get(id(value))
                if found is not None and found[0] is value:
                    vars(module)[name] = found[1]


class _Finder:
    """Sees modules being imported, and takes hold of them when they have been executed."""

    def __init__(self, patches: Patches) -> None:
        self._patches = patches
        self._searching: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's own spec, whose loader tells when it is done; None where nothing of it is of interest."""
        if name not in self._patches.points or name in self._searching:
            return None
        self._searching.add(name)
        try:
            spec = self._spec(name, path, target)
        finally:
            self._searching.discard(name)
        if spec is not None and spec.loader is not None:
            self._listen(spec.loader, name)
        return spec

    def _spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> importlib.machinery.ModuleSpec | None:
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: importlib.machinery.ModuleSpec | None = find(name, path, target)
            if spec is not None:
                return spec
        return None

    def _listen(self, loader: Any, name: str) -> None:
        execute = getattr(loader, "exec_module", None)
        if execute is None or isinstance(loader, type):
            return

        def exec_module(module: ModuleType) -> None:
            with suppress(AttributeError):
                del loader.exec_module
            execute(module)
            if module.__name__ == name:
                self._patches.imported(module, name)

        with suppress(AttributeError):
            loader.exec_module = exec_module
