"""Python functions as graphs of the small IR.

Graphs are built backward: lowering a statement takes the node that follows it and returns the node to enter at.
What surrounds a statement (handlers, ``finally``, ``with``) is an ``Exits``: where each way of leaving leads.
Those targets are built when first needed, so a ``finally`` body appears once for each way that really passes it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cached_property

from leakfix.ir.nodes import (
    Argument,
    Call,
    Callee,
    Capture,
    Condition,
    Constant,
    Copy,
    Derive,
    Edge,
    Enter,
    Exit,
    Fact,
    Flow,
    Forget,
    Gather,
    Graph,
    Leave,
    Member,
    Nothing,
    Op,
    Return,
    Same,
    Store,
    Test,
    Yield,
)
from leakfix.languages.python.modules import FunctionNode, own_nodes, parameter_parts
from leakfix.languages.python.names import Names, Place
from leakfix.source import Span

_STEADY_BUILTINS = frozenset(
    "print len isinstance issubclass id type repr str bool hasattr callable dict list set tuple frozenset "
    "locals globals super object range enumerate zip".split()
)
_VALUES = frozenset(f"builtins.{name}" for name in "sum len str repr format int float bool any all hash round".split())
"""What these return refers to nothing that they were given."""
_STEADY_NAMES = frozenset(
    "time.time time.monotonic time.perf_counter datetime.datetime.now datetime.datetime.utcnow datetime.now "
    "logging.getLogger warnings.warn uuid.uuid4 contextlib.ExitStack contextlib.AsyncExitStack contextlib.suppress "
    "threading.Lock traceback.print_exc traceback.format_exc warnings.warn".split()
)
_LOG_METHODS = frozenset("debug info warning warn error exception critical log trace success".split())
_LOG_OWNERS = ("log", "logger", "logging", "_log", "_logger", "echo", "click")
_ENDS_PROCESS = frozenset(
    {"sys.exit", "os._exit", "builtins.exit", "builtins.quit", "os.abort", "os.execv", "os.execvp"}
)
_SUPPRESSES = frozenset({"contextlib.suppress", "suppress", "pytest.raises"})
_QUIET_SCOPES = frozenset(
    "closing aclosing suppress ExitStack AsyncExitStack nullcontext CancelScope move_on_after fail_after".split()
)
_NAMING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_TRANSPARENT = frozenset({"asyncio.wait_for", "asyncio.shield"})
_CASTS = frozenset({"typing.cast", "typing_extensions.cast"})
_CATCH_EXCEPTION = frozenset({"Exception", "BaseException"})
_CATCH_ABANDONED = frozenset({"BaseException"})


class TooComplex(ValueError):
    """The function is too large or too deeply nested to analyse."""


class Exits:
    """Where control goes when a statement does not simply fall through."""

    def __init__(self, **targets: Callable[[], int]) -> None:
        self._targets = targets
        self._built: dict[str, int] = {}

    def __getitem__(self, way: str) -> int:
        if way not in self._built:
            self._built[way] = self._targets[way]()
        return self._built[way]

    def through(self, wrap: Callable[[int], int]) -> Exits:
        """The same exits with something to pass first, once for each distinct target."""
        passed: dict[int, int] = {}

        def passing(way: str) -> int:
            target = self[way]
            if target not in passed:
                passed[target] = wrap(target)
            return passed[target]

        return Exits(**{way: lambda way=way: passing(way) for way in self._targets})

    def but(self, **targets: Callable[[], int]) -> Exits:
        """The same exits, some of them replaced."""
        kept = {way: (lambda way=way: self[way]) for way in self._targets}
        return Exits(**{**kept, **targets})


class Lowering:
    """Lowers one function."""

    max_nodes = 20_000

    def __init__(self, node: FunctionNode, place: Place, names: Names) -> None:
        self.node = node
        self.place = place
        self.names = names
        self.graph = Graph()
        self._temporaries = 0
        self._loops = 0
        self._renamed: list[dict[str, str]] = []

    @cached_property
    def locals(self) -> set[str]:
        """The function's own names."""
        return _local_names(self.node)

    @cached_property
    def optional(self) -> frozenset[str]:
        """Parameters whose default is None: where one of these is false it was left out."""
        arguments = self.node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        defaults = {a.arg: parameter_parts(self.node, a.arg)[1] for a in every}
        return frozenset(n for n, given in defaults.items() if isinstance(given, ast.Constant) and given.value is None)

    def run(self) -> Graph:
        """The function's graph. Raises TooComplex."""
        line = self.node.end_lineno or self.node.lineno
        exits = Exits(
            **{
                "raise": lambda: self.graph.add(Exit("raise"), None, line),
                "abandon": lambda: self.graph.add(Exit("abandon"), None, line),
                "return": lambda: self.graph.add(Exit("return"), None, line),
                "process": lambda: self.graph.add(Exit("process"), None, line),
            }
        )
        self.graph.entry = self.block(self.node.body, exits["return"], exits)
        return self.graph

    # -- plumbing ---------------------------------------------------------------------------------------------------

    def add(self, op: Op, node: ast.AST, *edges: Edge) -> int:
        if len(self.graph.nodes) > self.max_nodes:
            raise TooComplex(f"more than {self.max_nodes} steps")
        line = getattr(node, "lineno", 0)
        return self.graph.add(op, self.span(node), line, *edges)

    def span(self, node: ast.AST) -> Span | None:
        if not hasattr(node, "lineno"):
            return None
        source = self.place.module.source
        return Span(
            source.offset(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            source.offset(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def temporary(self) -> str:
        self._temporaries += 1
        return f"%{self._temporaries}"

    def variable(self, name: str) -> str:
        for scope in reversed(self._renamed):
            if name in scope:
                return scope[name]
        return name

    def slot(self, node: ast.expr) -> str:
        """Where the value of an expression will be: a name's own variable, else a new temporary."""
        return self.variable(node.id) if isinstance(node, ast.Name) else self.temporary()

    def raising(self, exits: Exits) -> Edge:
        return Edge(exits["raise"], Flow.RAISES)

    # -- statements -------------------------------------------------------------------------------------------------

    def block(self, body: list[ast.stmt], then: int, exits: Exits) -> int:
        for statement in reversed(body):
            then = self.statement(statement, then, exits)
        return then

    def statement(self, node: ast.stmt, then: int, exits: Exits) -> int:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            return then
        entry: int = method(node, then, exits)
        return entry

    def _expr(self, node: ast.Expr, then: int, exits: Exits) -> int:
        if isinstance(node.value, ast.Constant):
            return then
        return self.evaluate(node.value, self.temporary(), then, exits)

    def _assign(self, node: ast.Assign, then: int, exits: Exits) -> int:
        match node.targets:
            case [ast.Name(id=name)] if name in self.locals:
                then = self.forget_tests(name, node, then)
                return self.evaluate(node.value, self.variable(name), then, exits)
            case [ast.Tuple(elts=targets)] if _pairwise(targets, node.value):
                assert isinstance(node.value, ast.Tuple)
                pairs = [(t, v, self.temporary()) for t, v in zip(targets, node.value.elts, strict=True)]
                for target, _, slot in reversed(pairs):
                    then = self.bind(target, slot, then, exits)
                for _, part, slot in reversed(pairs):
                    then = self.evaluate(part, slot, then, exits)
                return then
        value = self.slot(node.value)
        for target in reversed(node.targets):
            then = self.bind(target, value, then, exits)
        return self.into(node.value, value, then, exits)

    def _annassign(self, node: ast.AnnAssign, then: int, exits: Exits) -> int:
        if node.value is None:
            return then
        value = self.slot(node.value)
        if isinstance(node.target, ast.Name) and node.target.id in self.locals:
            then = self.forget_tests(node.target.id, node, then)
            return self.evaluate(node.value, self.variable(node.target.id), then, exits)
        return self.into(node.value, value, self.bind(node.target, value, then, exits), exits)

    def _augassign(self, node: ast.AugAssign, then: int, exits: Exits) -> int:
        value, result = self.slot(node.value), self.temporary()
        own = self.slot(node.target)
        then = self.bind(node.target, result, then, exits)
        if isinstance(node.target, ast.Name) and not self.known_local(
            node.target
        ):  # `given += [x]` changes what the caller has
            then = self.add(Store(None, None, value), node, Edge(then))
        then = self.add(Gather(result, (own, value)), node, Edge(then))
        return self.into(node.value, value, then, exits)

    def bind(self, target: ast.expr, value: str, then: int, exits: Exits) -> int:
        """Assign the value of a variable to a target."""
        match target:
            case ast.Name(id=name) if name in self.locals:
                return self.add(Copy(self.variable(name), value), target, Edge(self.forget_tests(name, target, then)))
            case ast.Name(id=name):
                then = self.add(Forget(name), target, Edge(self.forget_tests(name, target, then)))
                return self.add(Store(None, name, value), target, Edge(then))
            case ast.Attribute(value=base, attr=attribute):
                then = self.forget_tests(ast.unparse(target), target, then)
                place = self.slot(base)
                known = self.known_local(base)
                then = self.add(Store(place if known else None, attribute, value), target, Edge(then))
                return self.into(base, place, then, exits)
            case ast.Subscript(value=base, slice=index):
                place, key = self.slot(base), self.slot(index)
                known = self.known_local(base)
                edges = [Edge(then)]
                if not (isinstance(base, ast.Name) and isinstance(index, ast.Constant)):
                    edges.append(self.raising(exits))
                then = self.add(Store(place if known else None, None, value), target, *edges)
                then = self.into(index, key, then, exits)
                return self.into(base, place, then, exits)
            case ast.Tuple(elts=items) | ast.List(elts=items):
                for item in reversed(items):
                    part = self.temporary()
                    then = self.bind(item.value if isinstance(item, ast.Starred) else item, part, then, exits)
                    then = self.add(Derive(part, (value,)), item, Edge(then))
                return self.add(Nothing("unpacking"), target, Edge(then), self.raising(exits))
            case ast.Starred(value=inner):
                return self.bind(inner, value, then, exits)
        return then

    def known_local(self, base: ast.expr) -> bool:
        """Whether an attribute or item is set on something made in this function."""
        if not isinstance(base, ast.Name) or base.id not in self.locals:
            return False
        arguments = self.node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        return base.id not in {argument.arg for argument in every}

    def forget_tests(self, name: str, node: ast.AST, then: int) -> int:
        """A name changes: what was tested of expressions that mention it holds no longer."""
        for key, mentioned in self.repeated_tests.items():
            if name in mentioned or key == f"?{name}":
                then = self.add(Forget(key), node, Edge(then))
        return then

    @cached_property
    def repeated_tests(self) -> dict[str, frozenset[str]]:
        """Pure test expressions that occur more than once outside loops, with the names they mention."""
        counts: dict[str, int] = {}
        mentioned: dict[str, frozenset[str]] = {}
        for node in own_nodes(self.node):
            if isinstance(node, ast.If | ast.IfExp):
                for part in _test_parts(node.test):
                    if _is_pure(part) and not isinstance(part, ast.Name | ast.Constant):
                        key = "?" + ast.unparse(part)
                        counts[key] = counts.get(key, 0) + 1
                        mentioned[key] = frozenset(n.id for n in ast.walk(part) if isinstance(n, ast.Name))
        return {key: names for key, names in mentioned.items() if counts[key] > 1}

    def _return(self, node: ast.Return, then: int, exits: Exits) -> int:
        if node.value is None:
            return self.add(Return(None), node, Edge(exits["return"]))
        value = self.slot(node.value)
        return self.into(node.value, value, self.add(Return(value), node, Edge(exits["return"])), exits)

    def _raise(self, node: ast.Raise, then: int, exits: Exits) -> int:
        way = "process" if node.exc is not None and _name_of(node.exc) == "SystemExit" else "raise"
        entry = self.add(Nothing("raise"), node, Edge(exits[way], Flow.RAISES))
        for part in (node.cause, node.exc):
            if isinstance(part, ast.Call):
                for argument in [*part.args, *(k.value for k in part.keywords)]:
                    if not isinstance(argument, ast.Name | ast.Constant):
                        entry = self.evaluate(argument, self.temporary(), entry, exits)
        return entry

    def _delete(self, node: ast.Delete, then: int, exits: Exits) -> int:
        for target in reversed(node.targets):
            if isinstance(target, ast.Name):
                then = self.add(Forget(self.variable(target.id)), node, Edge(then))
        return then

    def _assert(self, node: ast.Assert, then: int, exits: Exits) -> int:
        failed = self.add(Nothing("assertion"), node, self.raising(exits))
        return self.branch(node.test, then, failed, exits)

    def _import(self, node: ast.Import | ast.ImportFrom, then: int, exits: Exits) -> int:
        return self.add(Nothing("import"), node, Edge(then), self.raising(exits))

    _importfrom = _import

    def _break(self, node: ast.Break, then: int, exits: Exits) -> int:
        return self.add(Nothing("break"), node, Edge(exits["break"]))

    def _continue(self, node: ast.Continue, then: int, exits: Exits) -> int:
        return self.add(Nothing("continue"), node, Edge(exits["continue"]))

    def _if(self, node: ast.If, then: int, exits: Exits) -> int:
        body = self.block(node.body, then, exits)
        orelse = self.block(node.orelse, then, exits)
        return self.branch(node.test, body, orelse, exits)

    def _while(self, node: ast.While, then: int, exits: Exits) -> int:
        head = self.add(Nothing(), node)
        inner = exits.but(**{"break": lambda: then, "continue": lambda: head})
        self._loops += 1
        after = self.block(node.orelse, then, exits)
        body = self.block(node.body, head, inner)
        entry = self.branch(node.test, body, after, exits)
        self._loops -= 1
        self.graph.nodes[head].edges.append(Edge(entry))
        return head

    def _for(self, node: ast.For | ast.AsyncFor, then: int, exits: Exits) -> int:
        if isinstance(node, ast.For) and _is_short_display(node.iter) and not node.orelse:
            return self.unrolled(node, then, exits)
        iterated, item = self.slot(node.iter), self.temporary()
        head = self.add(Nothing("iteration"), node.iter)
        inner = exits.but(**{"break": lambda: then, "continue": lambda: head})
        self._loops += 1
        body = self.block(node.body, head, inner)
        body = self.bind(node.target, item, body, exits)
        body = self.add(Derive(item, (iterated,)), node.target, Edge(body))
        self._loops -= 1
        after = self.block(node.orelse, then, exits)
        edges = [Edge(body), Edge(after)]
        if not _is_display(node.iter):
            edges.append(self.raising(exits))
        if isinstance(node, ast.AsyncFor):
            edges.append(Edge(exits["abandon"], Flow.ABANDONED))
        self.graph.nodes[head].edges.extend(edges)
        return self.into(node.iter, iterated, head, exits)

    _asyncfor = _for

    def unrolled(self, node: ast.For, then: int, exits: Exits) -> int:
        """A loop over a few things written down: once for each of them."""
        assert isinstance(node.iter, ast.Tuple | ast.List)
        after = then
        for element in reversed(node.iter.elts):
            following = then
            inner = exits.but(**{"break": lambda: after, "continue": lambda following=following: following})  # type: ignore[misc]
            slot = self.slot(element)
            then = self.bind(node.target, slot, self.block(node.body, following, inner), inner)
            then = self.into(element, slot, then, exits)
        return then

    def _with(self, node: ast.With | ast.AsyncWith, then: int, exits: Exits) -> int:
        return self.with_items(node, list(node.items), then, exits)

    _asyncwith = _with

    def with_items(self, node: ast.With | ast.AsyncWith, items: list[ast.withitem], then: int, exits: Exits) -> int:
        if not items:
            return self.block(node.body, then, exits)
        item, rest = items[0], items[1:]
        asynchronous = isinstance(node, ast.AsyncWith)
        context, entered = self.slot(item.context_expr), self.temporary()
        suppresses = self.suppresses(item.context_expr)

        def leave(target: int) -> int:
            return self.add(Leave(context, asynchronous), item.context_expr, Edge(target))

        left = leave(then)
        inner = exits.through(leave)
        if suppresses:
            inner = inner.but(**{"raise": lambda: left})
        body = self.with_items(node, rest, left, inner)
        if item.optional_vars is not None:
            body = self.bind(item.optional_vars, entered, body, inner)
        edges = [Edge(body)]
        if not self.enters_quietly(item.context_expr):
            edges.append(self.raising(exits))
        if asynchronous:
            edges.append(Edge(exits["abandon"], Flow.ABANDONED))
        enter = self.add(Enter(entered, context, asynchronous), item.context_expr, *edges)
        return self.into(item.context_expr, context, enter, exits)

    def suppresses(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Call):
            return False
        return any(name in _SUPPRESSES for name in self.names.of(node.func, self.place))

    def enters_quietly(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and _name_of(node) in _QUIET_SCOPES

    def _try(self, node: ast.Try, then: int, exits: Exits) -> int:
        if not node.finalbody:
            return self.handled(node, then, exits)
        inner = exits.through(lambda target: self.block(node.finalbody, target, exits))
        return self.handled(node, self.block(node.finalbody, then, exits), inner)

    _trystar = _try

    def handled(self, node: ast.Try, then: int, exits: Exits) -> int:
        """A ``try`` without its ``finally``: body, handlers and ``else``."""
        if not node.handlers:
            return self.block(node.body, self.block(node.orelse, then, exits), exits)
        entries = [self.handler(handler, then, exits) for handler in node.handlers]

        def dispatch(way: str, flow: Flow) -> int:
            taken, complete = _catching(node.handlers, flow)
            edges = [Edge(entries[position]) for position in taken]
            if not complete:
                edges.append(Edge(exits[way]))
            return self.graph.add(Nothing(), None, node.handlers[0].lineno, *edges)

        inner = exits.but(
            **{
                "raise": lambda: dispatch("raise", Flow.RAISES),
                "abandon": lambda: dispatch("abandon", Flow.ABANDONED),
            }
        )
        return self.block(node.body, self.block(node.orelse, then, exits), inner)

    def handler(self, node: ast.ExceptHandler, then: int, exits: Exits) -> int:
        return self.add(Nothing("except"), node, Edge(self.block(node.body, then, exits)))

    def _match(self, node: ast.Match, then: int, exits: Exits) -> int:
        subject = self.slot(node.subject)
        following = then
        for case in reversed(node.cases):
            body = self.block(case.body, then, exits)
            if case.guard is not None:
                body = self.branch(case.guard, body, following, exits)
            for name in _captured(case.pattern):
                body = self.add(Copy(self.variable(name), subject), case.pattern, Edge(body))
            edges = [Edge(body)]
            if not (_is_irrefutable(case.pattern) and case.guard is None):
                edges.append(Edge(following))
            following = self.add(Nothing(), case.pattern, *edges)
        return self.into(node.subject, subject, following, exits)

    def _functiondef(self, node: FunctionNode, then: int, exits: Exits) -> int:
        if not all(self.passes_on(decorator) for decorator in node.decorator_list):
            then = self.add(Store(None, node.name, self.variable(node.name)), node, Edge(then))
        return self.capture(self.variable(node.name), node, then)

    _asyncfunctiondef = _functiondef

    def _classdef(self, node: ast.ClassDef, then: int, exits: Exits) -> int:
        return self.capture(self.variable(node.name), node, then)

    def passes_on(self, decorator: ast.expr) -> bool:
        """Whether what a decorator makes of a function is kept nowhere but under its name."""
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        names = self.names.of(node, self.place)
        return bool(names) and all(name.startswith(("functools.", "contextlib.")) for name in names)

    def capture(self, dest: str, node: ast.AST, then: int) -> int:
        read = {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
        called = {
            (item.func.value.id, item.func.attr)
            for item in ast.walk(node)
            if isinstance(item, ast.Call)
            and isinstance(item.func, ast.Attribute)
            and isinstance(item.func.value, ast.Name)
        }
        own = {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
        captured = tuple(sorted(self.variable(name) for name in read & self.locals - own))
        return self.add(Capture(dest, captured, tuple(sorted(called))), node, Edge(then))

    # -- expressions ------------------------------------------------------------------------------------------------

    def into(self, node: ast.expr, slot: str, then: int, exits: Exits) -> int:
        """Evaluate into the slot ``self.slot(node)`` gave."""
        return then if isinstance(node, ast.Name) else self.evaluate(node, slot, then, exits)

    def evaluate(self, node: ast.expr, dest: str, then: int, exits: Exits) -> int:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            return self._parts(node, dest, then, exits)
        entry: int = method(node, dest, then, exits)
        return entry

    def _parts(self, node: ast.expr, dest: str, then: int, exits: Exits, op: type = Derive) -> int:
        parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
        slots = [self.slot(part) for part in parts]
        edges = [Edge(then)]
        if isinstance(node, ast.BinOp | ast.Subscript) and not _is_display(node):
            edges.append(self.raising(exits))
        entry = self.add(op(dest, tuple(slots)), node, *edges)
        for part, slot in zip(reversed(parts), reversed(slots), strict=True):
            entry = self.into(part, slot, entry, exits)
        return entry

    def _name(self, node: ast.Name, dest: str, then: int, exits: Exits) -> int:
        return self.add(Copy(dest, self.variable(node.id)), node, Edge(then))

    def _constant(self, node: ast.Constant, dest: str, then: int, exits: Exits) -> int:
        fact = Fact.NONE if node.value is None else Fact.TRUE if node.value else Fact.FALSE
        return self.add(Constant(dest, fact), node, Edge(then))

    def _tuple(self, node: ast.expr, dest: str, then: int, exits: Exits) -> int:
        return self._parts(node, dest, then, exits, Gather)

    _list = _set = _dict = _tuple

    def _starred(self, node: ast.Starred, dest: str, then: int, exits: Exits) -> int:
        return self.evaluate(node.value, dest, then, exits)

    def _attribute(self, node: ast.Attribute, dest: str, then: int, exits: Exits) -> int:
        base = self.slot(node.value)
        entry = self.add(Member(dest, base, node.attr), node, Edge(then))
        return self.into(node.value, base, entry, exits)

    def _await(self, node: ast.Await, dest: str, then: int, exits: Exits) -> int:
        if isinstance(node.value, ast.Call):
            return self._call(node.value, dest, then, exits, awaited=True)
        value = self.slot(node.value)
        edges = (Edge(then), self.raising(exits), Edge(exits["abandon"], Flow.ABANDONED))
        return self.into(node.value, value, self.add(Copy(dest, value), node, *edges), exits)

    def _call(self, node: ast.Call, dest: str, then: int, exits: Exits, awaited: bool = False) -> int:
        names = self.names.of(node.func, self.place)
        if node.args and isinstance(node.args[0], ast.Call) and any(name in _TRANSPARENT for name in names):
            return self._call(node.args[0], dest, then, exits, awaited=True)
        if len(node.args) == 2 and any(name in _CASTS for name in names):
            return self.evaluate(node.args[1], dest, then, exits)
        if "functools.partial" in names:
            return self._partial(node, dest, then, exits)
        callee = self.callee(node)
        receiver = callee.receiver
        arguments = [(value, self.slot(value), keyword, position) for value, keyword, position in _arguments(node)]
        given = tuple(Argument(slot, k, p, f"{k}={_name_of(v)}" if k else "") for v, slot, k, p in arguments)
        op = Call(dest, callee, given, awaited)
        if not _VALUES.isdisjoint(names):
            then = self.add(Constant(dest, None), node, Edge(then))
        if any(name in _ENDS_PROCESS for name in names):
            entry = self.add(op, node, Edge(exits["process"]))
        else:
            edges = [Edge(then)]
            if not self.is_steady(node, names):
                edges.append(self.raising(exits))
            if awaited:
                edges.append(Edge(exits["abandon"], Flow.ABANDONED))
            entry = self.add(op, node, *edges)
        for value, slot, _, _ in reversed(arguments):
            entry = self.into(value, slot, entry, exits)
        if receiver is not None and isinstance(node.func, ast.Attribute):
            entry = self.into(node.func.value, receiver, entry, exits)
        elif not isinstance(node.func, ast.Name | ast.Attribute):
            entry = self.evaluate(node.func, self.temporary(), entry, exits)
        return entry

    def _partial(self, node: ast.Call, dest: str, then: int, exits: Exits) -> int:
        """A container of its arguments, until it is called."""
        parts = [value for value, _, _ in _arguments(node)]
        slots = [self.slot(part) for part in parts]
        entry = self.add(Gather(dest, tuple(slots)), node, Edge(then))
        for part, slot in zip(reversed(parts), reversed(slots), strict=True):
            entry = self.into(part, slot, entry, exits)
        return entry

    def callee(self, node: ast.Call) -> Callee:
        """What a call calls."""
        names = self.with_bases(self.names.of(node.func, self.place))
        if isinstance(node.func, ast.Name):
            called = self.variable(node.func.id) if node.func.id in self.locals else None
            known = Callee(names or (node.func.id,), called, "()" if called else None)
        else:
            receiver, lasting = self.receiver(node.func)
            method = node.func.attr if isinstance(node.func, ast.Attribute) else None
            known = Callee(names, receiver, method, _written(node.func), lasting)
        return known._replace(makes=_is_class_name(known.last_word))

    def with_bases(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """A class of the project is also known by the library classes it derives from."""
        outside: list[str] = []
        for name in names:
            found = self.names.class_(name)
            if found is not None:
                outside += [n for n in self.names.outside_bases(*found) if not n.startswith("builtins.")]
        return (*names, *outside)

    def receiver(self, function: ast.expr) -> tuple[str | None, bool]:
        """The variable a method is called on, and whether it outlives the function."""
        if not isinstance(function, ast.Attribute):
            return None, False
        root: ast.expr = function.value
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        lasting = isinstance(root, ast.Name) and not (root is function.value and self.known_local(root))
        return self.slot(function.value), lasting

    def is_steady(self, node: ast.Call, names: tuple[str, ...]) -> bool:
        """Whether a call counts as one that does not fail (see the module's lists)."""
        if _name_of(node) in _QUIET_SCOPES:
            return True
        for name in names:
            if name in _STEADY_NAMES or (name.startswith("builtins.") and name[9:] in _STEADY_BUILTINS):
                return not name.startswith("builtins.") or all(not isinstance(a, ast.Starred) for a in node.args)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "pop" and len(node.args) == 2:
            return True  # with a default
        if isinstance(node.func, ast.Attribute) and node.func.attr in _LOG_METHODS:
            owner = node.func.value
            word = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            return word.lower() in _LOG_OWNERS
        return False

    def _boolop(self, node: ast.BoolOp, dest: str, then: int, exits: Exits) -> int:
        entry = then
        for position, value in enumerate(reversed(node.values)):
            if position:
                stop_when = isinstance(node.op, ast.Or)
                tested = self.variable(value.id) if isinstance(value, ast.Name) else dest
                none = isinstance(value, ast.Name) and value.id in self.optional
                test = self.add(
                    Nothing(),
                    value,
                    Edge(then, condition=Condition(tested, none, stop_when != none)),
                    Edge(entry, condition=Condition(tested, none, stop_when == none)),
                )
                entry = self.evaluate(value, dest, test, exits)
            else:
                entry = self.evaluate(value, dest, then, exits)
        return entry

    def _ifexp(self, node: ast.IfExp, dest: str, then: int, exits: Exits) -> int:
        body = self.evaluate(node.body, dest, then, exits)
        orelse = self.evaluate(node.orelse, dest, then, exits)
        return self.branch(node.test, body, orelse, exits)

    def _namedexpr(self, node: ast.NamedExpr, dest: str, then: int, exits: Exits) -> int:
        name = self.variable(node.target.id)
        then = self.add(Copy(dest, name), node, Edge(then))
        return self.evaluate(node.value, name, self.forget_tests(name, node, then), exits)

    def _compare(self, node: ast.Compare, dest: str, then: int, exits: Exits) -> int:
        tested = _none_test(node)
        if tested is not None and isinstance(tested[0], ast.Name):
            return self.add(Test(dest, self.variable(tested[0].id), True, not tested[1]), node, Edge(then))
        return self._parts(node, dest, then, exits)

    def _unaryop(self, node: ast.UnaryOp, dest: str, then: int, exits: Exits) -> int:
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Name):
            return self.add(Test(dest, self.variable(node.operand.id), False, True), node, Edge(then))
        return self._parts(node, dest, then, exits)

    def _lambda(self, node: ast.Lambda, dest: str, then: int, exits: Exits) -> int:
        return self.capture(dest, node, then)

    def _generatorexp(self, node: ast.GeneratorExp, dest: str, then: int, exits: Exits) -> int:
        first = node.generators[0].iter
        slot = self.slot(first)
        read = {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
        used = tuple(sorted(self.variable(name) for name in read & self.locals))
        return self.into(first, slot, self.add(Derive(dest, (slot, *used)), node, Edge(then)), exits)

    def _listcomp(self, node: ast.ListComp | ast.SetComp | ast.DictComp, dest: str, then: int, exits: Exits) -> int:
        elements = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        bound = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        self._temporaries += 1
        self._renamed.append({name: f"{name}%{self._temporaries}" for name in bound})
        self.locals |= bound
        self._loops += 1
        entry = self.comprehension(node, elements, list(node.generators), dest, then, exits)
        self._loops -= 1
        self._renamed.pop()
        return entry

    _setcomp = _dictcomp = _listcomp

    def comprehension(
        self,
        node: ast.expr,
        elements: list[ast.expr],
        generators: list[ast.comprehension],
        dest: str,
        then: int,
        exits: Exits,
    ) -> int:
        head_of_outer = then
        heads: list[int] = []
        iterated = [self.slot(generator.iter) for generator in generators]
        for generator in generators:
            heads.append(self.add(Nothing("iteration"), generator.iter, Edge(head_of_outer), self.raising(exits)))
            if generator.is_async:
                self.graph.nodes[heads[-1]].edges.append(Edge(exits["abandon"], Flow.ABANDONED))
            head_of_outer = heads[-1]
        slots = [self.slot(element) for element in elements]
        entry = self.add(Gather(dest, (dest, *slots)), node, Edge(heads[-1]))
        for element, slot in zip(reversed(elements), reversed(slots), strict=True):
            entry = self.into(element, slot, entry, exits)
        for position in reversed(range(len(generators))):
            generator = generators[position]
            for test in reversed(generator.ifs):
                entry = self.branch(test, entry, heads[position], exits)
            item = self.temporary()
            entry = self.bind(generator.target, item, entry, exits)
            entry = self.add(Derive(item, (iterated[position],)), generator.target, Edge(entry))
            self.graph.nodes[heads[position]].edges.insert(0, Edge(entry))
            entry = self.into(generator.iter, iterated[position], heads[position], exits)
        return self.add(Constant(dest, None), node, Edge(entry))

    def _yield(self, node: ast.Yield, dest: str, then: int, exits: Exits) -> int:
        edges = (Edge(then), self.raising(exits), Edge(exits["abandon"], Flow.ABANDONED))
        if node.value is None:
            return self.add(Yield(dest, None), node, *edges)
        value = self.slot(node.value)
        return self.into(node.value, value, self.add(Yield(dest, value), node, *edges), exits)

    def _yieldfrom(self, node: ast.YieldFrom, dest: str, then: int, exits: Exits) -> int:
        edges = (Edge(then), self.raising(exits), Edge(exits["abandon"], Flow.ABANDONED))
        value = self.slot(node.value)
        return self.into(node.value, value, self.add(Derive(dest, (value,)), node, *edges), exits)

    # -- tests ------------------------------------------------------------------------------------------------------

    def branch(self, test: ast.expr, yes: int, no: int, exits: Exits) -> int:
        """Evaluate a test and go one way or the other, with what each way tells about variables."""
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.branch(operand, no, yes, exits)
            case ast.BoolOp(op=ast.And(), values=values):
                for value in reversed(values):
                    yes = self.branch(value, yes, no, exits)
                return yes
            case ast.BoolOp(values=values):
                for value in reversed(values):
                    no = self.branch(value, yes, no, exits)
                return no
            case ast.Constant(value=value):
                return yes if value else no
            case ast.Name(id=name):
                return self.decide(self.variable(name), False, True, test, yes, no)
            case ast.NamedExpr(target=ast.Name(id=name)):
                decided = self.decide(self.variable(name), False, True, test, yes, no)
                return self.evaluate(test, self.temporary(), decided, exits)
            case ast.Compare(
                left=ast.Constant(value=str() as name), ops=[ast.In()], comparators=[ast.Call(func=function)]
            ):
                if _name_of(function) in ("locals", "vars", "dir"):
                    return self.decide(self.variable(name), True, False, test, yes, no)
            case ast.Compare(
                left=ast.Name(id=first), ops=[ast.Is() | ast.IsNot() as how], comparators=[ast.Name(id=second)]
            ):
                same = self.temporary()
                is_same = isinstance(how, ast.Is)
                decision = self.decide(same, False, is_same, test, yes, no)
                return self.add(Same(same, self.variable(first), self.variable(second)), test, Edge(decision))
            case ast.Compare():
                tested = _none_test(test)
                if tested is not None and isinstance(tested[0], ast.Name):
                    return self.decide(self.variable(tested[0].id), True, tested[1], test, yes, no)
        key = "?" + ast.unparse(test) if _is_pure(test) else ""
        if key in self.repeated_tests and not self._loops:
            return self.decide(key, False, True, test, yes, no)
        truth = self.temporary()
        return self.evaluate(test, truth, self.decide(truth, False, True, test, yes, no), exits)

    def decide(self, variable: str, none: bool, holds: bool, node: ast.AST, yes: int, no: int) -> int:
        return self.add(
            Nothing(),
            node,
            Edge(yes, condition=Condition(variable, none, holds)),
            Edge(no, condition=Condition(variable, none, not holds)),
        )


def _local_names(node: FunctionNode) -> set[str]:
    arguments = node.args
    names = {a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
    names |= {a.arg for a in (arguments.vararg, arguments.kwarg) if a}
    outside: set[str] = set()
    for item in own_nodes(node):
        if isinstance(item, ast.Name):
            if isinstance(item.ctx, ast.Store):
                names.add(item.id)
        elif isinstance(item, ast.Global | ast.Nonlocal):
            outside |= set(item.names)
        elif isinstance(item, _NAMING) and item.name is not None:
            names.add(item.name)
    return names - outside


def _pairwise(targets: list[ast.expr], value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Tuple)
        and len(targets) == len(value.elts)
        and not any(isinstance(item, ast.Starred) for item in [*targets, *value.elts])
    )


def _arguments(node: ast.Call) -> list[tuple[ast.expr, str | None, int | None]]:
    found: list[tuple[ast.expr, str | None, int | None]] = []
    for position, value in enumerate(node.args):
        found.append((value, None, None if isinstance(value, ast.Starred) else position))
    return found + [(keyword.value, keyword.arg, None) for keyword in node.keywords]


def _name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_short_display(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Tuple | ast.List)
        and 0 < len(node.elts) <= 6
        and all(isinstance(element, ast.Name | ast.Attribute) for element in node.elts)
    )


def _is_class_name(word: str) -> bool:
    """Whether a word is written as classes are (PEP 8)."""
    return word.lstrip("_")[:1].isupper() and not word.isupper()


def _written(function: ast.expr) -> str:
    if not isinstance(function, ast.Attribute):
        return ""
    owner = function.value
    word = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return f"{word}.{function.attr}" if word else ""


def _is_display(node: ast.expr) -> bool:
    """Something that cannot fail to iterate or to be indexed in practice."""
    if isinstance(node, ast.Call):
        return _name_of(node) in ("range", "enumerate") and all(isinstance(a, ast.Constant) for a in node.args)
    return isinstance(node, ast.Tuple | ast.List | ast.Constant)


def _none_test(node: ast.Compare) -> tuple[ast.expr, bool] | None:
    """(tested, is) of ``x is None`` and ``x is not None``, also written with ``==``."""
    match node:
        case ast.Compare(left=left, ops=[ast.Is() | ast.Eq()], comparators=[ast.Constant(value=None)]):
            return left, True
        case ast.Compare(left=left, ops=[ast.IsNot() | ast.NotEq()], comparators=[ast.Constant(value=None)]):
            return left, False
    return None


def _test_parts(test: ast.expr) -> list[ast.expr]:
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _test_parts(operand)
        case ast.BoolOp(values=values):
            return [part for value in values for part in _test_parts(value)]
    return [test]


def _is_pure(node: ast.expr) -> bool:
    return all(
        isinstance(
            part,
            ast.Name | ast.Attribute | ast.Constant | ast.Compare | ast.cmpop | ast.expr_context | ast.Tuple,
        )
        for part in ast.walk(node)
    )


def _catching(handlers: list[ast.ExceptHandler], flow: Flow) -> tuple[list[int], bool]:
    """Which handlers may take what raised, and whether nothing gets past them."""
    taken: list[int] = []
    for position, handler in enumerate(handlers):
        caught = _caught_names(handler.type)
        if flow is Flow.ABANDONED:
            if handler.type is None or caught & (_CATCH_ABANDONED | {"CancelledError", "GeneratorExit"}):
                taken.append(position)
            if handler.type is None or caught & _CATCH_ABANDONED:
                return taken, True
        else:
            if caught != {"CancelledError"} and caught != {"GeneratorExit"} and caught != {"KeyboardInterrupt"}:
                taken.append(position)
            if handler.type is None or caught & _CATCH_EXCEPTION:
                return taken, True
    return taken, False


def _caught_names(node: ast.expr | None) -> set[str]:
    if isinstance(node, ast.Tuple):
        return {_name_of(item) for item in node.elts}
    return {_name_of(node)} if node is not None else set()


def _captured(pattern: ast.pattern) -> list[str]:
    return [n.name for n in ast.walk(pattern) if isinstance(n, ast.MatchAs | ast.MatchStar) and n.name]


def _is_irrefutable(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None
