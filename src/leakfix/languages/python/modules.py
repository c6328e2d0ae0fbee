"""What one Python file defines: its globals, imports, classes and functions, from one walk of its tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from weakref import ref

from leakfix.project.imports import Imports
from leakfix.source import SourceFile

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_OWN = "_leakfix_own_nodes"
_OLDER_PYTHON = re.compile(
    rb"^[ \t]*(?:import|from)[ \t]+(?:urllib2|ConfigParser|StringIO|cPickle|httplib|UserDict|cookielib|urlparse|"
    rb"HTMLParser|__builtin__)\b|(?<![\w.])(?:unicode|xrange|raw_input|unichr)\(|\breload\(sys\)|\.iteritems\(\)",
    re.MULTILINE,
)
_PATCH = re.compile(r"\bpatch\b")
_WORD = re.compile(r"\w+")
_BEHIND_DOT = re.compile(rb"\.\s*([\w\x80-\xff]+)")
_CALL_OF_CALL = re.compile(rb"\)\s+\(")
_WITHOUT_CHILDREN = frozenset(
    {"ctx", "op", "ops", "id", "attr", "arg", "name", "asname", "module", "level", "n", "s", "kind", "type_comment"}
)
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}
Scoped = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_LEAVES = frozenset({ast.Name, ast.Constant, ast.alias, ast.Pass, ast.Break, ast.Continue, ast.Global, ast.Nonlocal})
_ENDS = _LEAVES.union(Scoped)


@dataclass(frozen=True, slots=True)
class Import:
    """A name bound by an import: a module, or (``attribute``) something in it; ``level`` counts leading dots."""

    module: str
    attribute: str | None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """A name bound to (``how``: "is") an expression, what entering it gives ("entered"), what iterating it gives
    ("each"), or one part of the tuple it returns (its position)."""

    expression: ast.expr
    how: str = "is"


@dataclass(frozen=True, slots=True)
class Annotated:
    """A name declared to hold an instance of a type."""

    annotation: ast.expr


class FunctionInfo:
    """A function or method, with the class and the function it stands in.

    These two are referred to weakly, so that a module that is dropped is freed at once, without the collector.
    """

    __slots__ = ("__weakref__", "_owner", "_parent", "locals", "node", "qualname")

    def __init__(self, node: FunctionNode, qualname: str, owner: ClassInfo | None, parent: FunctionInfo | None) -> None:
        self.node = node
        self.qualname = qualname
        self.locals: dict[str, list[Binding]] | None = None
        self._owner = ref(owner) if owner is not None else None
        self._parent = ref(parent) if parent is not None else None

    @property
    def owner(self) -> ClassInfo | None:
        """The class of a method."""
        return self._owner() if self._owner is not None else None

    @property
    def parent(self) -> FunctionInfo | None:
        """The function around a nested one."""
        return self._parent() if self._parent is not None else None


@dataclass(slots=True, weakref_slot=True)
class ClassInfo:
    """A class with its bases, methods and the expressions its attributes are set to."""

    node: ast.ClassDef
    qualname: str
    methods: dict[str, FunctionInfo] = field(default_factory=dict)
    attributes: dict[str, list[tuple[Binding, FunctionInfo | None]]] = field(default_factory=dict)


Binding = Import | Value | Annotated | FunctionInfo | ClassInfo


@dataclass(slots=True)
class Module:
    """One parsed file."""

    source: SourceFile
    tree: ast.Module
    whole: bool = True
    """False where only parts of the file could be parsed."""
    names: dict[str, list[Binding]] = field(default_factory=dict)
    set_later: dict[str, list[tuple[Binding, FunctionInfo]]] = field(default_factory=dict)
    """What functions set a name of the module to, which they declare ``global``."""
    stars: list[Import] = field(default_factory=list)
    functions: dict[str, FunctionInfo] = field(default_factory=dict)
    classes: dict[str, ClassInfo] = field(default_factory=dict)
    memos: dict[int, dict[object, tuple[str, ...]]] = field(default_factory=dict)
    """What expressions and names of the module were found to mean, by who asked."""

    _words: dict[ast.AST, frozenset[str]] = field(default_factory=dict)
    _all_names: frozenset[str] | None = None
    _given: tuple[frozenset[bytes], frozenset[bytes]] | None = None
    _patched: dict[ast.AST, frozenset[str]] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The file's path as the run names it."""
        return self.source.path

    @property
    def is_older_python(self) -> bool:
        """Whether the file was written for Python 2, although it parses."""
        return _OLDER_PYTHON.search(self.source.data) is not None

    def words_named(self, expression: ast.expr) -> frozenset[str]:
        """Names in an expression or annotation of the module, those in strings included."""
        known = self._words.get(expression)
        if known is None:
            known = self._words[expression] = named_words(expression)
        return known

    def words_in(self, function: FunctionInfo) -> frozenset[str]:
        """Every word in the text of a function, and ``()`` where it may call what a call returned."""
        known = self._words.get(function.node)
        if known is None:
            node, source = function.node, self.source
            start = source.offset(node.lineno, node.col_offset)
            text = source.data[start : source.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)]
            words = _WORD.findall(text.decode())
            if b")(" in text or _CALL_OF_CALL.search(text):
                words.append("()")
            known = self._words[function.node] = frozenset(words)
        return known

    @property
    def words_given(self) -> tuple[frozenset[bytes], frozenset[bytes]]:
        """What the file imports by name, ``*`` included, and all words that stand behind a dot in its text."""
        if self._given is None:
            data = self.source.data
            self._given = Imports.of(data).names, frozenset(_BEHIND_DOT.findall(data))
        return self._given

    def patched_in(self, function: FunctionInfo) -> frozenset[str]:
        """The last words of what a function, or a decorator of it, replaces by ``patch("...")``: a test does."""
        known = self._patched.get(function.node)
        if known is None:
            calls = [node for node in ast.walk(function.node) if isinstance(node, ast.Call)]
            texts = [
                item.value
                for call in calls
                if _PATCH.search(ast.unparse(call.func))
                for item in ast.walk(call)
                if isinstance(item, ast.Constant) and isinstance(item.value, str) and item.value
            ]
            known = self._patched[function.node] = frozenset(text.rpartition(".")[2] for text in texts)
        return known

    @property
    def all_names(self) -> frozenset[str]:
        """Every name that is bound or used anywhere in the file."""
        if self._all_names is None:
            self._all_names = frozenset(names_in(self.tree))
        return self._all_names


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every name that a tree reads, binds or declares, nested functions included."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ExceptHandler(name=str() as name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name):
                yield name
            case ast.MatchMapping(rest=str() as name):
                yield name
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from names
            case ast.alias(name=name, asname=asname):
                yield asname or name.partition(".")[0]


def parameter_parts(node: FunctionNode, name: str) -> tuple[ast.expr | None, ast.expr | None]:
    """The annotation and the default of a parameter."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip(reversed([a.arg for a in positional]), reversed(arguments.defaults), strict=False))
    defaults |= {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d}
    for argument in [*positional, *arguments.kwonlyargs]:
        if argument.arg == name:
            return argument.annotation, defaults.get(name)
    return None, None


def named_words(node: ast.AST) -> frozenset[str]:
    """Names in an expression or annotation, those in strings included."""
    found: set[str] = set()
    for item in ast.walk(node):
        if isinstance(item, ast.Name):
            found.add(item.id)
        elif isinstance(item, ast.Attribute):
            found.add(item.attr)
        elif isinstance(item, ast.Constant) and isinstance(item.value, str):
            found.update(_WORD.findall(item.value))
    return frozenset(found)


def read_module(source: SourceFile, tree: ast.Module, whole: bool = True) -> Module:
    """Index a parsed file."""
    module = Module(source, tree, whole)
    _Reader(module).block(tree.body, None, None, "")
    return module


def own_nodes(root: ast.AST) -> list[ast.AST]:
    """All nodes below ``root`` without those inside nested functions, lambdas and classes (these themselves included).

    In the order of the source. Kept on the functions, which are asked again and again.
    """
    kept: list[ast.AST] | None = getattr(root, _OWN, None)
    if kept is None:
        kept = _own_nodes(root)
        if isinstance(root, ast.FunctionDef | ast.AsyncFunctionDef):
            setattr(root, _OWN, kept)
    return kept


def parents_of(root: ast.AST) -> dict[ast.AST, ast.AST]:
    """Every node below ``root`` with the one it stands in, in the order of the source; contexts left out."""
    found: dict[ast.AST, ast.AST] = {}
    stack = [(child, root) for child in _children(root)]
    while stack:
        node, parent = stack.pop()
        found[node] = parent
        if type(node) not in _LEAVES:
            stack += [(child, node) for child in _children(node)]
    return found


def _own_nodes(root: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    stack = _children(root)
    while stack:
        node = stack.pop()
        found.append(node)
        if type(node) not in _ENDS:
            stack += _children(node)
    return found


def _children(node: ast.AST) -> list[ast.AST]:
    """Child nodes, the last first; names' contexts and operators are left out."""
    kind = type(node)
    names = _FIELDS.get(kind)
    if names is None:
        names = _FIELDS[kind] = tuple(name for name in reversed(kind._fields) if name not in _WITHOUT_CHILDREN)
    children: list[ast.AST] = []
    for name in names:
        value = getattr(node, name, None)
        if value is None:
            continue
        if type(value) is list:
            children += [item for item in reversed(value) if isinstance(item, ast.AST)]
        elif isinstance(value, ast.AST):
            children.append(value)
    return children


def local_bindings(node: FunctionNode) -> dict[str, list[Binding]]:
    """What the function's own names are bound to, parameters excluded."""
    found: dict[str, list[Binding]] = {}
    outer = {name for item in own_nodes(node) if isinstance(item, ast.Global | ast.Nonlocal) for name in item.names}
    for item in own_nodes(node):
        for name, binding in _bindings(item):
            if name not in outer:
                found.setdefault(name, []).append(binding)
    return found


def _bindings(item: ast.AST) -> Iterator[tuple[str, Binding]]:
    match item:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _target(target, value)
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=given):
            yield name, Annotated(annotation)
            if given is not None:
                yield name, Value(given)
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, Value(value)
        case ast.For(target=ast.Name(id=name), iter=value) | ast.AsyncFor(target=ast.Name(id=name), iter=value):
            yield name, Value(value, "each")
        case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
            yield name, Value(value, "entered")
        case ast.Import(names=aliases):
            for alias in aliases:
                if alias.asname:
                    yield alias.asname, Import(alias.name, None)
                else:
                    yield alias.name.partition(".")[0], Import(alias.name.partition(".")[0], None)
        case ast.ImportFrom(module=source, names=aliases, level=level):
            for alias in aliases:
                if alias.name != "*":
                    yield alias.asname or alias.name, Import(source or "", alias.name, level)


def _target(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, Binding]]:
    match target, value:
        case ast.Name(id=name), _:
            yield name, Value(value)
        case ast.Tuple(elts=targets) | ast.List(elts=targets), ast.Tuple(elts=values) | ast.List(elts=values):
            if len(targets) == len(values):
                for one, its in zip(targets, values, strict=True):
                    yield from _target(one, its)
        case ast.Tuple(elts=targets), ast.Call():
            for position, one in enumerate(targets):
                if isinstance(one, ast.Name):
                    yield one.id, Value(value, str(position))


class _Reader:
    """One walk that files every statement under the module, class or function it belongs to."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def block(self, body: list[ast.stmt], owner: ClassInfo | None, parent: FunctionInfo | None, prefix: str) -> None:
        for statement in body:
            self.statement(statement, owner, parent, prefix)

    def statement(self, item: ast.stmt, owner: ClassInfo | None, parent: FunctionInfo | None, prefix: str) -> None:
        match item:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.function(item, owner, parent, prefix)
            case ast.ClassDef():
                self.class_(item, owner, parent, prefix)
            case ast.ImportFrom(module=source, names=[ast.alias(name="*")], level=level):
                if parent is None:
                    self.module.stars.append(Import(source or "", None, level))
            case _:
                self.plain(item, owner, parent)
                for name in ("body", "handlers", "cases", "orelse", "finalbody", "items"):
                    for part in getattr(item, name, ()):
                        if isinstance(part, ast.stmt):
                            self.statement(part, owner, parent, prefix)
                        elif isinstance(part, ast.ExceptHandler | ast.match_case):
                            self.block(part.body, owner, parent, prefix)
                        elif isinstance(part, ast.withitem) and parent is None and owner is None:
                            self.bind(None, _bindings(part))

    def plain(self, item: ast.stmt, owner: ClassInfo | None, parent: FunctionInfo | None) -> None:
        if parent is None:
            self.bind(owner, _bindings(item))
        elif isinstance(item, ast.Global):
            for name, binding in (found for node in own_nodes(parent.node) for found in _bindings(node)):
                if name in item.names:
                    self.module.set_later.setdefault(name, []).append((binding, parent))
        if parent is not None and parent.owner is not None:
            self.attributes(item, parent)

    def bind(self, owner: ClassInfo | None, bindings: Iterator[tuple[str, Binding]]) -> None:
        for name, binding in bindings:
            if owner is None:
                self.module.names.setdefault(name, []).append(binding)
            else:
                owner.attributes.setdefault(name, []).append((binding, None))

    def attributes(self, item: ast.stmt, method: FunctionInfo) -> None:
        """``self.x = ...`` in a method is an attribute of its class."""
        if not isinstance(item, ast.Assign | ast.AnnAssign) or method.owner is None:
            return
        arguments = [*method.node.args.posonlyargs, *method.node.args.args]
        if not arguments:
            return
        targets = item.targets if isinstance(item, ast.Assign) else [item.target]
        for target in targets:
            match target:
                case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == arguments[0].arg:
                    found = method.owner.attributes.setdefault(attribute, [])
                    if isinstance(item, ast.AnnAssign):
                        found.append((Annotated(item.annotation), method))
                    if item.value is not None:
                        found.append((Value(item.value), method))

    def function(self, node: FunctionNode, owner: ClassInfo | None, parent: FunctionInfo | None, prefix: str) -> None:
        info = FunctionInfo(node, prefix + node.name, owner, parent)
        earlier = self.module.functions.get(info.qualname)
        if earlier is not None:  # defined again; both are code
            earlier.qualname += f"@{earlier.node.lineno}"
            self.module.functions[earlier.qualname] = earlier
        self.module.functions[info.qualname] = info
        if owner is not None and parent is None:
            owner.methods.setdefault(node.name, info)
        elif parent is None:
            self.module.names.setdefault(node.name, []).append(info)
        else:
            if parent.locals is None:
                parent.locals = local_bindings(parent.node)
            parent.locals.setdefault(node.name, []).append(info)
        self.block(node.body, None, info, info.qualname + ".")

    def class_(self, node: ast.ClassDef, owner: ClassInfo | None, parent: FunctionInfo | None, prefix: str) -> None:
        info = ClassInfo(node, prefix + node.name)
        self.module.classes[info.qualname] = info
        if owner is not None:
            owner.attributes.setdefault(node.name, []).append((info, None))
        elif parent is None:
            self.module.names.setdefault(node.name, []).append(info)
        else:
            if parent.locals is None:
                parent.locals = local_bindings(parent.node)
            parent.locals.setdefault(node.name, []).append(info)
        self.block(node.body, info, None, info.qualname + ".")
