"""A dict that serves as a cache, lives as long as the program, and never gives an entry up.

What leaks
----------
A dict on a module, a class, a long-lived object or in a default argument is filled under keys of an open domain
(ids, texts, addresses, days) and nothing removes entries, counts them, or starts anew. An expiry that is only
looked at when the same key is asked for again removes nothing either: keys that are never asked for again stay.
So is the dict of a decorator that remembers, where it is put on a function of an open domain.

Why it hurts
------------
The dict grows with the number of different keys there ever were. After days the process holds all of them, and is
killed or restarted for its memory.

How it is repaired
------------------
Before an entry is added to a dict of 4,096 entries its oldest one goes: ``while len(cache) >= 4096: cache.pop(...)``.
A dict keeps its entries in the order they were added (Python 3.7). Offered for review: how many entries are
needed is for the project to say, and an entry that somebody keeps using may go, too, and is computed again. Where the
project has cachetools, or ``allow-dependencies = ["cachetools"]`` lets leakfix add it to the project's manifest, and
the dict is only asked and filled, by coroutines or under a lock, it becomes an ``LRUCache``, which drops what was used
least recently.

When it is left alone
---------------------
Registries filled when modules are imported or by decorators, keys of a closed domain (kinds, languages, classes,
files of the program), dicts that anything empties, shrinks or measures, in this file or another, objects that may be
short-lived (as those of which all the project makes are local variables), commands, migrations, scripts, functions
that nothing in a web project calls, clients and pools of which there is one for each server, settings stored when
they are first asked for or that a ``set_...`` function changes, texts of code that are compiled, and what is
remembered so that it is logged once; processes that are replaced after some thousand requests or tasks, where the
project's files say so (``--max-requests``). The finding comes without a repair where the dict is more than a cache:
anybody reads it without computing what is missing, goes through it, hands it on or changes what it holds; one function
fills it under several keys; what it holds is a lock, a connection or made by chance.
"""

from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Match, PatternCodemod, Requirement, View
from leakfix.patterns.bounding import guarded
from leakfix.patterns.called import SERVES
from leakfix.patterns.growing import growing, may_grow
from leakfix_codemods._recycled import RECYCLING, is_recycled

LIBRARY = Requirement("cachetools", "5", "cachetools")


def find(view: View) -> Iterator[Match]:
    """Long-lived containers filled under open keys that nothing empties."""
    for found in growing(view):
        if is_recycled(view):
            return
        message = f"{found.container.name} keeps an entry for every {found.key} there ever was"
        yield Match(
            found.container.node,
            message,
            partial(guarded, view, found, LIBRARY, "LRUCache"),
            held="forever",
            steps=found.steps,
            identity=found.container.name,
        )


CODEMOD = PatternCodemod(
    find=find,
    words=("= {}", "={}", "ict(", "= set()", "default_factory=dict"),
    shape=may_grow,
    noun="cache",
    asks=(*RECYCLING, *SERVES),
    requires=(LIBRARY,),
    repairs="a bound on the number of entries, the oldest going first",
)
