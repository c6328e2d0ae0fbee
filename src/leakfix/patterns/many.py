"""What a project says of how many rows a table has: who may join it, what is written in masses."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from leakfix.languages.python.modules import Import
from leakfix.patterns.called import SERVES, is_of_command, is_of_tests, is_program
from leakfix.patterns.view import View
from leakfix.project.imports import Imports, words_of
from leakfix.project.mentions import project_root

_JOINING = (
    "allauth",
    "signup",
    "sign_up",
    "djoser",
    "dj_rest_auth",
    "django_registration",
)
"""Words of a program where people make themselves an account."""
_CREATION = "UserCreationForm"
_PATHS = "register"
_PERSON = rb"(?:New|Custom|User|Account|Member|Customer|Profile|Email)*"
_PAGE = rb"(?:Form|Serializer|View|API\w*|Page|Controller)?"
_JOINS_AT = re.compile(
    rb"[\"'/^]register/?[$\"'/?]|\bdef register\(request\b"
    rb"|\bclass " + _PERSON + rb"Regist(?:er|ration)" + _PERSON + _PAGE + rb"\("
)
_MASSES = ("bulk_create", "iterator", "yield_per")
_CHOOSING = ("raw_id_fields", "autocomplete_fields")
_ADMIN = ("ModelAdmin", "TabularInline", "StackedInline")
_INSERTS = ("insert into", "INSERT INTO")
MAKING = "CreateModel"
"""How a migration of Django makes a table."""
_HISTORY = (MAKING, "create_table")
_A_FEW = 5
WORDS = (*_JOINING, _CREATION, _PATHS, *SERVES, *_MASSES, *_CHOOSING, *_ADMIN, *_INSERTS, *_HISTORY)
"""All that is sought in the project's files."""

_ONCE = b"migrations.Migration"
_WRITTEN = re.compile(rb"(\w+)\.(?:objects|_default_manager)(?:\.using\([^()\n]*\))?\.a?\Z")
_CREATES = b"bulk_create("
_READ = re.compile(rb"\.a?iterator\(|\.yield_per\(|yield_per=")
_SOURCE = re.compile(rb"(\w+)\.(?:objects|_default_manager)\b|\b(?:query|select)\((\w+)")
_CHOSEN = re.compile(rb"(?:raw_id_fields|autocomplete_fields)\s*[:=][^=\n(\[]*[(\[]([^)\]]*)")
_OF_ADMIN = re.compile(rb"ModelAdmin\b|\badmin\.(?:site|register|TabularInline|StackedInline)\b")
_REGISTERED = re.compile(rb"register\(([^()]*)\)|^[ \t]+model\s*=\s*(?:\w+\.)*(\w+)", re.MULTILINE)
_NO_MORE = b"has_add_permission"
_CLASS = re.compile(rb"\b[A-Z]\w*[a-z]\w*")
_MADE = (
    r"\b(?:{table}|{plain}_set|{plain}s)\.(?:(?:objects|_default_manager)\.)?(?:\w+\([^()\n]*\)\.)*"
    r"a?(?:create|get_or_create|update_or_create|bulk_create)\(|(?<!class )(?<![\w.])(?:\w*models?\.)?{table}\("
)
_OF_FORM = r"(?m)^[ \t]+(?:model|queryset|serializer_class)\s*=\s*(?:\w+\.)*?{table}(?:Serializer)?\b"
_FORM = re.compile(rb"^class (\w+)\(([^)]*)\)", re.MULTILINE)
_TAKES_IN = re.compile(rb"Create|Form\b|(?<!ReadOnlyModel)(?<!Generic)ViewSet\b|Mutation")
"""Bases of what makes a row of what people send."""
_BY_STAFF = re.compile(r"(?i)(?:^|/)(?:admin\w*|\w+_admin|manage|back_?office|staff)(?=[/.])")
"""Folders and files of pages that are for those who run a program."""
_FOR_TESTS = b"DjangoModelFactory"
_INSERTED = re.compile(rb"(?i)\binsert into [\"`\[]?(?:\w+[\"`\]]?\.[\"`\[]?)?(\w+)")
_NAME = re.compile(rb"[\"'](\w+)[\"']")
_NEAR = 400  # characters; a chain of calls is written in a few lines


def anybody_joins(view: View) -> bool:
    """Whether people sign up by themselves; a project without pages of its own says nothing, and so no "no"."""
    return view.once("whether people sign up", lambda: _joins(view))


def _joins(view: View) -> bool:
    if not is_program(view) or not any(True for _ in view.texts("urlpatterns")):
        return True
    if any(True for word in _JOINING for _ in view.texts(word)):
        return True
    return any(_JOINS_AT.search(text) for word in (_CREATION, _PATHS) for text in view.texts(word))


def is_grown(view: View) -> bool:
    """Whether the project is a program that answers requests and keeps a history of its tables: all of it is here."""
    return is_program(view) and view.once("migrations", lambda: any(True for w in _HISTORY for _ in view.texts(w)))


def has_long_history(view: View) -> bool:
    """Whether the project is such a program, and more than a few migrations of it make tables."""
    return is_grown(view) and view.once(
        "many migrations", lambda: any(True for _ in islice(view.texts(MAKING), _A_FEW, None))
    )


def is_many(view: View, table: str) -> bool:
    """Whether the project writes rows of a table at once, or reads them in blocks."""
    return _has(view.once("tables of many rows", lambda: _names(view, _MASSES, _in_masses)), table)


def is_written_at_once(view: View, table: str) -> bool:
    """Whether the project writes rows of a table at once; unlike reading in blocks, no repair begins that."""
    return _has(view.once("tables written at once", lambda: _names(view, _MASSES[:1], _written)), table)


def is_inserted_into(view: View, table: str) -> bool:
    """Whether a statement of the program itself, beside its migrations and tests, adds rows to a table."""
    return _has(view.once("tables of inserts", lambda: _names(view, _INSERTS, _INSERTED.findall)), table)


def is_too_long_to_choose_from(view: View, table: str) -> bool:
    """Whether the project has a number typed in where a list of a table's rows would be shown."""
    return _has(view.once("tables to search in", lambda: _names(view, _CHOOSING, _chosen)), table)


def is_put_in_by_staff(view: View, table: str) -> bool:
    """Whether the administration's pages are all that makes rows of a table, as far as the project's files tell."""
    registered = view.once("tables that staff fill", lambda: _names(view, (*_ADMIN, _PATHS), _registered))
    if not _has(registered, table):
        return False
    return not is_made(view, table)


def is_made(view: View, table: str) -> bool:
    """Whether a page, an endpoint or a statement of the program makes rows of a table.

    Beside its administration's, and beside commands, which bring in what is known before.
    """
    names = {"table": re.escape(table), "plain": re.escape(table.lower())}
    made, of_form = (re.compile(form.format(**names).encode()) for form in (_MADE, _OF_FORM))
    own = (view.module.path, view.module.source.data)
    for path, text in chain([own], view.text.files(table), view.text.files(f"{table}Serializer")):
        if made.search(text) is None and not any(_takes_in(text, found.start()) for found in of_form.finditer(text)):
            continue
        if _is_of_library(view, path, text, table):
            continue
        if _lasts(text) and not (is_of_command(text) or _FOR_TESTS in text or _is_of_staff(path, text)):
            return True
    return False


def _is_of_library(view: View, path: str, text: bytes, name: str) -> bool:
    """Whether a file means something else by a name: it has that from a package that is not the project's."""
    for module, names in Imports.of(text).statements:
        if module and not module.startswith(b".") and name.encode() in words_of(names):
            return view.names.modules.find(path, Import(module.decode("utf-8", "replace"), None)) is None
    return False


def _is_of_staff(path: str, text: bytes) -> bool:
    return _OF_ADMIN.search(text) is not None or _BY_STAFF.search(os.path.relpath(path, project_root(path))) is not None


def _takes_in(text: bytes, at: int) -> bool:
    """Whether the class that a line stands in makes rows of what people send."""
    classes = list(_FORM.finditer(text, 0, at))
    return bool(classes) and _TAKES_IN.search(classes[-1][2]) is not None


def _registered(text: bytes) -> Iterator[bytes]:
    if _OF_ADMIN.search(text) and _NO_MORE not in text:
        for given, inline in _REGISTERED.findall(text):
            yield from (inline,) if inline else _CLASS.findall(given)


def _names(view: View, words: Iterable[str], found_in: Callable[[bytes], Iterable[bytes]]) -> frozenset[str]:
    """The tables that texts with one of the words tell of, in lower case."""
    texts = (text for word in words for text in view.texts(word))
    return frozenset(name.decode().lower() for text in texts if _lasts(text) for name in found_in(text))


def _lasts(text: bytes) -> bool:
    """Whether a file is no migration and no test."""
    return _ONCE not in text and not is_of_tests(text)


def _has(names: frozenset[str], table: str) -> bool:
    return table.lower() in names


def _chosen(text: bytes) -> Iterator[bytes]:
    for names in _CHOSEN.findall(text):
        yield from (name.replace(b"_", b"") for name in _NAME.findall(names))


def _written(text: bytes) -> Iterator[bytes]:
    """The tables to which ``bulk_create`` adds rows."""
    at = text.find(_CREATES)
    while at >= 0:
        table = _WRITTEN.search(text, max(0, at - _NEAR), at)
        if table is not None:
            yield table[1]
        at = text.find(_CREATES, at + 1)


def _in_masses(text: bytes) -> Iterator[bytes]:
    yield from _written(text)
    for match in _READ.finditer(text):
        before = text[max(0, match.start() - _NEAR) : match.start()]
        made = list(_SOURCE.finditer(before))
        if made and b"\n\n" not in before[made[-1].start() :]:
            yield made[-1][1] or made[-1][2]
