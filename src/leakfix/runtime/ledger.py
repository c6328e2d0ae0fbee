"""The book of what is open: who acquired it where, whether and where it was released, and how it ended if it was not.

Nothing is kept alive by being watched: a held object would keep its pool slot, its lock or its thread, and the program
would behave as it never does by itself. A weak reference tells when an object goes without having been released, so
garbage collection hides nothing, and tells as well whether the last reference or the collector took it. Objects that
cannot be referenced weakly are held, and let go as soon as nobody else has them, at the latest before anything else is
acquired. ``hold`` keeps every one until it is asked for: what happens where exceptions keep frames, or on interpreters
that do not count references.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from types import CoroutineType, FrameType, FunctionType, ModuleType, TracebackType

from leakfix.resources import Held, Resource
from leakfix.runtime.frames import Frames, Place
from leakfix.runtime.memory import resident

CALLERS = 2
"""How many of the lines that led to an acquiring line tell its sites apart."""

_MOST_LOST = 10_000  # remembered one by one; the sites count all of them
_MOST_REFUSALS = 200  # different messages
_DEEP, _WIDE = 3, 200  # how far and how much of a thing's own parts is looked at
_SHARED = (type, ModuleType, FunctionType, FrameType, CoroutineType)
_CLOSING = ("closes", "commits")
_SWEPT = 64  # looked at before an acquisition, so that many open ones do not slow it down


def releasing_names(resource: Resource) -> Iterator[str]:
    """The names of all methods and functions that release what a row describes."""
    yield from resource.release
    yield from (name.rpartition(".")[2] for name in resource.release_with)
    yield from (f"__{a}exit__" for a, how in (("", resource.with_), ("a", resource.async_with)) if how in _CLOSING)


class Site:
    """One acquiring line and what became of everything acquired there. peak: most open at one time."""

    __slots__ = (
        "acquired",
        "lost",
        "open",
        "peak",
        "released",
        "released_at",
        "releasing",
        "resource",
        "stack",
        "tags",
    )

    def __init__(self, resource: Resource, stack: tuple[Place, ...]) -> None:
        self.resource = resource
        self.stack = stack
        self.releasing = frozenset(releasing_names(resource))
        self.acquired = 0
        self.released = 0
        self.open = 0
        self.peak = 0
        self.lost: Counter[Held] = Counter()
        self.released_at: Counter[Place] = Counter()
        self.tags: dict[str, None] = {}


class Holding:
    """One thing that was acquired. started: seconds of the monotonic clock; tag: what was going on then."""

    __slots__ = (
        "above", "children", "closing", "key", "lost", "own", "reference", "site", "stack", "started", "strong", "tag",
    )  # fmt: skip

    def __init__(self, key: int, site: Site, stack: tuple[Place, ...], tag: str) -> None:
        self.key = key
        self.site = site
        self.stack = stack
        self.tag = tag
        self.started = time.monotonic()
        self.own = -1  # references to itself, not counted yet
        self.closing = False
        self.above: Holding | None = None
        self.strong: object = None
        self.reference: weakref.ref[object] | None = None
        self.children: set[int] | None = None
        self.lost: Held | None = None

    def hold(self, thing: object) -> None:
        """Keep what cannot be referenced weakly."""
        self.strong = thing
        _HOLDERS[self.key] += 1

    def let_go(self) -> None:
        """Keep it no longer."""
        if self.strong is not None:
            _HOLDERS[self.key] -= 1
            if not _HOLDERS[self.key]:
                del _HOLDERS[self.key]
            self.strong = None

    @property
    def thing(self) -> object:
        """What was acquired; None once it is gone."""
        return self.strong if self.reference is None else self.reference()


class _Reference(weakref.ref[object]):
    """A weak reference that knows which entry of the ledger it belongs to."""

    __slots__ = ("key",)

    key: int

    def __new__(cls, thing: object, gone: Callable[[_Reference], None], key: int) -> _Reference:
        """Refer to a thing; ``gone`` is called when it goes."""
        reference = super().__new__(cls, thing, gone)
        reference.key = key
        return reference

    def __init__(self, thing: object, gone: Callable[[_Reference], None], key: int) -> None:
        super().__init__(thing, gone)  # type: ignore[call-arg]


def _alone() -> int:
    """What getrefcount says of an object that only a holding refers to; interpreters count differently."""
    holding = Holding.__new__(Holding)
    holding.strong = object()
    return sys.getrefcount(holding.strong)


_OURS = _alone()
_HOLDERS = Counter[int]()
"""How many ledgers hold a thing, by its identity: one below another does not keep it alive for the program."""


def _own_references(thing: object) -> int:
    """How many references to a thing come from what it refers to itself: a cache, the parts of a pool."""
    count, seen, level = 0, {id(thing)}, [thing]
    for _ in range(_DEEP):
        below = []
        for part in gc.get_referents(*level) if len(level) < _WIDE else ():
            if part is thing:
                count += 1
            elif id(part) not in seen and gc.is_tracked(part) and not issubclass(type(part), _SHARED):
                seen.add(id(part))
                below.append(part)
        level = below
    return count


def _is_left(holding: Holding) -> bool:
    """Whether nobody but the ledger and its own parts refers to something that is held.

    Its parts are counted anew before that is believed: what is being closed, by another thread, loses them.
    """
    others = _HOLDERS[holding.key] - 1
    count = sys.getrefcount(holding.strong) - _OURS - others
    if count > 0 and (holding.own < 0 or count <= holding.own):
        holding.own = _own_references(holding.strong)
        count = sys.getrefcount(holding.strong) - _OURS - others
    return count <= max(holding.own, 0) and not holding.closing


class _Unseen:
    """Lets no failure of ours reach the program that is watched; it is told in the end."""

    __slots__ = ("_failures",)

    def __init__(self, failures: Counter[str]) -> None:
        self._failures = failures

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        with suppress(Exception):
            self._failures[f"{kind.__name__}: {error}"] += 1
        return True


class Ledger:
    """Everything acquired and not yet released, and what was seen at each line.

    first_resident: bytes of memory when the first thing was acquired: what the program had loaded by then is no growth.
    """

    def __init__(self, frames: Frames, hold: bool = False) -> None:
        self.frames = frames
        self.hold = hold
        self.tag = ""
        self.active = True
        self.process = os.getpid()
        self.refusals: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.unseen = _Unseen(self.failures)
        self.peak = 0
        self._inherited: list[object] = []
        self._clear()
        gc.callbacks.append(self._collects)

    def _clear(self) -> None:
        self._lock = threading.RLock()
        self._open: dict[int, Holding] = {}
        self._held: dict[int, None] = {}
        self._sites: dict[tuple[object, ...], Site] = {}
        self._lost: deque[Holding] = deque(maxlen=_MOST_LOST)
        self._collecting = 0
        self.first_resident = 0

    def close(self) -> None:
        """Watch no longer and let go of everything; the sites stay readable."""
        self.active = False
        with suppress(ValueError):
            gc.callbacks.remove(self._collects)
        for holding in self._open.values():
            if holding.strong is not None:
                _HOLDERS[holding.key] -= 1
        former = self._open, self._inherited  # goes at the very end, when nothing of ours is half changed
        self._open, self._inherited = {}, []
        self._held.clear()
        del former

    def after_fork(self) -> None:
        """Begin anew in a child process: what its parent holds is not the child's to release, nor to let go."""
        self._inherited += [holding.strong for holding in self._open.values() if holding.strong is not None]
        self._clear()
        self.refusals.clear()
        self.peak = 0
        self.process = os.getpid()

    def acquired(self, resource: Resource, thing: object, owner: int | None, stack: tuple[Place, ...] | None) -> bool:
        """Write down that something was acquired; False where that is a library's own business or known already.

        owner: the identity of what it was acquired from; stack: as ``Frames.caller`` has it.
        """
        key = id(thing)
        if stack is None or key in self._open or not self.active:
            return False
        with self._lock:
            site = self._site(resource, stack)
            holding = Holding(key, site, stack, self.tag)
            self._refer(holding, thing)
            self._open[key] = holding
            holding.above = above = self._open.get(owner) if owner is not None else None
            if above is not None:
                above.children = above.children or set()
                above.children.add(key)
            self.first_resident = self.first_resident or resident()
            site.acquired += 1
            site.open += 1
            site.peak = max(site.peak, site.open)
            self.peak = max(self.peak, len(self._open))
        return True

    def knows(self, thing: object) -> bool:
        """Whether something is written down as open."""
        return id(thing) in self._open

    def _site(self, resource: Resource, stack: tuple[Place, ...]) -> Site:
        key = (resource.id, *((id(code), offset) for code, offset in stack[: 1 + CALLERS]))
        known = self._sites.get(key)
        if known is None:
            known = self._sites[key] = Site(resource, stack)
        return known

    def _refer(self, holding: Holding, thing: object) -> None:
        if not self.hold:
            try:
                holding.reference = _Reference(thing, self._gone, holding.key)
                return
            except TypeError:
                pass
        holding.hold(thing)
        self._held[holding.key] = None

    def releasing(self, thing: object) -> None:
        """Something is about to be released: what goes with it meanwhile was not lost."""
        holding = self._open.get(id(thing))
        if holding is not None:
            holding.closing = True

    def released(self, thing: object, frame: FrameType | None, name: str) -> None:
        """Write down that something was released, and with it what was made from it and says that it is closed.

        name: of what was called; a connection that can only be given back is not released by being closed.
        """
        holding = self._open.get(id(thing))
        if holding is None or holding.thing is not thing:
            return
        if name not in holding.site.releasing:
            holding.closing = False
            return
        if self.frames.is_finalizing(frame, thing):
            self._lose(holding.key, "until-unreferenced")
            return
        with self._lock:
            if self._open.pop(holding.key, None) is None:
                return
            self._end(holding)
            place = self.frames.project_line(frame)
            if place is not None:
                holding.site.released_at[place] += 1
            self._release_children(holding)

    def _release_children(self, holding: Holding) -> None:
        for key in tuple(holding.children or ()):
            child = self._open.get(key)
            if child is not None and says_closed(child.site.resource, child.thing) is not False:
                if self._open.pop(key, None) is not None:
                    self._end(child)

    def _end(self, holding: Holding) -> None:
        holding.site.open -= 1
        holding.site.released += 1
        self._held.pop(holding.key, None)
        holding.let_go()
        _leave(holding)

    def _gone(self, reference: _Reference) -> None:
        """What was not released went by itself; called by the interpreter, in any thread and at any time."""
        self._lose(reference.key, "until-gc" if self._collecting == threading.get_ident() else "until-unreferenced")

    def _lose(self, key: int, how: Held) -> None:
        with self._lock:
            holding = self._open.pop(key, None)
            if holding is None:
                return
            if holding.above is not None and holding.above.closing:
                self._end(holding)
                return
            _leave(holding)
            self._held.pop(key, None)
            holding.lost = how
            holding.site.open -= 1
            holding.site.lost[how] += 1
            self._lost.append(holding)

    def _collects(self, phase: str, info: dict[str, int]) -> None:
        """What has nobody left but us, we keep from the collector: it went with it all the same."""
        if phase == "start":
            self.sweep()
            self._collecting = threading.get_ident()
        else:
            self.sweep("until-gc")
            self._collecting = 0

    def refused(self, error: BaseException) -> None:
        """Write down that an acquisition failed."""
        text = str(error).strip().split("\n", 1)[0][:120]
        told = f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__
        known = told in self.refusals or len(self.refusals) < _MOST_REFUSALS
        self.refusals[told if known else type(error).__qualname__] += 1

    def sweep(self, how: Held = "until-unreferenced", most: int = _SWEPT) -> None:
        """Let go of what only the ledger still has; before anything is acquired, so that nothing waits for it.

        most: how many are looked at; the next time, others.
        """
        if self.hold or not self._held:
            return
        with self.unseen:
            held = tuple(self._held)[:most]
            for key in held:
                holding = self._open.get(key)
                if holding is None or holding.strong is None:
                    self._held.pop(key, None)
                elif _is_left(holding):
                    self._drop(holding, how)
                elif len(self._held) > most:
                    self._held.pop(key, None)
                    self._held[key] = None

    def _drop(self, holding: Holding, how: Held) -> None:
        """Let go of what nobody else has; what refers to itself is the collector's then."""
        self._lose(holding.key, "until-gc" if holding.own > 0 else how)
        holding.let_go()

    def let_go(self) -> None:
        """Hold nothing any longer that can be referenced weakly: the end of what ``hold`` began."""
        for key in tuple(self._held):
            holding = self._open.get(key)
            if holding is None:
                continue
            with suppress(TypeError):
                holding.reference = _Reference(holding.strong, self._gone, key)
                self._held.pop(key, None)
                holding.let_go()

    def settle(self) -> None:
        """Make what nobody refers to any longer known as lost: let go, collect, look who says that he is closed."""
        hold, self.hold = self.hold, False
        self.let_go()
        everything = len(self._held)
        self.sweep(most=everything)
        gc.collect()
        self.sweep("until-gc", everything)
        self.hold = hold
        for holding in self.open():  # what can only be given back is not released by being closed
            if holding.site.resource.release and says_closed(holding.site.resource, holding.thing):
                with self._lock:
                    if self._open.pop(holding.key, None) is not None:
                        self._end(holding)

    def open(self, tag: str | None = None) -> list[Holding]:
        """What is open, the oldest first; of one tag only where it is given."""
        with self._lock:
            found = list(self._open.values())  # at once: the collector may take some of them at any time
        return sorted((each for each in found if tag is None or each.tag == tag), key=lambda each: each.started)

    def lost(self, tag: str) -> list[Holding]:
        """What went unreleased of one tag; told once."""
        with self._lock:
            everything, self._lost = self._lost, deque(maxlen=_MOST_LOST)
            self._lost.extend([holding for holding in everything if holding.tag != tag])
        return [holding for holding in everything if holding.tag == tag]

    def has_lost(self, tags: Container[str]) -> bool:
        """Whether anything of some tags went unreleased and was not told yet."""
        return any(holding.tag in tags for holding in list(self._lost))

    def sites(self) -> list[Site]:
        """What was seen, line by line."""
        with self._lock:
            return list(self._sites.values())


def _leave(holding: Holding) -> None:
    """What something was acquired from need not know of it any longer: its identity is given again."""
    if holding.above is not None and holding.above.children is not None:
        holding.above.children.discard(holding.key)
        holding.above = None


def says_closed(resource: Resource, thing: object) -> bool | None:
    """What a thing says about itself, by the attributes its row names; None where it says nothing."""
    for names, closed in ((resource.closed_when, True), (resource.open_when, False)):
        for name in names:
            answer = _asked(thing, name)
            if answer is not None:
                return answer is closed
    return None


def _asked(thing: object, name: str) -> bool | None:
    """An attribute that is a truth value, or a number that serves as one; calls are made of ``is_closed`` only.

    Only what its class or it itself really has: stand-ins that answer everything remember what they were asked.
    """
    try:
        if not _has(thing, name):
            return None
        value = getattr(thing, name, None)
        if callable(value) and name.startswith("is_closed"):
            value = value()
    except Exception:  # drivers answer questions about closed things with all kinds of errors
        return None
    return bool(value) if isinstance(value, int) else None


def _has(thing: object, name: str) -> bool:
    if any(name in vars(kind) for kind in type(thing).__mro__):
        return True
    try:
        return name in object.__getattribute__(thing, "__dict__")
    except AttributeError:  # made of slots, or in C
        return False
