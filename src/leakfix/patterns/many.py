"""What a project says of how many rows a table has: who may join it, what is written at once, what is too much to show."""

from __future__ import annotations

import re
from collections.abc import Iterator

from leakfix.patterns.called import SERVES
from leakfix.patterns.view import View

_JOINING = (
    "allauth",
    "signup",
    "sign_up",
    "social_django",
    "social_core",
    "djoser",
    "dj_rest_auth",
    "django_registration",
    "UserCreationForm",
)
"""Words of a program where people make themselves an account."""
_PATHS = "register"
_JOINS_AT = re.compile(rb"[\"'/^]register/?[$\"'/?]|\bdef register\(request\b|\bclass \w*Regist(?:er|ration)\w*\(")
_MASSES = ("bulk_create", "iterator", "yield_per", "raw_id_fields", "autocomplete_fields")
WORDS = (*_JOINING, _PATHS, *SERVES, *_MASSES)
"""All that is sought in the project's files."""

_ELSEWHERE = re.compile(rb"\bmigrations\.Migration\b|\bTestCase\b|^def test_|\bpytest\b", re.MULTILINE)
_WRITTEN = re.compile(rb"(\w+)\.(?:objects|_default_manager)(?:\.using\([^()\n]*\))?\.a?bulk_create\(")
_READ = re.compile(rb"\.a?iterator\(|\.yield_per\(|yield_per=")
_SOURCE = re.compile(rb"(\w+)\.(?:objects|_default_manager)\b|\b(?:query|select)\((\w+)")
_CHOSEN = re.compile(rb"(?:raw_id_fields|autocomplete_fields)\s*[:=][^=\n(\[]*[(\[]([^)\]]*)")
_NAME = re.compile(rb"[\"'](\w+)[\"']")
_NEAR = 400  # characters; a chain of calls is written in a few lines


def anybody_joins(view: View) -> bool:
    """Whether people sign up by themselves; a project without pages of its own says nothing, and so no "no"."""
    return view.once("whether people sign up", lambda: _joins(view))


def _joins(view: View) -> bool:
    if not any(True for _ in view.texts("urlpatterns")):
        return True
    if any(True for word in _JOINING for _ in view.texts(word)):
        return True
    return any(_JOINS_AT.search(text) for text in view.texts(_PATHS))


def is_many(view: View, table: str) -> bool:
    """Whether the project writes rows of a table at once, reads them in blocks, or has too many for a list to choose
    from.
    """
    known = view.once("tables of many rows", lambda: frozenset(_many(view)))
    return table.lower() in known


def _many(view: View) -> Iterator[str]:
    for text in (text for word in _MASSES for text in view.texts(word)):
        if _ELSEWHERE.search(text):
            continue  # what runs once, or in tests
        found = [*_WRITTEN.findall(text), *_read_in_blocks(text)]
        found += [name.replace(b"_", b"") for names in _CHOSEN.findall(text) for name in _NAME.findall(names)]
        yield from (name.decode().lower() for name in found)


def _read_in_blocks(text: bytes) -> Iterator[bytes]:
    for match in _READ.finditer(text):
        before = text[max(0, match.start() - _NEAR) : match.start()]
        made = list(_SOURCE.finditer(before))
        if made and b"\n\n" not in before[made[-1].start() :]:
            yield made[-1][1] or made[-1][2]
