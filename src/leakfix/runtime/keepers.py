"""Whether something open is kept on purpose: by the program itself, not by whatever happens to refer to it.

A module's variable, a class attribute, a cache's result or an attribute of a module's own object is a place for what
lives as long as the program. What a pool remembers as lent, or what a list has collected, is not.
"""

from __future__ import annotations

import functools
import gc
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace

from leakfix.runtime.ledger import Holding

_LASTING = (type(functools.lru_cache(maxsize=None)(lambda: None)), threading.local, SimpleNamespace)
"""What the standard library has for keeping things in."""
_PER_THREAD = "_localdummy"
_FEW = 3
_MOST = 64  # referrers looked at; what more refer to is shared by many, and no variable
_DEEP = 3  # objects and dicts between a thing and the place


def kept(holdings: Sequence[Holding]) -> frozenset[int]:
    """The keys of those that are kept on purpose. A line that has more open than a few keeps none of them so."""
    counts = Counter(holding.site for holding in holdings)
    few = (holding for holding in holdings if counts[holding.site] <= _FEW)
    return frozenset(holding.key for holding in few if holding.thing is not None and is_kept(holding.thing))


def is_kept(thing: object) -> bool:
    """Whether a long-lived place of the program refers to a thing, directly or through objects or dicts of its own."""
    return _is_held(thing, _DEEP)


def _is_held(thing: object, deep: int) -> bool:
    holders = _referrers(thing)
    if any(_is_place(holder) for holder in holders):
        return True
    return deep > 0 and any(_is_held(holder, deep - 1) for holder in holders if _is_own(holder))


def _referrers(thing: object) -> list[object]:
    found = gc.get_referrers(thing)
    return found if len(found) <= _MOST else []


def _is_place(holder: object) -> bool:
    """Whether something is a module's namespace, a class, or what a thread has for itself."""
    kind = type(holder)
    if issubclass(kind, dict):
        name = dict.get(holder, "__name__")  # type: ignore[call-overload]
        module = sys.modules.get(name) if type(name) is str else None
        return issubclass(type(module), ModuleType) and object.__getattribute__(module, "__dict__") is holder
    return issubclass(kind, type) or kind.__name__ == _PER_THREAD


def _is_own(holder: object) -> bool:
    """Whether something is a dict, a function's cache, or an object of the program's own class."""
    kind = type(holder)
    if issubclass(kind, (dict, *_LASTING)):
        return True
    name = kind.__module__
    file = getattr(sys.modules.get(name), "__file__", None) or ""  # the main module loses its own at the end
    own = name.partition(".")[0] not in {*sys.stdlib_module_names, "leakfix"}
    return own and "-packages" not in file
