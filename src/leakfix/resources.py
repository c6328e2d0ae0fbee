"""Resource tables: what a library acquires and what releases it, as rows of TOML.

A row names things by *symbolic names*: dotted paths in which ``()`` stands for the result of a call (or an
instance of a class) and ``[]`` for an item. ``sqlalchemy.create_engine().connect`` is the method ``connect`` of
what ``create_engine`` returned. ``[[type]]`` rows give several such names one canonical spelling.
The same rows stand in a codemod folder's ``resources.toml`` and in a user's ``[tool.leakfix]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal, TypeVar

Scope = Literal["closes", "commits", "transaction", "none"]
Held = Literal["forever", "until-gc", "until-unreferenced"]
Row = TypeVar("Row", "TypeRow", "Resource", "OwnerRow", "PlaceRow", "PoolRow", "ServerRow", "SteadyRow")


# PEP 249 (DB-API 2.0) has the first five; the others are common among drivers.
_DATA = (
    "rowcount", "lastrowid", "description", "arraysize", "rownumber", "total_changes", "in_transaction",
    "inserted_primary_key", "autocommit", "notices", "status", "info", "server_version", "encoding", "dsn",
)  # fmt: skip


class BadRow(ValueError):
    """A row of a resource table is not as the schema wants it; the message says which key and why."""


@dataclass(frozen=True, slots=True)
class TypeRow:
    """One class under all the names code knows it by.

    name: the canonical dotted name; rows write ``name().method`` for its methods.
    names: other dotted names of the class.
    made_by: calls that return an instance of it.
    instances: symbolic names that are an instance of it (``django.db.connections[]``).
    """

    name: str
    names: tuple[str, ...] = ()
    made_by: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of thing that must be released.

    id: ``library/kind``, the name codemods and findings refer to.
    noun: how messages call it ("session", "pooled connection").
    acquire: symbolic names of calls whose result is a fresh one.
    acquire_any: method names telling enough to count on a receiver nothing is known about (``getconn``), or with
        the receiver's own last word (``engine.connect`` is also ``self._engine.connect``).
    any_if_imported: ``acquire_any`` counts only where the project imports the library: others use these words, too.
    release: its own methods that release it.
    at_once: those of ``release`` that need not be awaited where the others must be (``terminate``).
    part: the attribute of it that is released in its place (the ``Body`` of a response).
    release_with: functions or methods of others that release it when they get it as an argument (``putconn``).
    with_: what a ``with`` statement on it does: ``closes``; ``commits`` (closes too, but commits first);
        ``transaction`` (commits or rolls back, stays open); ``none`` (no ``with`` at all).
    async_with: the same for ``async with``.
    with_since: ``package version`` from which on there is that ``with`` (``sqlalchemy 1.4``); a name alone is that of a
        package that brings the same modules and never had it.
    asynchronous: releasing must be awaited.
    awaitable: the acquiring call can stand in ``async with`` without being awaited.
    held: how long a forgotten one stays open.
    values: methods (of it or of what its methods return) whose result no longer needs it.
    objects: methods whose result is live objects that may come back to it (ORM entities).
    fluent: methods that return the resource itself.
    steady: methods that do not fail in practice and so do not count as a way to lose it.
    borrowers: symbolic names of calls that take it as an argument and do not own it.
    carriers: calls that build something which keeps and uses it without owning it (``Session(conn)``).
    enders: methods after which live objects are stale (``commit``: attributes expire).
    adopters: methods whose arguments become live objects of it (``Session.add``).
    columns, relations: calls that declare, in a class body, a plain attribute of a live object or one that is
        loaded when it is read.
    data: attributes (not methods) whose value no longer needs it.
    closed_when, open_when: attributes or methods that tell whether it was released already.
    makes_values: whatever is made from it is a value that no longer needs it.
    none_when_open: attributes that are none as long as it is there (the error of what could not be acquired).
    unless: ``keyword=Name`` arguments of the acquiring call that make it harmless (``poolclass=NullPool``).
    owned_by: symbolic names of what, given to the acquiring call, owns all it would hold (a session's connection).
    repeatable: releasing it twice is harmless.
    of_process: one for the whole process is what it is made for: none is lost where a function runs once.
    gives_back: ``release`` frees it as well, but throws it away; ``release_with`` is what is meant for it.
    on_lasting_owner: only counts where the receiver outlives the function (a cursor of a connection kept on self).
    shared: the same one is handed to everybody, so one release somewhere in the project serves all.
    result: which of several things that the acquiring call gives it is, counted from 0.
    exhausted_by: methods that are false once everything was read, and have released it then (``Next``).
    failing_releases: methods that release it where they fail.
    release_given: methods of ``release`` that take what the acquiring call was given first (a context).
    outlived: what is made from it may be released after it (the rows of a statement).
    instead: ``Query=Exec``: the method that does the same as one that acquires, and hands nothing out.
    keyed: an argument of the acquiring call names it, and it may be given back by that elsewhere.
    fix: ``safe``, ``review`` or ``none``: the best any repair of it can be.
    check: what a reviewer must make sure of, where that is ``review``.
    variable: the name given to one that has none.
    """

    id: str
    noun: str
    acquire: tuple[str, ...]
    acquire_any: tuple[str, ...] = ()
    any_if_imported: bool = False
    release: tuple[str, ...] = ("close",)
    at_once: tuple[str, ...] = ()
    part: str = ""
    release_with: tuple[str, ...] = ()
    with_: Scope = "none"
    async_with: Scope = "none"
    with_since: tuple[str, ...] = ()
    asynchronous: bool = False
    awaitable: bool = False
    held: Held | None = "until-unreferenced"
    values: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    steady: tuple[str, ...] = ()
    fluent: tuple[str, ...] = ()
    borrowers: tuple[str, ...] = ()
    carriers: tuple[str, ...] = ()
    enders: tuple[str, ...] = ()
    adopters: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    data: tuple[str, ...] = _DATA
    closed_when: tuple[str, ...] = ("closed", "is_closed")
    open_when: tuple[str, ...] = ("is_connected", "is_open", "open", "connected")
    makes_values: bool = False
    none_when_open: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    owned_by: tuple[str, ...] = ()
    repeatable: bool = True
    gives_back: bool = False
    of_process: bool = False
    on_lasting_owner: bool = False
    shared: bool = False
    result: int = 0
    exhausted_by: tuple[str, ...] = ()
    failing_releases: tuple[str, ...] = ()
    release_given: tuple[str, ...] = ()
    outlived: bool = False
    instead: tuple[str, ...] = ()
    keyed: bool = False
    fix: Literal["safe", "review", "none"] = "safe"
    check: str = ""
    variable: str = "connection"

    def release_code(self, name: str, receiver: str | None) -> str | None:
        """The statement that releases ``name``; None where it needs a receiver nobody named.

        What came from a receiver is given back to it, where that is possible.
        """
        if self.release and (receiver is None or not self.gives_back):
            call = f"{name}.{self.release[0]}()"
        elif receiver is None:
            return None
        else:
            call = f"{receiver}.{self.release_with[0].rpartition('.')[2]}({name})"
        return f"await {call}" if self.asynchronous else call


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """Calls that take over what they are handed, whatever it is.

    how: ``scope`` (the result releases it when left, ``contextlib.closing``) or ``keeps`` (releases it some day).
    names: symbolic names of the calls.
    methods: method names telling enough on any receiver (``enter_context``, ``addCleanup``, ``append``).
    """

    how: Literal["scope", "keeps"]
    names: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """Where a framework lets applications keep what they share: of what stands there nothing is known.

    names: symbolic names of objects any attribute or item of which the application itself has put there.
    """

    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SteadyRow:
    """Calls that only build something: neither they nor the methods of what they return fail in practice.

    names: symbolic names of the calls.
    """

    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolRow:
    """What lives as long as the process, hands out connections and counts them: an engine. Asked by ``instrument``.

    makers: symbolic names of the calls that make one.
    in_use: code that, behind a dot, counts what is handed out (``pool.checkedout()``).
    rule: the codemod that registers its metrics.
    pool_keyword: the argument that names the kind of pool.
    pools: the kinds that count and queue; so does the default, except at addresses with one of the ``files``.
    opaque: arguments after which nothing is known of the pool.
    overflow_keyword, overflow: the argument that says how many may be handed out beyond its size, and its default.
    """

    makers: tuple[str, ...]
    in_use: str
    rule: str = ""
    pool_keyword: str = ""
    pools: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    overflow_keyword: str = ""
    overflow: int = 0


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A database server that tests may need, and how CI starts one. Asked by ``instrument``.

    name: how people call it.
    drivers: the packages, as requirements name them, that talk to it.
    schemes: how addresses of it begin.
    settings: other words by which settings say that it is used.
    image: its container; port: where that listens; user: who may do all.
    environment: ``NAME=value`` for the container, where ``$password`` and ``$database`` stand for what is chosen.
    health: the command that succeeds once it answers.
    """

    name: str
    drivers: tuple[str, ...]
    schemes: tuple[str, ...]
    image: str
    port: int
    user: str
    environment: tuple[str, ...]
    health: str
    settings: tuple[str, ...] = ()


AnyRow = TypeRow | Resource | OwnerRow | PlaceRow | SteadyRow | PoolRow | ServerRow


@dataclass(frozen=True)
class ResourceTable:
    """All rows in force, and the questions the analysis asks of them."""

    types: tuple[TypeRow, ...] = ()
    resources: tuple[Resource, ...] = ()
    owners: tuple[OwnerRow, ...] = ()
    places: tuple[PlaceRow, ...] = ()
    steady: tuple[SteadyRow, ...] = ()
    pools: tuple[PoolRow, ...] = ()
    servers: tuple[ServerRow, ...] = ()
    _canonical: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rows(self) -> Iterator[AnyRow]:
        """All of them."""
        for kind in (self.types, self.resources, self.owners, self.places, self.steady, self.pools, self.servers):
            yield from kind

    @cached_property
    def by_acquire(self) -> dict[str, Resource]:
        """Resource by the canonical symbolic name of the call that acquires it."""
        return {self.canonical(name): row for row in self.resources for name in row.acquire}

    @cached_property
    def by_method(self) -> dict[tuple[str, bool], Resource]:
        """Resource by a method name that is telling on any receiver, and whether the call is awaited."""
        return {(name, row.asynchronous): row for row in self.resources for name in row.acquire_any}

    @cached_property
    def by_id(self) -> dict[str, Resource]:
        """Resource by its id."""
        return {row.id: row for row in self.resources}

    @cached_property
    def scope_names(self) -> frozenset[str]:
        """Calls whose result releases their argument when it is left."""
        return frozenset(name for row in self.owners if row.how == "scope" for name in row.names)

    @cached_property
    def scope_methods(self) -> frozenset[str]:
        """The last words of such calls, whoever brings them."""
        return frozenset(name for row in self.owners if row.how == "scope" for name in row.methods)

    @cached_property
    def keeper_names(self) -> frozenset[str]:
        """Calls that take over their arguments."""
        return frozenset(name for row in self.owners if row.how == "keeps" for name in row.names)

    @cached_property
    def keeper_methods(self) -> frozenset[str]:
        """Methods that take over their arguments, on any receiver."""
        return frozenset(name for row in self.owners if row.how == "keeps" for name in row.methods)

    @cached_property
    def _prefixes(self) -> dict[str, str]:
        prefixes = {}
        for row in self.types:
            for name in row.names:
                prefixes[name] = row.name
            for name in row.made_by:
                prefixes[f"{name}()"] = f"{row.name}()"
            for name in row.instances:
                prefixes[name] = f"{row.name}()"
        return prefixes

    def canonical(self, name: str) -> str:
        """The one spelling of a symbolic name: its longest known prefix replaced, until nothing is left to replace."""
        known = self._canonical.get(name)
        if known is None:
            known = self._canonical[name] = self._replace_prefixes(name)
        return known

    def _replace_prefixes(self, name: str) -> str:
        for _ in range(8):
            for end in range(len(name), 0, -1):
                if end < len(name) and name[end] not in ".([":
                    continue
                replacement = self._prefixes.get(name[:end])
                if replacement is not None and replacement != name[:end]:
                    name = replacement + name[end:]
                    break
            else:
                return name
        return name

    def acquired_by(
        self, names: Iterable[str], method: str | None, written: str = "", awaited: bool = False
    ) -> Resource | None:
        """The resource a call acquires, from the callee's symbolic names, else from a telling way it is written.

        Of several that it may be, one that is shared by all counts before one that is not.
        """
        named = list(names)
        rows = [row for row in (self.by_acquire.get(self.canonical(name)) for name in named) if row is not None]
        if rows:
            return next((row for row in rows if row.shared), rows[0])
        if method is None or not all(map(self._is_put_there, named)):
            return None
        words = written.split("_")
        hints = (method, *("_".join(words[start:]).lower() for start in range(len(words))))
        return next((row for hint in hints if (row := self.by_method.get((hint, awaited))) is not None), None)

    def _is_put_there(self, name: str) -> bool:
        """Whether a name is of something that the application has put on an object of a framework."""
        return any(name.startswith((f"{place}.", f"{place}[")) for place in self._places)

    @cached_property
    def _places(self) -> tuple[str, ...]:
        return tuple(name for row in self.places for name in row.names)

    def is_steady(self, names: Iterable[str]) -> bool:
        """Whether a call, by the callee's symbolic names, only builds something."""
        return any(name.partition("()")[0] in self._steady for name in names)

    @cached_property
    def _steady(self) -> frozenset[str]:
        return frozenset(name for row in self.steady for name in row.names)

    @cached_property
    def import_roots(self) -> frozenset[str]:
        """Top-level packages whose import makes a file worth parsing."""
        names = [name for row in self.resources for name in row.acquire]
        names += [name for row in self.types for name in (row.name, *row.names, *row.made_by, *row.instances)]
        return frozenset(name.partition(".")[0].partition("(")[0] for name in names)

    def is_source(self, name: str) -> bool:
        """Whether something acquires, or has a method that does: an engine, a pool, a factory, a session class."""
        return self.canonical(name) in self._sources

    @cached_property
    def _sources(self) -> frozenset[str]:
        found = set(self.by_acquire) | self.import_roots
        leading = [name for row in self.types for name in (*row.made_by, *row.instances)]
        for name in (*self.by_acquire, *leading):
            ends = (end for end in range(len(name)) if name[end] == "." and name[:end].endswith(("()", "[]")))
            found |= {self.canonical(name[:end]) for end in ends}
        return frozenset(found)

    @cached_property
    def telling_words(self) -> frozenset[str]:
        """What makes a file worth parsing whatever it imports: methods, some behind what their object is called."""
        return frozenset(name for row in self.resources for name in row.acquire_any)

    @cached_property
    def call_words(self) -> frozenset[str]:
        """Last words of the calls that acquire, or make what acquires: a function without any cannot leak."""
        return frozenset(_last_word(name) for name in self._calls)

    @cached_property
    def python_call_words(self) -> frozenset[str]:
        """Those of them that a Python package gives; a slash is only in the path of a Go package."""
        return frozenset(_last_word(name) for name in self._calls if "/" not in name)

    @cached_property
    def _calls(self) -> list[str]:
        names = [name for row in self.resources for name in (*row.acquire, *row.acquire_any)]
        return names + [n for row in self.types for n in (row.name, *row.names, *row.made_by) if "()" not in n]

    @cached_property
    def file_words(self) -> dict[str, frozenset[str]]:
        """For each package: words one of which stands in every file that gets hold of its resources by itself."""
        found: dict[str, set[str]] = {}
        names = [name for row in self.resources for name in row.acquire]
        names += [n for row in self.types for n in (row.name, *row.names, *row.made_by, *row.instances)]
        for name in names:
            entry = name.partition("(")[0].partition("[")[0]
            found.setdefault(entry.partition(".")[0], set()).add(_last_word(entry))
        return {root: frozenset(words) for root, words in found.items()}

    @cached_property
    def object_words(self) -> dict[str, frozenset[str]]:
        """Those of them that name an object of a module, with the module they are asked of: ``db.connection``."""
        found: dict[str, set[str]] = {}
        for name in (name.replace("[]", "") for row in self.types for name in row.instances):
            if "()" not in name:
                found.setdefault(name.partition(".")[0], set()).add(".".join(name.split(".")[-2:]))
        return {root: frozenset(words) for root, words in found.items()}

    def supposed(self, name: str) -> str:
        """The package whose object a name stands for where another's usually keeps one; "" for any other name."""
        for kind in self.types:
            if any("()" in place and name.startswith(f"{place}.") for place in kind.instances):
                return kind.name.partition(".")[0]
        return ""

    @cached_property
    def method_words(self) -> dict[str, frozenset[str]]:
        """For each package: methods that acquire, on an object somebody else made."""
        found: dict[str, set[str]] = {}
        for row in self.resources:
            for name in row.acquire:
                if "()" in name or "[]" in name:
                    found.setdefault(name.partition(".")[0], set()).add(_last_word(name))
        for kind in self.types:
            for name in kind.instances:
                if "()" in name:  # on an object of another package's: ``fastapi.Request().app.state.pool``
                    asked = (call for row in self.resources for call in row.acquire)
                    own = {_last_word(call) for call in asked if call.startswith(f"{kind.name}().")}
                    found.setdefault(name.partition(".")[0], set()).update(own)
        return {root: frozenset(words) for root, words in found.items()}


def _last_word(name: str) -> str:
    return name.replace("()", "").replace("[]", "").rpartition(".")[2]


def table_from(documents: Iterable[Mapping[str, Any]]) -> ResourceTable:
    """Build a table from parsed TOML documents with rows of every kind. Raises BadRow."""
    types: list[TypeRow] = []
    owners: list[OwnerRow] = []
    places: list[PlaceRow] = []
    steady: list[SteadyRow] = []
    pools: list[PoolRow] = []
    servers: list[ServerRow] = []
    resources: dict[str, Resource] = {}
    for document in documents:
        types += [_row(TypeRow, "type", values) for values in document.get("type", [])]
        owners += [_row(OwnerRow, "owner", values) for values in document.get("owner", [])]
        places += [_row(PlaceRow, "place", values) for values in document.get("place", [])]
        steady += [_row(SteadyRow, "steady", values) for values in document.get("steady", [])]
        pools += [_row(PoolRow, "pool", values) for values in document.get("pool", [])]
        servers += [_row(ServerRow, "server", values) for values in document.get("server", [])]
        for values in document.get("resource", []):
            row = _row(Resource, "resource", values)
            if row.id in resources:
                raise BadRow(f"resource {row.id!r} is defined twice")
            resources[row.id] = row
    return ResourceTable(
        types=tuple(types),
        resources=tuple(resources.values()),
        owners=tuple(owners),
        places=tuple(places),
        steady=tuple(steady),
        pools=tuple(pools),
        servers=tuple(servers),
    )


def document_of(table: ResourceTable) -> dict[str, list[dict[str, Any]]]:
    """The rows as a document from which ``table_from`` makes the same table."""
    return {
        "type": [_values(row) for row in table.types],
        "resource": [_values(row) for row in table.resources],
        "owner": [_values(row) for row in table.owners],
        "place": [_values(row) for row in table.places],
        "steady": [_values(row) for row in table.steady],
        "pool": [_values(row) for row in table.pools],
        "server": [_values(row) for row in table.servers],
    }


def _values(row: AnyRow) -> dict[str, Any]:
    given = {item.name.rstrip("_"): getattr(row, item.name) for item in fields(row)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}


def _row(kind: type[Row], label: str, values: Mapping[str, Any]) -> Row:
    known = {item.name.rstrip("_"): item for item in fields(kind)}
    given: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise BadRow(f"unknown key {key!r} in a {label} row; it has {', '.join(sorted(known))}")
        given[known[key].name] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**given)
    except TypeError as error:
        raise BadRow(f"incomplete {label} row {values.get('id') or values.get('name')!r}: {error}") from error
