"""What a file's text says of its managers: asked of every file that names one, before it is parsed.

Each answer may be yes where a parser says no; never the other way round, but where a string holds what looks like code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from leakfix.patterns.batches import may_be_batch
from leakfix.patterns.tables import may_be_large
from leakfix.patterns.text import Text
from leakfix_codemods.django._querysets import MANAGERS, REFINING

MANAGED = tuple(f".{name}" for name in sorted(MANAGERS))
"""How a file's text names a manager: ``.objects`` and the like."""
_MANAGERS = tuple(name.encode() for name in MANAGED)
_FED = re.compile(rb"(?:\bin|\breturn|=|\()[ \t\\\r\n]*([\w.\x80-\xff]+)(?:\([^()]*\))?\Z")
_NEXT = re.compile(rb"\b[ \t\\\r\n]*(?:#[^\n]*\n\s*)*\.[ \t]*(\w+)\(\s*(\w*)(\s*=(?!=)\s*)?([\"'\d.\-\[({\w]*)(\(?)")
_CONSTANT = re.compile(rb"[a-zA-Z]{0,2}[\"']|[\d.(\-]|(?:True|False|None)\b")
_WIDE = re.compile(rb"(?:\A|_)(?:gt|gte|lt|lte|isnull|ne|range)\Z")
RUN_BY = ("BaseCommand", "shared_task")
"""What stands in files with commands, or with tasks of Celery."""
_CALLED = re.compile(rb"(?<!def )(?<!class )\b(\w+)\(")
_NAMED = re.compile(rb"(?:async )?def (\w+)")
_BEGUN = (b"\ndef ", b"\nasync def ", b"\nclass ")
_KEPT = re.compile(
    rb"(?:\A|\n)(?: {4}|\t)?(\w+)(?:[ \t]*:[^=\n]+)?[ \t]*=[^\n]*"
    rb"(?:[\[({,\\][ \t]*(?:#[^\n]*)?\r?\n(?:[^\n]*\n){0,3}[^\n]*)?\Z"
)
_OF_OBJECT = re.compile(rb"self\.(\w+) = [^\n]*\Z")
_FILLED = re.compile(rb"=[^=].*(?:\b(?:list|set|tuple|dict|sorted|frozenset)\(|[\[{])", re.DOTALL)
_FUNCTIONS = (b"def ", b"async def ")
_NEAR = 400
_ITSELF = re.compile(rb"=[\s(\\]*[\w.]+\Z")
_BEFORE_USE = re.compile(rb"(?:\b(?:in|if|while|not|and|or)\s+|[(,*]\s*)(?:\w+(?:\.\w+)*)?\Z")
_PLAIN = re.compile(rb"\b(?![ \t]*[.(\[=])")
_NEAR_USE = 80


def may_loop(data: bytes, path: str) -> bool:
    """Whether a function may go through all of a large table."""
    return next(_loops(data), None) is not None


def may_loop_over_many(text: Text) -> bool:
    """Whether such a function may be made for many rows, or may be called by a command or a task."""
    called = called_by_commands(text)
    return any(
        may_be_batch(text.data, text.path, at) or _function_at(text.data, at) in called for at in _loops(text.data)
    )


def called_by_commands(text: Text) -> set[bytes]:
    """The names of functions that files with a command or a task call."""
    return text.once(
        "django: what commands and tasks call",
        lambda: {name for word in RUN_BY for other in text.texts(word) for name in _CALLED.findall(other)},
    )


def _function_at(data: bytes, at: int) -> bytes:
    """The name of the outermost function or class round a place."""
    begun = max(data.rfind(form, 0, at) for form in _BEGUN)
    found = _NAMED.match(data, begun + 1) if begun >= 0 else _NAMED.match(data)
    return found[1] if found is not None else b""


def _loops(data: bytes) -> Iterator[int]:
    by_name = b"get_model" not in data  # a variable may stand for any model where it is asked for by its name
    for at, end in _places(data):
        if _is_refined(data, end):
            line = data[data.rfind(b"\n", 0, at) + 1 : at]
            fed = _FED.search(line) or _FED.search(data[max(0, at - _NEAR) : at])
            if fed is not None and (not by_name or may_be_large(fed[1].rpartition(b".")[2].decode("utf-8", "replace"))):
                yield at


def may_be_kept(data: bytes, path: str) -> bool:
    """Whether a queryset is evaluated where a module or class is defined, or kept there or on an object and used."""
    for at, end in _places(data):
        following = _NEXT.match(data, end)
        if following is not None and following[1].decode() not in REFINING:
            continue
        before = data[max(0, at - _NEAR) : at]
        own = _OF_OBJECT.search(before)
        if own is not None and _is_used(data, b"." + own[1]):
            return True
        kept = _KEPT.search(data[data.rfind(b"\n", 0, at) + 1 : at]) or _KEPT.search(before)
        if kept is not None and not _is_in_function(data, at):
            of_class = kept[0].lstrip(b"\n")[:1].isspace()
            itself = _ITSELF.search(kept[0]) is not None
            if _FILLED.search(kept[0]) or (itself and _is_used(data, b"." * of_class + kept[1])):
                return True
    return False


def _places(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the name of a manager begins, with its dot, and where it ends."""
    for manager in _MANAGERS:
        at = data.find(manager)
        while at >= 0:
            yield at, at + len(manager)
            at = data.find(manager, at + 1)


def _is_refined(data: bytes, end: int) -> bool:
    """Whether what follows a manager may give most rows of its table."""
    following = _NEXT.match(data, end)
    if following is None:
        return True
    method, name, equals, value, called = following.groups()
    if method.decode() not in REFINING:
        return False
    if method != b"filter" or not name:
        return True
    if not equals:
        return bool(called) or value != b"" or not name.islower()  # Q(...), and what is put together of several
    return _CONSTANT.match(value) is not None or value.rpartition(b".")[2].isupper() or _WIDE.search(name) is not None


def _is_in_function(data: bytes, at: int) -> bool:
    """Whether a place stands below a ``def`` of the module, rather than in a class, an ``if`` or no block at all."""
    while at > 0:
        at = data.rfind(b"\n", 0, at) + 1
        if data[at : at + 1].isalpha() or data[at : at + 1] in (b"_", b"@"):
            return data.startswith(_FUNCTIONS, at)
        at -= 1
    return False


def _is_used(data: bytes, name: bytes) -> bool:
    """Whether a name stands by itself where something may go through it, measure or test it."""
    at = data.find(name)
    while at >= 0:
        if _PLAIN.match(data, at + len(name)) and _BEFORE_USE.search(data, max(0, at - _NEAR_USE), at):
            return True
        at = data.find(name, at + 1)
    return False
