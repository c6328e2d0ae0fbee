"""An unbounded ``functools`` cache on a method: it keeps every object it was ever called on.

What leaks
----------
The cache of ``@lru_cache(maxsize=None)`` or ``@cache`` on a method belongs to the class, and ``self`` is part of
every key. No object whose method was called once is ever freed, nor anything it refers to.

Why it hurts
------------
Objects made per request, with their connections, sessions and data, stay for the life of the process.

How it is repaired
------------------
The cache gets a bound of 128 entries, so at most that many objects stay. Offered for review: what people usually
want is ``functools.cached_property``, or a cache that lives on the object.

When it is left alone
---------------------
Static methods and class methods, enumerations, classes of which a program makes one object (commands, managers,
settings, what is made at import), a cache that something clears, tests, and caches that have a bound: those keep a
limited number of objects.
"""

from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Match, PatternCodemod, View
from leakfix.patterns.caches import (
    MOST_OBJECTS,
    bound,
    calls_itself,
    has_few_objects,
    is_cleared,
    keeps_self,
    may_be_unbounded,
    unbounded_caches,
)
from leakfix.patterns.domain import is_enum
from leakfix.project.kinds import is_run_once

CHECK = (
    "that a value computed again is the same, and whether cached_property, or a cache on the object, says it better: "
    "up to 128 objects still stay alive"
)


def find(view: View) -> Iterator[Match]:
    """Unbounded caches on methods."""
    for found in () if is_run_once(view.module.path) else unbounded_caches(view):
        owner = found.function.owner
        if owner is None or not keeps_self(found.function) or is_cleared(view, found.function):
            continue
        if calls_itself(found.function) or has_few_objects(view, owner):
            continue  # its cache is its algorithm, or there are few objects to keep
        if is_enum(view, f"@{view.module.path}:{owner.qualname}"):
            continue
        message = f"cache of {owner.node.name}.{found.function.node.name}() keeps every object it was called on"
        yield Match(
            found.made,
            message,
            partial(bound, view, found, MOST_OBJECTS, CHECK),
            held="forever",
            identity=found.function.qualname,
        )


CODEMOD = PatternCodemod(
    find=find,
    imports=("functools",),
    shape=may_be_unbounded,
    noun="cache",
    asks=("cache_clear",),
    repairs="lru_cache(maxsize=128)",
)
