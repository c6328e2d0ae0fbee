"""What a repair is about: the acquisition in its statement, its suite, and everything made from it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from leakfix.languages.python.modules import FunctionInfo, FunctionNode, Module, names_in, own_nodes
from leakfix.languages.python.names import Names, Place
from leakfix.repairs.python.lasting import Need, Needs
from leakfix.repairs.python.layout import Layout, last_line
from leakfix.resources import Resource, ResourceTable
from leakfix.source import Span

Suite = list[ast.stmt]


class Refused(Exception):
    """No repair is provably right; the message says why."""


class Wrong(Refused):
    """Releasing it here would be wrong in whatever form."""


class SharedLines(Refused):
    """A statement shares a line, or an assignment, with another."""

    def __init__(
        self, why: str = "statements share a line with `;` or stand on the line of their `if`: lay them out first"
    ) -> None:
        super().__init__(why)


@dataclass(frozen=True)
class Slot:
    """A statement's place: the suite it is in, its index there, and the statement that owns the suite."""

    suite: Suite
    index: int
    owner: ast.AST

    @property
    def statement(self) -> ast.stmt:
        """The statement itself."""
        return self.suite[self.index]


class _Tree:
    """Where everything stands in a function: the same for all that is acquired in it, so kept on its node."""

    def __init__(self, node: FunctionNode, layout: Layout) -> None:
        self._node, self._layout = node, layout

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The parent of every node."""
        return {child: node for node in ast.walk(self._node) for child in ast.iter_child_nodes(node)}

    @cached_property
    def slots(self) -> dict[ast.stmt, Slot]:
        """The place of every statement."""
        found: dict[ast.stmt, Slot] = {}
        for node in (self._node, *self.parents):
            for name in ("body", "orelse", "finalbody"):
                suite = getattr(node, name, None)
                if isinstance(suite, list):
                    for index, statement in enumerate(suite):
                        if isinstance(statement, ast.stmt):
                            found[statement] = Slot(suite, index, node)
        return found

    @cached_property
    def calls(self) -> dict[Span, ast.Call]:
        """Every call by where it stands."""
        return {self._layout.span(node): node for node in self.parents if isinstance(node, ast.Call)}


_TREE = "_leakfix_tree"


def _tree_of(node: FunctionNode, layout: Layout) -> _Tree:
    kept: _Tree | None = getattr(node, _TREE, None)
    if kept is None:
        kept = _Tree(node, layout)
        setattr(node, _TREE, kept)
    return kept


@dataclass
class Subject:
    """One acquisition to repair, with the questions every strategy asks."""

    module: Module
    function: FunctionInfo
    resource: Resource
    table: ResourceTable
    names: Names
    span: Span
    siblings: tuple[Span, ...] = ()
    """Other acquisitions of the same resource in the function."""
    via_factory: bool = False
    packed: bool = False
    """The factory returns it together with other things."""
    never_released: bool = False
    callers: Callable[[], Iterable[tuple[Module, FunctionInfo]]] = tuple
    """The functions of the project that call this one, or return what it returns to theirs."""
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        self.layout = Layout(self.module.source)

    # -- the tree ---------------------------------------------------------------------------------------------------

    @property
    def node(self) -> FunctionNode:
        """The function's node."""
        return self.function.node

    @property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The parent of every node in the function."""
        return _tree_of(self.node, self.layout).parents

    @property
    def slots(self) -> dict[ast.stmt, Slot]:
        """The place of every statement in the function."""
        return _tree_of(self.node, self.layout).slots

    @cached_property
    def call(self) -> ast.Call:
        """The acquiring call. Raises Refused where the tree has none at the span."""
        found = _tree_of(self.node, self.layout).calls.get(self.span)
        if found is None:
            raise Refused("the acquisition could not be found in the source again")
        return found

    @cached_property
    def acquisition(self) -> ast.expr:
        """The acquiring expression: the call, with its ``await``, what passes it on, and its methods that return it."""
        node: ast.expr = self.call
        while True:
            parent = self.parents.get(node)
            if isinstance(parent, ast.Await) or (isinstance(parent, ast.Call) and self._passes_on(parent, node)):
                node = parent
                continue
            called = self.parents.get(parent) if isinstance(parent, ast.Attribute) else None
            fluent = isinstance(parent, ast.Attribute) and parent.attr in self.resource.fluent
            if not fluent or not isinstance(called, ast.Call):
                return node
            node = called

    def _passes_on(self, call: ast.Call, given: ast.expr) -> bool:
        for name in self.names.of(call.func, Place(self.module, self.function)):
            if name in ("asyncio.wait_for", "asyncio.shield") and call.args[:1] == [given]:
                return True
            if name == "typing.cast" and call.args[1:2] == [given]:
                return True
        return False

    @cached_property
    def statement(self) -> ast.stmt:
        """The innermost statement round the acquisition."""
        node: ast.AST = self.acquisition
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    @cached_property
    def name(self) -> str | None:
        """The variable the acquisition is assigned to, if that is all the statement does."""
        match self.statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if value is self.acquisition:
                return name
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is self.acquisition:
                return name
        return None

    @cached_property
    def parameters(self) -> set[str]:
        """The function's parameters."""
        arguments = self.node.args
        return {a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}

    @cached_property
    def _making(self) -> list[tuple[ast.Call, Place]]:
        """The acquiring call and those that made what it calls, a factory's own included."""
        here = Place(self.module, self.function)
        found = [(self.call, here)]
        for symbol in self.names.of(self.call.func, here):
            factory = self.names.function(symbol)
            if factory is not None:
                inside = Place(*factory)
                returned = [item.value for item in own_nodes(factory[1].node) if isinstance(item, ast.Return)]
                found += [(value, inside) for value in returned if isinstance(value, ast.Call)]
        return found + [made for call, place in found for made in self.names.made_by(call.func, place)]

    @cached_property
    def receiver_is_the_projects(self) -> bool:
        """Whether what acquires came from a function of the project, which tests may let return something simpler."""
        here = Place(self.module, self.function)
        receiver = self.call.func.value if isinstance(self.call.func, ast.Attribute) else None
        made = self.names.made_by(receiver, here) if receiver is not None else []
        return any(self.names.function(name) for call, place in made for name in self.names.of(call.func, place))

    @cached_property
    def calls_a_coroutine(self) -> bool:
        """Whether the acquiring call is one of an ``async def`` of the project."""
        functions = map(self.names.function, self.names.of(self.call.func, Place(self.module, self.function)))
        return any(found is not None and isinstance(found[1].node, ast.AsyncFunctionDef) for found in functions)

    @cached_property
    def keeps_after_end(self) -> bool:
        """Whether what it was made with keeps its objects readable after a commit (``expire_on_commit=False``)."""
        return any(
            keyword.arg == "expire_on_commit" and isinstance(keyword.value, ast.Constant) and not keyword.value.value
            for call, _ in self._making
            for keyword in call.keywords
        )

    @cached_property
    def leaves_its_own_way(self) -> bool:
        """Whether its class defines what leaving a ``with`` does: it may commit."""
        classes = [(call.func, place) for call, place in self._making]
        classes += [(k.value, place) for call, place in self._making for k in call.keywords if k.arg == "class_"]
        return any(
            self.names.defines(symbol, "__exit__") or self.names.defines(symbol, "__aexit__")
            for node, place in classes
            for symbol in self.names.of(node, place)
        )

    @property
    def is_async(self) -> bool:
        """Whether the function is ``async def``."""
        return isinstance(self.node, ast.AsyncFunctionDef)

    @cached_property
    def is_scope(self) -> bool:
        """Whether a decorator makes a scope form of the function."""
        return bool(self.names.scope(self.function, self.module))

    @cached_property
    def unit(self) -> str:
        """One step of indentation as this function uses it."""
        return self.layout.unit_of(self.node)

    def new_name(self, wish: str) -> str:
        """A name that nothing in the function, nor anything it can see, uses."""
        taken = set(names_in(self.node))
        for candidate in (wish, *(f"{wish}_{number}" for number in range(2, 99))):
            if candidate not in taken and candidate not in self.module.names:
                return candidate
        raise Refused("no free name is left for it")

    # -- what is made from it ---------------------------------------------------------------------------------------

    def needs(self, name: str | None, beside: Iterable[str] = ()) -> Needs:
        """What every name of the function needs of the resource. beside: names of what came with it."""
        known = dict.fromkeys(beside, Need.VIEW) | ({name: Need.RESOURCE} if name else {})
        needs = Needs(self.resource, self.table, self.names, Place(self.module, self.function), known)
        needs.learn(self.node.body, self.acquisition)
        return needs

    def mentions(self, node: ast.AST, names: set[str]) -> bool:
        """Whether a node reads or writes one of the names, nested functions included."""
        return any(isinstance(item, ast.Name) and item.id in names for item in ast.walk(node))

    # -- releases ---------------------------------------------------------------------------------------------------

    def is_release(self, node: ast.stmt, name: str) -> bool:
        """Whether a statement does nothing but release the variable, perhaps if it is set."""
        match node:
            case ast.Expr(value=value):
                return self.releases(value, name)
            case ast.If(test=test, body=body, orelse=[]):
                return all(self.is_release(item, name) for item in body) and self._asks_only(test, name)
        return False

    def releases(self, value: ast.expr, name: str) -> bool:
        """Whether an expression is a call that releases the variable."""
        if isinstance(value, ast.Await):
            value = value.value
        elif self.resource.asynchronous:
            return False
        match value:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=found), attr=method), args=[], keywords=[]):
                return found == name and method in self.resource.release
            case ast.Call(func=function, args=[ast.Name(id=found)], keywords=[]) if found == name:
                word = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                return word in self.resource.release_with
        return False

    def _asks_only(self, test: ast.expr, name: str) -> bool:
        """A test of the variable alone: ``if conn``, ``if conn is not None``, ``if conn.is_connected()``."""
        match test:
            case ast.BoolOp(op=ast.And(), values=values):
                return all(self._asks_only(value, name) for value in values)
            case ast.UnaryOp(op=ast.Not(), operand=ast.Attribute(value=ast.Name(id=found), attr=attribute)):
                return found == name and attribute in self.resource.closed_when
            case ast.Compare(
                left=ast.Constant(value=str() as text), ops=[ast.In()], comparators=[ast.Call(func=ast.Name())]
            ):
                return text == name
        names = {item.id for item in ast.walk(test) if isinstance(item, ast.Name)}
        negative = any(isinstance(item, ast.Not | ast.Is | ast.Eq) for item in ast.walk(test))
        return names == {name} and not negative

    def release_statements(self, root: ast.AST, name: str) -> Iterator[ast.stmt]:
        """The outermost pure releases below a node."""
        for child in ast.iter_child_nodes(root):
            if isinstance(child, ast.stmt) and self.is_release(child, name):
                yield child
            elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
                yield from self.release_statements(child, name)

    def own(self, statements: Suite) -> Iterator[ast.AST]:
        """All nodes of some statements, without those of nested functions."""
        for statement in statements:
            yield statement
            yield from own_nodes(statement)

    def last_line_of(self, suite: Suite, index: int) -> int:
        """The line a statement of a suite ends on."""
        return last_line(suite[index])
