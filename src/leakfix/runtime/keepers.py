"""Whether something open is kept on purpose: by the program itself, not by whatever happens to refer to it.

A module's variable, a class attribute, a cache's result or an attribute of a module's own object is a place for what
lives as long as the program. What a pool remembers as lent, or what a list has collected, is not.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections import Counter
from collections.abc import Sequence
from types import ModuleType

from leakfix.runtime.ledger import Holding

_CACHE = type(functools.lru_cache(maxsize=None)(lambda: None))
_FEW = 3
_MOST = 64  # referrers looked at; what more refer to is shared by many, and no variable


def kept(holdings: Sequence[Holding]) -> frozenset[int]:
    """The keys of those that are kept on purpose. A line that has more open than a few keeps none of them so."""
    counts = Counter(holding.site for holding in holdings)
    few = (holding for holding in holdings if counts[holding.site] <= _FEW)
    return frozenset(holding.key for holding in few if holding.thing is not None and is_kept(holding.thing))


def is_kept(thing: object) -> bool:
    """Whether a long-lived place of the program refers to a thing, directly or through an object or dict of its own."""
    return any(_is_place(holder) or _is_owned(holder) for holder in _referrers(thing))


def _referrers(thing: object) -> list[object]:
    found = gc.get_referrers(thing)
    return found if len(found) <= _MOST else []


def _is_place(holder: object) -> bool:
    """Whether something is a module's namespace or a class."""
    if isinstance(holder, dict):
        name = holder.get("__name__")
        module = sys.modules.get(name) if isinstance(name, str) else None
        return isinstance(module, ModuleType) and vars(module) is holder
    return isinstance(holder, type)


def _is_owned(holder: object) -> bool:
    """Whether a dict, a function's cache or an object of the program's own class stands in such a place itself."""
    if isinstance(holder, dict):
        return any(_is_place(above) or _is_own(above) for above in _referrers(holder))
    return _is_own(holder)


def _is_own(holder: object) -> bool:
    if not isinstance(holder, _CACHE):
        name = type(holder).__module__
        file = getattr(sys.modules.get(name), "__file__", None) or ""  # the main module loses its own at the end
        if name in sys.stdlib_module_names or name.startswith("leakfix.") or "-packages" in file:
            return False
    return any(_is_place(above) for above in _referrers(holder))
