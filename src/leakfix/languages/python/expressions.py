"""Python's expressions as instructions of the small IR, and where control goes beside the next one."""

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
    Fact,
    Flow,
    Forget,
    Gather,
    Graph,
    Member,
    Nothing,
    Op,
    Same,
    Store,
    Test,
    Yield,
)
from leakfix.languages.python.modules import FunctionNode, own_nodes, parameter_parts
from leakfix.languages.python.names import Names, Place
from leakfix.languages.python.syntax import (
    adds_numbers,
    aliases,
    given_in,
    is_class_name,
    is_display,
    is_pure,
    local_names,
    name_of,
    none_test,
    test_parts,
    written,
)
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
    "threading.Lock traceback.print_exc traceback.format_exc os.getenv os.environ.get".split()
)
_LOG_METHODS = frozenset("debug info warning warn error exception critical log trace success".split())
_TOLD_BY = {
    **dict.fromkeys(("log", "logger", "logging", "_log", "_logger", "echo", "click"), _LOG_METHODS),
    **dict.fromkeys(("stdout", "stderr"), frozenset({"write", "flush"})),
    "style": frozenset("SUCCESS ERROR WARNING NOTICE HTTP_INFO MIGRATE_HEADING".split()),
}
"""What tells people something, by the last word of its owner, and how it words that (a command's colours)."""
_ENDS_PROCESS = frozenset(
    {"sys.exit", "os._exit", "builtins.exit", "builtins.quit", "os.abort", "os.execv", "os.execvp"}
)
QUIET_SCOPES = frozenset(
    "closing aclosing suppress ExitStack AsyncExitStack nullcontext CancelScope move_on_after fail_after".split()
)
_TRANSPARENT = frozenset({"asyncio.wait_for", "asyncio.shield"})
_CASTS = frozenset({"typing.cast", "typing_extensions.cast"})


class TooComplex(ValueError):
    """The function is too large or too deeply nested to analyse."""


def _has_default(call: ast.Call) -> bool:
    """Whether an entry is asked for with a default for where it is missing; clients get things from addresses."""
    match call:
        case ast.Call(func=ast.Attribute(attr="pop"), args=[_, _]):
            return True
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str() as key), _]):
            return "/" not in key and ":" not in key
    return False


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


class Expressions:
    """What is written inside statements, of one function."""

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
        return local_names(self.node)

    @cached_property
    def optional(self) -> frozenset[str]:
        """Parameters whose default is None: where one of these is false it was left out."""
        arguments = self.node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        defaults = {a.arg: parameter_parts(self.node, a.arg)[1] for a in every}
        return frozenset(n for n, given in defaults.items() if isinstance(given, ast.Constant) and given.value is None)

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
                then = self.add(Store(place if known else None, attribute, value, place), target, Edge(then))
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

    @cached_property
    def aliases(self) -> set[str]:
        """Local names of what may live elsewhere."""
        return aliases(self.node)

    def known_local(self, base: ast.expr) -> bool:
        """Whether an attribute or item is set on something made in this function."""
        if not isinstance(base, ast.Name) or base.id not in self.locals or base.id in self.aliases:
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
                for part in test_parts(node.test):
                    if is_pure(part) and not isinstance(part, ast.Name | ast.Constant):
                        key = "?" + ast.unparse(part)
                        counts[key] = counts.get(key, 0) + 1
                        mentioned[key] = frozenset(n.id for n in ast.walk(part) if isinstance(n, ast.Name))
        return {key: names for key, names in mentioned.items() if counts[key] > 1}

    def capture(self, dest: str, node: ast.AST, then: int) -> int:
        read = {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
        called = {
            (item.func.value.id, item.func.attr)
            for item in ast.walk(node)
            if isinstance(item, ast.Call)
            and isinstance(item.func, ast.Attribute)
            and isinstance(item.func.value, ast.Name)
        }
        entered = (item.context_expr for item in ast.walk(node) if isinstance(item, ast.withitem))
        called |= {(item.id, "__exit__") for item in entered if isinstance(item, ast.Name)}
        own = {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
        captured = tuple(sorted(self.variable(name) for name in read & self.locals - own))
        return self.add(Capture(dest, captured, tuple(sorted(called))), node, Edge(then))

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
        if isinstance(node, ast.BinOp | ast.Subscript) and not is_display(node):
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
        arguments = [(value, self.slot(value), keyword, position) for value, keyword, position in given_in(node)]
        given = tuple(Argument(slot, k, p, f"{k}={name_of(v)}" if k else "") for v, slot, k, p in arguments)
        op = Call(dest, callee, given, awaited)
        if not _VALUES.isdisjoint(names) and ("builtins.sum" not in names or adds_numbers(node)):
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
        parts = [value for value, _, _ in given_in(node)]
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
            known = Callee(names, receiver, method, written(node.func), lasting)
        return known._replace(makes=is_class_name(known.last_word), constructs_base=known.method == "__init__")

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
        if name_of(node) in QUIET_SCOPES or any(self.names.is_record(name) for name in names):
            return True
        for name in names:
            if name in _STEADY_NAMES or (name.startswith("builtins.") and name[9:] in _STEADY_BUILTINS):
                return not name.startswith("builtins.") or all(not isinstance(a, ast.Starred) for a in node.args)
        if _has_default(node):
            return True
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value
            word = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            return node.func.attr in _TOLD_BY.get(word.lower(), ())
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
        tested = none_test(node)
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
        waiting = [self.temporary() for _ in generators]
        for generator, unmet in zip(generators, waiting, strict=True):
            leaving = Edge(head_of_outer, condition=Condition(unmet, False, False))  # as in a statement's loop
            heads.append(self.add(Nothing("filling"), generator.iter, leaving, self.raising(exits)))
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
            entry = self.add(Constant(waiting[position], None), generator.target, Edge(entry))
            self.graph.nodes[heads[position]].edges.insert(0, Edge(entry))
            entry = self.add(Derive(waiting[position], (iterated[position],)), generator.iter, Edge(heads[position]))
            entry = self.into(generator.iter, iterated[position], entry, exits)
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
                if name_of(function) in ("locals", "vars", "dir"):
                    return self.decide(self.variable(name), True, False, test, yes, no)
            case ast.Compare(
                left=ast.Name(id=first), ops=[ast.Is() | ast.IsNot() as how], comparators=[ast.Name(id=second)]
            ):
                same = self.temporary()
                is_same = isinstance(how, ast.Is)
                decision = self.decide(same, False, is_same, test, yes, no)
                return self.add(Same(same, self.variable(first), self.variable(second)), test, Edge(decision))
            case ast.Compare():
                tested = none_test(test)
                if tested is not None and isinstance(tested[0], ast.Name):
                    return self.decide(self.variable(tested[0].id), True, tested[1], test, yes, no)
        key = "?" + ast.unparse(test) if is_pure(test) else ""
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
