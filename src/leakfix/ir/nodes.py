"""Instructions and graphs.

A front end turns one function into a ``Graph`` of instructions. Values live in *variables*: the function's own
names, and temporaries (``%1``) for what has no name. An instruction knows which edges leave it; an edge may carry a
condition on a variable. Nothing here knows what a resource is, nor what the source language was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import NamedTuple, Protocol

from leakfix.source import Span


class Flow(StrEnum):
    """How control leaves an instruction."""

    NORMAL = "normal"
    RAISES = "raises"
    FAILED = "failed"
    """The call comes back and says that it failed; what it was to acquire is not there."""
    ABANDONED = "abandoned"
    """Cancelled at an await, or closed at a yield: no ordinary exception handler stops it."""


class Fact(Enum):
    """What a branch may know of a variable."""

    NONE = "none"
    PRESENT = "present"
    """Not none, truth unknown."""
    TRUE = "true"
    FALSE = "false"

    @property
    def truthy(self) -> bool | None:
        """Its truth value, where the fact settles it."""
        return {Fact.NONE: False, Fact.TRUE: True, Fact.FALSE: False}.get(self)

    @property
    def is_none(self) -> bool | None:
        """Whether it is none, where the fact settles it."""
        return {Fact.NONE: True, Fact.TRUE: False, Fact.PRESENT: False}.get(self)


class Condition(NamedTuple):
    """An edge is taken only if the variable is truthy (``none`` false) or is none (``none`` true), or the contrary."""

    variable: str
    none: bool
    holds: bool


@dataclass(slots=True)
class Edge:
    """A way out of a node."""

    target: int
    flow: Flow = Flow.NORMAL
    condition: Condition | None = None


class Argument(NamedTuple):
    """One argument of a call: its variable and its keyword, or its position."""

    variable: str
    keyword: str | None = None
    position: int | None = None
    written: str = ""
    """``keyword=Name``, the name's last word, where it is given so."""


class Callee(NamedTuple):
    """What is called: symbolic names it may have, or a method of a variable, or both."""

    names: tuple[str, ...] = ()
    receiver: str | None = None
    method: str | None = None
    written: str = ""
    """The last two words as written, for what nothing else is known of ("engine.connect")."""
    lasting_receiver: bool = False
    """The receiver outlives the function (an attribute of self, a global, a parameter)."""
    makes: bool = False
    """By its name, what is called makes an object, which may keep what it is given."""
    constructs_base: bool = False
    """It is the constructor of a class that the object's own class derives from (Python's ``super().__init__()``)."""

    @property
    def last_word(self) -> str:
        """The name as written, last part only."""
        if self.method is not None:
            return self.method
        return self.names[0].replace("()", "").replace(":", ".").rpartition(".")[2] if self.names else ""


@dataclass(slots=True)
class Call:
    dest: str
    callee: Callee
    arguments: tuple[Argument, ...] = ()
    awaited: bool = False
    results: tuple[str, ...] = ()
    """Where a call gives several things: the variables of all of them, in order; ``dest`` is one."""


@dataclass(slots=True)
class Copy:
    dest: str
    source: str


@dataclass(slots=True)
class Constant:
    dest: str
    fact: Fact | None
    """None for a value nothing is known of."""


@dataclass(slots=True)
class Member:
    """An attribute read; of a resource, possibly a bound method."""

    dest: str
    source: str
    name: str


@dataclass(slots=True)
class Store:
    """An attribute or item of ``target`` (or, where None, something outside the function) is set to ``source``.

    place: the variable that holds what is changed, whatever it is.
    """

    target: str | None
    name: str | None
    source: str
    place: str | None = None


@dataclass(slots=True)
class Gather:
    """A container (or another value that holds its parts) is built."""

    dest: str
    parts: tuple[str, ...]


@dataclass(slots=True)
class Derive:
    """A value computed from parts; it does not hold them (arithmetic, an item, a comparison)."""

    dest: str
    parts: tuple[str, ...]


@dataclass(slots=True)
class Capture:
    """A closure is made over variables; ``called`` are (variable, method) pairs its body calls."""

    dest: str
    variables: tuple[str, ...]
    called: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Test:
    """``dest`` becomes the truth of ``variable`` being none (``none``) or truthy, negated if ``negated``."""

    dest: str
    variable: str
    none: bool
    negated: bool


@dataclass(slots=True)
class Same:
    """``dest`` becomes whether two variables are the same object."""

    dest: str
    first: str
    second: str


@dataclass(slots=True)
class Enter:
    dest: str
    context: str
    asynchronous: bool


@dataclass(slots=True)
class Leave:
    context: str
    asynchronous: bool


@dataclass(slots=True)
class Yield:
    dest: str
    source: str | None


@dataclass(slots=True)
class Return:
    source: str | None


@dataclass(slots=True)
class Forget:
    variable: str


@dataclass(slots=True)
class Nothing:
    """A join, a branch, or a statement of no interest; ``what`` names it for witnesses."""

    what: str = ""


@dataclass(slots=True)
class Exit:
    """The function ends: by ``return``, ``raise``, ``abandon`` or with the whole ``process``."""

    how: str


Op = (
    Call
    | Copy
    | Constant
    | Member
    | Store
    | Gather
    | Derive
    | Capture
    | Test
    | Same
    | Enter
    | Leave
    | Yield
    | Return
    | Forget
    | Nothing
    | Exit
)


@dataclass(slots=True)
class Node:
    """One instruction in its graph."""

    op: Op
    span: Span | None
    line: int
    edges: list[Edge] = field(default_factory=list)


@dataclass(slots=True)
class Graph:
    """The control flow of one function; node 0 is reached from nowhere but ``entry`` says where to begin."""

    nodes: list[Node] = field(default_factory=list)
    entry: int = 0
    facts: dict[str, object] = field(default_factory=dict)
    """What analyses found of the graph as a whole, kept for the next question."""

    def add(self, op: Op, span: Span | None, line: int, *edges: Edge) -> int:
        """Append a node and return its number."""
        self.nodes.append(Node(op, span, line, list(edges)))
        return len(self.nodes) - 1


@dataclass(slots=True)
class Function:
    """One function as the analysis sees it.

    name: symbolic name under which calls refer to it.
    qualname: as people write it ("Orders.load", "outer.inner").
    scope: "" or the canonical kind of scope form its decorator makes of it ("contextmanager", "fixture", ...).
    """

    name: str
    qualname: str
    parameters: tuple[str, ...]
    graph: Graph
    rest: tuple[str, ...] = ()
    """The parameters that take any further positional and keyword arguments; "" where there is none."""
    is_method: bool = False
    is_async: bool = False
    is_generator: bool = False
    scope: str = ""
    wrapped: bool = False
    """A decorator stands between it and its callers, which may give them something else, or the same thing again."""
    header_lines: tuple[int, ...] = ()


class Program(Protocol):
    """What the analysis may ask of the whole project."""

    def function(self, name: str) -> Function | None:
        """The project's function of that symbolic name."""

    def callees(self, name: str) -> Sequence[Callee]:
        """What the project's function of that name calls, without lowering it."""

    def constructor(self, name: str) -> Function | None:
        """The ``__init__`` of the project's class of that symbolic name."""

    def is_record(self, name: str) -> bool:
        """Whether it is a class of the project whose objects only keep what they are made of (a dataclass)."""

    def makes_new(self, name: str) -> bool:
        """Whether it is a class each of whose calls gives an object of its own, all of it written in the project."""

    def methods(self, name: str) -> Iterable[Function]:
        """All methods of the project's class of that name, inherited ones included; none if it is no class of it."""
