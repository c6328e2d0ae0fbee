"""How long a value needs the resource it came from: not at all, perhaps, or for as long as it is used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cached_property

from leakfix.languages.python.modules import FunctionNode, own_nodes
from leakfix.languages.python.names import Names, Place
from leakfix.languages.python.syntax import adds_numbers
from leakfix.repairs.python.columns import plain_attributes, plain_classes
from leakfix.resources import Resource, ResourceTable

_DEPTH = 3
_PLAIN_BUILTINS = frozenset(
    "len sum str int float bool any all repr isinstance hash round format print id type bytes abs".split()
)
_MATERIALISING = frozenset("list tuple set sorted dict frozenset max min next deque OrderedDict".split())
_LOADING_LESS = frozenset("load_only defer defer_everything raiseload from_statement with_expression".split())
_PLAIN_NAME = re.compile(r"(?:\w+_)?(?:id|at)")  # nobody names a relation so
_COLLECTIONS = frozenset("deque OrderedDict".split())
_SAME_ELEMENTS = frozenset(
    "list tuple set sorted frozenset iter reversed islice deque cycle takewhile dropwhile".split()
)
_ELEMENTS_OF_ALL = frozenset("zip enumerate chain".split())
_PLAIN_METHODS = frozenset(
    "dict json model_dump model_dump_json to_dict as_dict to_json _asdict isoformat format strip lower upper "
    "split join replace encode decode startswith endswith append extend add dumps jsonify count index strftime "
    "mappings_dict".split()
)
_PLAIN_CALLS = frozenset("dumps jsonify json_response JSONResponse render_template DataFrame Decimal Path".split())

_LAZY = frozenset(
    "map filter zip enumerate iter reversed islice chain from_iterable partial groupby tee starmap takewhile dropwhile "
    "accumulate cycle create_task ensure_future submit run_in_executor to_thread gather Thread".split()
)
_AWAITING = frozenset("gather wait_for shield".split())
_COLLECTING = frozenset("append add extend insert appendleft update setdefault put".split())


class Need(IntEnum):
    """What a value needs of the resource."""

    NOTHING = 0
    LOADED = 1
    """Live objects of classes with plain columns only: come back to it once they are stale, not before."""
    PERHAPS = 2
    """Other live objects, or what an unknown function made: may come back to it."""
    VIEW = 3
    """Lazy: cannot be used without it."""
    RESOURCE = 4


class Needs:
    """What the names and expressions of one function need of one resource."""

    def __init__(
        self,
        resource: Resource,
        table: ResourceTable,
        names: Names,
        place: Place,
        known: dict[str, Need],
        depth: int = 0,
    ) -> None:
        self.resource = resource
        self.table = table
        self.names = names
        self.place = place
        self.known = dict(known)
        self.depth = depth
        self.adopted: set[str] = set()
        self.containers: set[str] = set()
        self.lazy_closures: set[str] = set()
        self.coroutines: set[str] = set()
        self.waiting = frozenset((*resource.values, *resource.objects)) - frozenset(resource.data)
        self.element = Need.PERHAPS if resource.objects else Need.NOTHING
        self.carriers = frozenset(table.canonical(name) for name in resource.carriers)
        self.borrowers = frozenset(table.canonical(name) for name in resource.borrowers)

    def learn(self, statements: Iterable[ast.AST], acquisition: ast.expr | None = None) -> None:
        """Find what the names bound in these statements need, to a fixpoint."""
        self.acquisition = acquisition
        nodes = [node for statement in statements for node in (statement, *own_nodes(statement))]
        for _ in range(4):
            before = dict(self.known)
            for node in nodes:
                self._bind_from(node)
            if self.known == before:
                return

    acquisition: ast.expr | None = None

    def _bind_from(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                self._bind(target, value)
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                self._note(name, self.of(value))
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method), args=[*given])) if (
                method in _COLLECTING and self.known.get(name, Need.NOTHING) < Need.VIEW
            ):
                for argument in given:
                    self._note(name, min(self.of(argument), Need.VIEW))
            case ast.Call(func=ast.Attribute(value=owner, attr=method), args=[*given]) if (
                method in self.resource.adopters and self.of(owner) is Need.RESOURCE
            ):
                self._adopt(given)
            case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
                self._note_all(target, self.element_of(value))
            case ast.Match(subject=value, cases=cases):
                for pattern in (item for case in cases for item in ast.walk(case.pattern)):
                    if isinstance(pattern, ast.MatchAs | ast.MatchStar) and pattern.name:
                        self._note(pattern.name, min(self.of(value), Need.VIEW))
            case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
                self._note_all(target, self.of(value))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if any(self.known.get(read, Need.NOTHING) >= Need.PERHAPS for read in _read(node)):
                    self._note(name, Need.VIEW)
                    if not isinstance(node, ast.ClassDef) and _yields(node):
                        self.lazy_closures.add(name)
                    if isinstance(node, ast.AsyncFunctionDef):
                        self.coroutines.add(name)

    def _adopt(self, given: list[ast.expr]) -> None:
        """Objects handed to the resource live with it from then on, and so does what they were made of."""
        for argument in given:
            for item in ast.walk(argument):
                if isinstance(item, ast.Name) and self.known.get(item.id, Need.NOTHING) is Need.NOTHING:
                    if self.resource.objects:
                        made = [value for value in self._assigned(item.id) if isinstance(value, ast.Call)]
                        plain = bool(made) and all(self._is_plain(value.func) for value in made)
                        self._note(item.id, Need.LOADED if plain else Need.PERHAPS)
                        self.adopted.add(item.id)
                        for value in self._assigned(item.id):
                            if isinstance(value, ast.Call):
                                self._adopt(
                                    [a for a in [*value.args, *(k.value for k in value.keywords)] if self._made_here(a)]
                                )

    def _made_here(self, node: ast.expr) -> bool:
        """Whether a name is bound to a new object of some class in this function."""
        if not isinstance(node, ast.Name):
            return False
        for value in self._assigned(node.id):
            if isinstance(value, ast.Call):
                word = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
                if word[:1].isupper():
                    return True
        return False

    def _hold(self, owner: ast.expr, need: Need) -> None:
        """Something is put into what an expression names: the whole thing lasts as long."""
        root: ast.AST = owner
        while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
            root = root.func if isinstance(root, ast.Call) else root.value
        if isinstance(root, ast.Name) and need > Need.NOTHING and self.known.get(root.id) is not Need.RESOURCE:
            self._note(root.id, min(need, Need.VIEW))
            self.containers.add(root.id)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        match target, value:
            case ast.Subscript(value=owner) | ast.Attribute(value=owner), _:
                self._hold(owner, self.of(value))
            case (ast.Tuple(elts=targets) | ast.List(elts=targets), ast.Tuple(elts=values) | ast.List(elts=values)) if (
                len(targets) == len(values) and not any(isinstance(t, ast.Starred) for t in (*targets, *values))
            ):
                for one, its in zip(targets, values, strict=True):
                    self._bind(one, its)
            case ast.Tuple() | ast.List(), ast.Call() if self._is_of_project(value):
                self._note_all(target, self.of(value))  # several things, each of which may be lazy
            case ast.Tuple() | ast.List(), _:
                self._note_all(target, self.element_of(value))
            case _:
                self._note_all(target, self.of(value))
                if isinstance(target, ast.Name) and self._holds_views(value):
                    self.containers.add(target.id)

    def _holds_views(self, value: ast.expr) -> bool:
        """Whether a value is a container whose elements need the resource, not an iterator over plain rows."""
        return self.element_of(value) >= Need.VIEW

    def _note_all(self, target: ast.expr, need: Need) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._note(node.id, need)

    def _note(self, name: str, need: Need) -> None:
        if need > self.known.get(name, Need.NOTHING):
            self.known[name] = need

    def derived(self) -> dict[str, Need]:
        """Names that need the resource at all."""
        return {name: need for name, need in self.known.items() if need > Need.NOTHING}

    def of(self, node: ast.expr) -> Need:
        """What the value of an expression needs."""
        if node is self.acquisition:
            return Need.RESOURCE
        match node:
            case ast.Name(id=name):
                return self.known.get(name, Need.NOTHING)
            case ast.Await(value=ast.Call() as call) if call is not self.acquisition:
                return self._call(call, awaited=True)
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.of(value)
            case ast.Call():
                return self._call(node)
            case ast.Attribute(value=value, attr=attribute):
                return self._attribute(self.of(value), attribute)
            case ast.Subscript(value=value):
                return min(self.of(value), Need.VIEW)
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                return min(max((self.of(element) for element in elements), default=Need.NOTHING), Need.VIEW)
            case ast.Compare() | ast.JoinedStr() | ast.Constant():
                return Need.NOTHING
            case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod()):
                return Need.NOTHING
            case ast.ListComp(elt=element, generators=generators) | ast.SetComp(elt=element, generators=generators):
                return self._comprehended([element], generators)
            case ast.DictComp(key=key, value=value, generators=generators):
                return self._comprehended([key, value], generators)
            case ast.GeneratorExp(generators=generators):
                lazy = any(self.of(part) >= Need.PERHAPS for part in ast.walk(node) if isinstance(part, ast.Name))
                return Need.VIEW if lazy or any(self.of(g.iter) >= Need.PERHAPS for g in generators) else Need.NOTHING
            case ast.Lambda():
                reads = any(self.known.get(name, Need.NOTHING) > Need.NOTHING for name in _read(node))
                return Need.VIEW if reads else Need.NOTHING
            case ast.IfExp(body=body, orelse=orelse):
                return max(self.of(body), self.of(orelse))
        return max((self.of(p) for p in ast.iter_child_nodes(node) if isinstance(p, ast.expr)), default=Need.NOTHING)

    def element_of(self, node: ast.expr) -> Need:
        """What an element of an iterable needs."""
        match node:
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                return max((self._spread(element) for element in elements), default=Need.NOTHING)
            case ast.ListComp() | ast.SetComp():
                return self.of(node)
            case ast.GeneratorExp(elt=element, generators=generators):
                return self._comprehended([element], generators)
            case ast.Call(args=[first, *_]) if _called(node) in _SAME_ELEMENTS:
                return self.element_of(first)
            case ast.Call(args=arguments) if _called(node) in _ELEMENTS_OF_ALL:
                return max((self.element_of(argument) for argument in arguments), default=Need.NOTHING)
            case ast.Call(args=[function, *arguments]) if _called(node) == "map":
                if self.of(function) >= Need.VIEW:
                    return Need.VIEW
                return max((self.element_of(argument) for argument in arguments), default=Need.NOTHING)
            case ast.Call() if _called(node) == "tee":
                return self.of(node)
        need = self.of(node)
        if isinstance(node, ast.Name) and node.id in self.containers:
            return need
        if need >= Need.PERHAPS and self._only_columns(node):
            return Need.NOTHING
        if need >= Need.VIEW:
            return Need.LOADED if self.element is Need.PERHAPS and self._loads_plain(node) else self.element
        return need

    def _spread(self, element: ast.expr) -> Need:
        return self.element_of(element.value) if isinstance(element, ast.Starred) else self.of(element)

    def _attribute(self, base: Need, name: str) -> Need:
        if base <= Need.LOADED:
            return Need.NOTHING
        if base is Need.PERHAPS:
            return Need.NOTHING if name in self.plain or _PLAIN_NAME.fullmatch(name) else base
        return Need.NOTHING if name in self.resource.data else Need.VIEW

    @cached_property
    def plain_classes(self) -> frozenset[str]:
        """Classes whose live objects have nothing that is loaded when it is read."""
        return plain_classes(self.names, self.place.module, self.resource)

    @cached_property
    def plain(self) -> frozenset[str]:
        """Attributes of live objects known to be plain values."""
        return plain_attributes(self.names, self.place.module, self.resource)

    def _comprehended(self, elements: list[ast.expr], generators: list[ast.comprehension]) -> Need:
        inner = Needs(self.resource, self.table, self.names, self.place, self.known, self.depth)
        inner.acquisition = self.acquisition
        for generator in generators:
            need = inner.element_of(generator.iter)
            for node in ast.walk(generator.target):
                if isinstance(node, ast.Name):
                    inner.known[node.id] = need
        return max(inner.of(element) for element in elements)

    def _call(self, node: ast.Call, awaited: bool = False) -> Need:
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        given = max((self.of(argument) for argument in arguments), default=Need.NOTHING)
        word = node.func.id if isinstance(node.func, ast.Name) else ""
        if isinstance(node.func, ast.Attribute):
            word = node.func.attr
            base = self.of(node.func.value)
            if base is Need.LOADED:
                return Need.NOTHING if word in _PLAIN_METHODS else base
            if base >= Need.PERHAPS:
                if base is Need.RESOURCE and self.resource.asynchronous and not awaited and word in self.waiting:
                    return Need.VIEW
                if base >= Need.VIEW and word in self.resource.objects:
                    if self._only_columns(node):
                        return Need.NOTHING
                    if self._loads_plain(node):
                        return Need.LOADED
                return self._method(base, word, given)
        if isinstance(node.func, ast.Call) and self.of(node.func) >= Need.VIEW:  # a factory made of it, called at once
            return Need.VIEW
        if given is Need.NOTHING:
            closure = self.known.get(word, Need.NOTHING) if isinstance(node.func, ast.Name) else Need.NOTHING
            if closure >= Need.PERHAPS:
                values = self._assigned(word)
                bodies = [value.body for value in values if isinstance(value, ast.Lambda)]
                carried = [Need.VIEW for value in values if isinstance(value, ast.Call) and closure is Need.VIEW]
                made = max((*(self.of(body) for body in bodies), *carried), default=Need.PERHAPS)
                waiting = word in self.coroutines and not awaited
                return Need.VIEW if waiting or word in self.lazy_closures else made
            return Need.NOTHING
        if awaited and word in _AWAITING:
            return max(self._awaited(argument) for argument in arguments)
        if isinstance(node.func, ast.Name) and word == "sum" and not adds_numbers(node):
            return self._materialised(node)
        if isinstance(node.func, ast.Name) and word in _PLAIN_BUILTINS:
            return Need.NOTHING
        if word in _MATERIALISING and (isinstance(node.func, ast.Name) or word in _COLLECTIONS):
            return self._materialised(node)
        if isinstance(node.func, ast.Call):  # what a call returned: a class made on the spot, a partial
            return min(given, Need.VIEW)
        names = self.names.of(node.func, self.place)
        if word in _PLAIN_CALLS or any(self.table.canonical(name) in self.borrowers for name in names):
            return Need.NOTHING
        if any(self.table.canonical(name) in self.carriers for name in names):
            return min(given, Need.VIEW)
        if not awaited and self._is_coroutine(names, given):
            return Need.VIEW
        inferred = self._project_call(node, names)
        if inferred is not None:
            return inferred
        if any(name in self.table.scope_names for name in names):
            return given
        # A class, a lazy iterator or a task keeps what it is given; a plain function most likely returns a value.
        keeps = word in _LAZY or word in self.table.keeper_methods or word.lstrip("_")[:1].isupper()
        return min(given, Need.VIEW if keeps else Need.PERHAPS)

    def _is_plain(self, node: ast.expr) -> bool:
        return any(symbol in self.plain_classes for symbol in self.names.of(node, self.place))

    def _loads_plain(self, node: ast.expr) -> bool:
        """Whether all classes a query names have plain columns only."""
        classes = list(self._classes_named(node, 0))
        return bool(classes) and all(plain for plain in classes)

    def _classes_named(self, node: ast.expr, depth: int) -> Iterator[bool]:
        for item in ast.walk(node):
            if not isinstance(item, ast.Name | ast.Attribute) or not isinstance(item.ctx, ast.Load):
                continue
            symbols = self.names.of(item, self.place)
            if (item.id if isinstance(item, ast.Name) else item.attr) in _LOADING_LESS:
                yield False
            elif any(self.names.class_(symbol) for symbol in symbols):
                yield self._is_plain(item)
            elif isinstance(item, ast.Name) and self.known.get(item.id) is not Need.RESOURCE:
                values = self._assigned(item.id) if depth < _DEPTH else []
                if not values and not symbols:
                    yield False  # a parameter, or a class from nobody knows where
                for value in values:
                    yield from self._classes_named(value, depth + 1)

    def _only_columns(self, node: ast.expr, depth: int = 0) -> bool:
        """Whether a query asks for columns only: attributes and function calls, no class by its bare name."""
        if depth > _DEPTH:
            return False
        match node:
            case ast.Await(value=value):
                return self._only_columns(value, depth)
            case ast.Name():
                values = self._assigned(node.id)
                return bool(values) and all(self._only_columns(value, depth + 1) for value in values)
            case ast.Call():
                first = _first_call(node)
                statement = first.func.value if isinstance(first.func, ast.Attribute) else None
                if isinstance(statement, ast.Name) and self._is_of_this_function(statement.id):
                    return self._only_columns(statement, depth + 1)  # a statement begun before, that is refined here
                return bool(first.args) and all(self._is_column(argument, depth) for argument in first.args)
        return False

    def _is_of_this_function(self, name: str) -> bool:
        """Whether something other than the resource is a variable of the function."""
        if self.known.get(name) is Need.RESOURCE or self.place.function is None:
            return False
        given = (item.arg for item in ast.walk(self.place.function.node.args) if isinstance(item, ast.arg))
        return bool(self._assigned(name)) or name in given

    def _is_column(self, node: ast.expr, depth: int) -> bool:
        match node:
            case ast.Attribute(value=owner, attr=word):
                return not word[:1].isupper() and self._is_class(owner)
            case ast.Call():
                return _is_sql_text(node) or self._only_columns(node, depth + 1)
            case ast.Name(id=name):
                values = [] if name[:1].isupper() else self._assigned(name)
                return (
                    bool(values) and all(self._is_column(value, depth + 1) for value in values)
                    if depth < _DEPTH
                    else False
                )
        return False

    def _is_class(self, node: ast.expr) -> bool:
        """Whether an expression is a class, or the columns of a table: what it is asked for is a column then."""
        word = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        return (
            word in ("c", "columns", "cls")
            or word.lstrip("_")[:1].isupper()
            or any(self.names.class_(symbol) for symbol in self.names.of(node, self.place))
        )

    def _assigned(self, name: str) -> list[ast.expr]:
        function = self.place.function
        if function is None:
            return []
        return [
            item.value
            for item in own_nodes(function.node)
            if isinstance(item, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == name for target in item.targets)
        ]

    def _materialised(self, node: ast.Call) -> Need:
        first = [self.element_of(argument) for argument in node.args]
        named = [self.of(keyword.value) for keyword in node.keywords]
        return min(max((*first, *named), default=Need.NOTHING), Need.VIEW)

    def _method(self, base: Need, word: str, given: Need) -> Need:
        if word in self.resource.values:
            return Need.NOTHING
        if word in self.resource.objects:
            return Need.PERHAPS
        if base is Need.PERHAPS:
            return Need.NOTHING if word in _PLAIN_METHODS else Need.PERHAPS
        return Need.VIEW

    def _is_of_project(self, node: ast.Call) -> bool:
        return any(self.names.function(name) is not None for name in self.names.of(node.func, self.place))

    def _is_coroutine(self, names: tuple[str, ...], given: Need) -> bool:
        """Whether a call that nobody awaits there only begins once somebody does; of others' functions nobody knows."""
        found = [function for name in names if (function := self.names.function(name)) is not None]
        if not found:
            return given >= Need.VIEW and self.resource.asynchronous
        return any(isinstance(info.node, ast.AsyncFunctionDef) and not _yields(info.node) for _, info in found)

    def _awaited(self, node: ast.expr) -> Need:
        """What comes of something that is awaited together with others."""
        if isinstance(node, ast.Call):
            return self._call(node, awaited=True)
        return self.element if self.of(node) > Need.NOTHING else Need.NOTHING

    def _project_call(self, node: ast.Call, names: tuple[str, ...]) -> Need | None:
        """What a function of the project makes of its arguments, read from its own returns."""
        if self.depth >= _DEPTH:
            return None
        for name in names:
            found = self.names.function(name)
            if found is None:
                continue
            module, info = found
            known = self._parameters(node, info.node, info.owner is not None and isinstance(node.func, ast.Attribute))
            if known is None or _yields(info.node):
                return Need.VIEW if _yields(info.node) else None
            inner = Needs(self.resource, self.table, self.names, Place(module, info), known, self.depth + 1)
            inner.learn(info.node.body)
            returned = [item.value for item in own_nodes(info.node) if isinstance(item, ast.Return) and item.value]
            return max((inner.of(value) for value in returned), default=Need.NOTHING)
        return None

    def _parameters(self, node: ast.Call, called: FunctionNode, bound: bool) -> dict[str, Need] | None:
        names = [a.arg for a in [*called.args.posonlyargs, *called.args.args]][1 if bound else 0 :]
        known = {}
        for position, argument in enumerate(node.args):
            if isinstance(argument, ast.Starred) or position >= len(names):
                return None
            known[names[position]] = self.of(argument)
        for keyword in node.keywords:
            if keyword.arg is None:
                return None
            known[keyword.arg] = self.of(keyword.value)
        return known


def _called(node: ast.Call) -> str:
    """The last word of what a call calls."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _first_call(node: ast.Call) -> ast.Call:
    """``select(...)`` in ``select(...).join(...).where(...)``."""
    while isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
        node = node.func.value
    return node


def _is_sql_text(node: ast.Call) -> bool:
    """``text("...")`` and ``func.count(...)``: rows of plain values."""
    match node.func:
        case ast.Name(id="text") | ast.Attribute(attr="text") | ast.Attribute(value=ast.Name(id="func")):
            return True
    return False


def _read(node: ast.AST) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load)}


def _yields(node: FunctionNode) -> bool:
    return any(isinstance(item, ast.Yield | ast.YieldFrom) for item in own_nodes(node))
