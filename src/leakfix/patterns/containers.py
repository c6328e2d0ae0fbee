"""Dicts, lists and sets that live as long as the program: what fills them, and whether anything ever empties them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from leakfix.languages.python.modules import ClassInfo, FunctionInfo, FunctionNode, local_bindings, own_nodes
from leakfix.patterns.caches import parameters
from leakfix.patterns.domain import is_open_parameter, says_closed, says_open, strength, words_of
from leakfix.patterns.view import View

_EMPTY = re.compile(r"(?:\w+\.)?(?:dict|defaultdict|OrderedDict|list|set)")
_TIME = frozenset(
    "time expires expired expiry expire expiration ttl age stamp timestamp now date fresh stale until cooldown "
    "monotonic elapsed lifetime timeout".split()
)
_EMPTYING = frozenset({"clear", "popitem", "popleft"})
_SHRINKING = frozenset({"pop", "discard", "remove"})
_MOST_VALUES = 12
_FILLING = frozenset({"append", "add", "setdefault", "update", "extend", "insert", "appendleft"})


@dataclass(frozen=True)
class Fill:
    """A statement that adds an entry: in which function, under which key (None for a list's).

    told: the word of the key that tells of an open domain, where another function adds the entry.
    """

    statement: ast.stmt
    function: FunctionInfo
    key: ast.expr | None
    value: ast.expr | None
    told: str = ""


@dataclass
class Container:
    """A container that starts empty and outlives the calls that fill it.

    kind: "module", "class", "instance", "default", or "decorator" for one that lives with what a decorator returns.
    node: the empty value it starts with.
    """

    name: str
    kind: str
    node: ast.expr
    owner: ClassInfo | None
    holder: FunctionInfo | None
    references: list[tuple[ast.expr, FunctionInfo | None]] = field(default_factory=list)

    @cached_property
    def is_mapping(self) -> bool:
        """Whether it is a dict of some kind."""
        made = _made_for_each(self.node) or (self.node.func if isinstance(self.node, ast.Call) else None)
        return isinstance(self.node, ast.Dict) or _last_word(made or self.node) in (
            "dict",
            "defaultdict",
            "OrderedDict",
        )


def containers(view: View) -> list[Container]:
    """The long-lived containers of a file, with every expression of the file that refers to them."""
    found = [*_of_module(view), *_of_classes(view), *_of_defaults(view), *_of_decorators(view)]
    named: dict[str, list[Container]] = {}
    for item in found:
        named.setdefault(item.name, []).append(item)
    naming = [function for function in view.functions if view.may_name(function, named)]
    for function in [None, *naming] if named else ():
        for node in _with_lambdas(function.node if function is not None else view.tree):
            match node:
                case ast.Name(id=name) if name in named:
                    _refer(named[name], node, function, plain=True)
                case ast.Attribute(value=ast.Name(id=base), attr=name) if name in named:
                    _refer(named[name], node, function, plain=False, base=base)
    return found


def _with_lambdas(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, and of its lambdas: what those do to a container is done by it."""
    for node in own_nodes(root):
        yield node
        if isinstance(node, ast.Lambda):
            yield from ast.walk(node.body)


def _refer(items: list[Container], node: ast.expr, function: FunctionInfo | None, plain: bool, base: str = "") -> None:
    for item in items:
        if _means_plainly(item, function) if plain else _means_as_attribute(item, function, base):
            item.references.append((node, function))


def _means_plainly(item: Container, function: FunctionInfo | None) -> bool:
    match item.kind:
        case "module":
            return not _is_shadowed(item.name, function)
        case "default":
            return function is item.holder
        case "class":
            return function is None
        case "decorator":
            return _is_bound_in(item, function)
    return False


def _is_bound_in(item: Container, function: FunctionInfo | None) -> bool:
    """Whether a function, or one it stands in, is the one that makes a container, with no other of its name between."""
    while function is not None and function is not item.holder:
        if item.name in _locals_of(function):
            return False
        function = function.parent
    return function is not None


def _locals_of(function: FunctionInfo) -> set[str]:
    if function.locals is None:
        function.locals = local_bindings(function.node)
    return {*function.locals, *(argument.arg for argument in parameters(function))}


def _means_as_attribute(item: Container, function: FunctionInfo | None, base: str) -> bool:
    if item.owner is None:
        return False
    if base in ("self", "cls"):
        owner = _owner_of(function)
        derived = [ast.unparse(node) for node in owner.node.bases] if owner is not None else []
        return owner is item.owner or item.owner.node.name in derived
    return base == item.owner.node.name


def _owner_of(function: FunctionInfo | None) -> ClassInfo | None:
    while function is not None and function.owner is None:
        function = function.parent
    return function.owner if function is not None else None


def _is_shadowed(name: str, function: FunctionInfo | None) -> bool:
    while function is not None:
        if name in _locals_of(function):
            return True
        function = function.parent
    return False


def _of_module(view: View) -> Iterator[Container]:
    for statement in view.tree.body:
        for name, value in _assigned(statement):
            if isinstance(name, ast.Name) and _is_empty(value):
                yield Container(name.id, "module", value, None, None)


def _of_classes(view: View) -> Iterator[Container]:
    for info in view.module.classes.values():
        for statement in info.node.body:
            for name, value in _assigned(statement):
                if isinstance(name, ast.Name) and _is_empty(value):
                    yield Container(name.id, "class", value, info, None)
                elif isinstance(name, ast.Name) and _made_for_each(value) is not None:
                    yield Container(name.id, "instance", value, info, None)
        start = info.methods.get("__init__")
        for node in own_nodes(start.node) if start is not None else ():
            if isinstance(node, ast.Assign | ast.AnnAssign):
                for target, value in _assigned(node):
                    if isinstance(target, ast.Attribute) and _is_self(target.value) and _is_empty(value):
                        yield Container(target.attr, "instance", value, info, start)


def _of_defaults(view: View) -> Iterator[Container]:
    for function in view.functions:
        given = function.node.args
        positional = [*given.posonlyargs, *given.args]
        pairs = [*zip(reversed(positional), reversed(given.defaults), strict=False)]
        pairs += [(one, default) for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default]
        for argument, default in pairs:
            if _is_empty(default):
                yield Container(argument.arg, "default", default, None, function)


def _of_decorators(view: View) -> Iterator[Container]:
    """Variables of a function that returns a function of its own, which goes on using them."""
    for function in view.functions:
        inner = {item.name for item in function.node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
        last = function.node.body[-1]
        if (
            inner
            and isinstance(last, ast.Return)
            and any(isinstance(n, ast.Name) and n.id in inner for n in ast.walk(last))
        ):
            for statement in function.node.body:
                for name, value in _assigned(statement):
                    if isinstance(name, ast.Name) and _is_empty(value):
                        yield Container(name.id, "decorator", value, None, function)


def _assigned(statement: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    match statement:
        case ast.Assign(targets=[target], value=value):
            yield target, value
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield target, value


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_empty(value: ast.expr) -> bool:
    match value:
        case ast.Dict(keys=[]) | ast.List(elts=[]):
            return True
        case ast.Call(func=function, args=[], keywords=[]):
            return _EMPTY.fullmatch(ast.unparse(function)) is not None
        case ast.Call(func=function, args=[ast.Name() | ast.Lambda()], keywords=[]):
            return _last_word(function) == "defaultdict"
    return False


def _made_for_each(value: ast.expr) -> ast.expr | None:
    """What a dataclass makes for each of its objects: ``field(default_factory=dict)``."""
    match value:
        case ast.Call(func=function, keywords=words) if _last_word(function) == "field":
            made = next((word.value for word in words if word.arg == "default_factory"), None)
            return made if made is not None and _EMPTY.fullmatch(ast.unparse(made)) else None
    return None


def _last_word(node: ast.expr) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


# -- what fills it ----------------------------------------------------------------------------------------------------


def fills(view: View, container: Container) -> Iterator[Fill]:
    """The statements in functions that add an entry to a container."""
    for node, function in container.references:
        if function is None:
            continue
        parent = view.parents[node]
        match parent, view.parents.get(parent):
            case ast.Subscript(value=value, slice=key, ctx=ast.Store()), above if value is node:
                yield Fill(view.statement_of(node), function, key, getattr(above, "value", None))
            case ast.Subscript(value=value, slice=key), ast.Attribute(attr=method) if value is node and (
                method in _FILLING and container.is_mapping and not isinstance(container.node, ast.Dict)
            ):
                yield Fill(view.statement_of(node), function, key, None)
            case ast.Attribute(value=value, attr="setdefault"), ast.Call(args=[key, *rest]) if value is node:
                yield Fill(view.statement_of(node), function, key, rest[0] if rest else None)
            case ast.Attribute(value=value, attr="add"), ast.Call(args=[key]) if value is node:
                yield Fill(view.statement_of(node), function, key, None)
            case ast.Attribute(value=value, attr="append"), ast.Call(args=[item]) if value is node:
                yield Fill(view.statement_of(node), function, None, item)
            case ast.Call(), _:
                yield from _filled_by_callee(view, container, node, function)


def _filled_by_callee(view: View, container: Container, node: ast.expr, function: FunctionInfo) -> Iterator[Fill]:
    """``remember(self._cache, ...)``: a function of the project that adds to its parameter."""
    call = view.parents[node]
    if not isinstance(call, ast.Call) or node not in call.args:
        return
    for name in view.of(call.func, function):
        found = view.names.function(name)
        if found is None:
            continue
        given = [a.arg for a in parameters(found[1])]
        position = call.args.index(node) + (1 if found[1].owner is not None and given[:1] == ["self"] else 0)
        for item in own_nodes(found[1].node) if position < len(given) else ():
            match item:
                case ast.Subscript(value=ast.Name(id=base), slice=key, ctx=ast.Store()) if base == given[position]:
                    told = open_word(replace(view, module=found[0]), key, found[1])
                    yield Fill(view.statement_of(node), function, None, None, told)
                    return


def made_of(fill: Fill, pattern: re.Pattern[str]) -> bool:
    """Whether what is kept is made by a call of some kind, there or where its variable is bound."""
    values = [fill.value] if fill.value is not None else []
    for value in values:
        if pattern.search(ast.unparse(value)):
            return True
        names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
        if len(values) < _MOST_VALUES:
            values += [bound for bound in bound_to(fill, names) if bound not in values]
    return False


def bound_to(fill: Fill, names: set[str]) -> Iterator[ast.expr]:
    for statement in own_nodes(fill.function.node):
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id in names for target in statement.targets
        ):
            yield statement.value


# -- what empties it --------------------------------------------------------------------------------------------------


def is_emptied_elsewhere(view: View, container: Container) -> bool:
    """Whether another file takes entries away, counts them against a limit, or puts a fresh container in its place."""
    return any(_emptied_in(text, container) for text in view.texts(container.name))


def is_emptied_here(view: View, container: Container) -> bool:
    """Whether its own file does that."""
    return any(_empties(view, container, node, function) for node, function in container.references)


def _emptied_in(text: bytes, container: Container) -> bool:
    """Whether another file empties a container; that of an object, or a private one, through its owner only."""
    is_plain = container.kind in ("module", "class") and not container.name.startswith("_")
    owner = rb"" if is_plain else rb"(?!(?:self|cls)\.)\w+\."
    name = rb"\b" + owner + re.escape(container.name.encode()) + rb"\b"
    patterns = (
        name + rb"\.(?:clear|pop|popitem|discard|remove)\b",
        rb"\bdel\s+(?:\w+\.)*" + name,
        rb"len\((?:\w+\.)*" + name + rb"\)\s*[<>=!]",
        name + rb"\s*=[^=]",
    )
    return any(re.search(pattern, text) for pattern in patterns)


def _empties(view: View, container: Container, node: ast.expr, function: FunctionInfo | None) -> bool:
    parent = view.parents[node]
    above = view.parents.get(parent)
    match parent, above:
        case ast.Attribute(attr=method), _ if method in _EMPTYING:
            return True
        case ast.Assign(targets=[ast.Name(id=alias)], value=value), _ if value is node and function is not None:
            return _shrinks(function.node, alias)
        case ast.Call(args=arguments), _ if node in arguments and _is_shrunk_by(view, parent, node, function):
            return True
        case ast.Attribute(attr=method), ast.Call() if method in _SHRINKING:
            return not _only_when_asked(view, node, function)
        case ast.Subscript(ctx=ast.Del()), _:
            return not _only_when_asked(view, node, function)
        case ast.Call(func=ast.Name(id="len")), ast.Compare():
            return True
        case (ast.Assign() | ast.AugAssign()) as statement, _ if node is not container.node:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            return target is node and function is not None and function is not container.holder
        case ((ast.Tuple() | ast.List()), ast.For()):
            return True  # gone through together with others, as a sweep does
        case ((ast.Tuple() | ast.List()), ast.Assign()):
            return isinstance(getattr(node, "ctx", None), ast.Store)
        case ast.Attribute(), _ if isinstance(getattr(node, "ctx", None), ast.Store):
            return True
        case ((ast.Return() | ast.Yield()), _):
            return container.kind == "instance" and not container.is_mapping
    return isinstance(getattr(node, "ctx", None), ast.Del)


def _shrinks(function: FunctionNode, name: str) -> bool:
    """Whether a function takes entries out of what one of its variables holds."""
    for node in ast.walk(function):
        match node:
            case ast.Attribute(value=ast.Name(id=base), attr=method) if base == name:
                if method in _EMPTYING | _SHRINKING:
                    return True
            case ast.Subscript(value=ast.Name(id=base), ctx=ast.Del()) if base == name:
                return True
    return False


def _is_shrunk_by(view: View, call: ast.AST, node: ast.expr, function: FunctionInfo | None) -> bool:
    """``_trim(cache)``: a function of the project that takes entries out of its parameter."""
    for name in view.of(call.func, function) if isinstance(call, ast.Call) else ():
        found = view.names.function(name)
        if found is not None and isinstance(call, ast.Call):
            given = [argument.arg for argument in parameters(found[1])]
            at = call.args.index(node) + (1 if found[1].owner is not None and given[:1] == ["self"] else 0)
            if at < len(given) and _shrinks(found[1].node, given[at]):
                return True
    return False


def forgetting(view: View, container: Container) -> list[FunctionInfo]:
    """The functions that do without an entry which is too old when it is asked for: who asks must do so, too."""
    found = []
    for node, function in container.references:
        parent = view.parents[node]
        goes = isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Del)
        if goes or (isinstance(parent, ast.Attribute) and parent.attr in _SHRINKING):
            if function is not None and _only_when_asked(view, node, function):
                found.append(function)
        elif isinstance(parent, ast.Attribute | ast.Subscript) and _is_asked(parent):
            if function is not None and _turns_away(function):
                found.append(function)
    return found


def _is_asked(parent: ast.Attribute | ast.Subscript) -> bool:
    return isinstance(parent.ctx, ast.Load) and (isinstance(parent, ast.Subscript) or parent.attr == "get")


def _turns_away(function: FunctionInfo) -> bool:
    """Whether a function answers with nothing, or with what it was given for that, where a test of the time says so."""
    given = {argument.arg for argument in parameters(function)}
    for node in own_nodes(function.node):
        if isinstance(node, ast.If) and not _TIME.isdisjoint(words_of(ast.unparse(node.test))):
            match node.body[-1]:
                case ast.Return(value=None | ast.Constant(value=None)):
                    return True
                case ast.Return(value=ast.Name(id=name)) if name in given:
                    return True
    return False


def _only_when_asked(view: View, node: ast.AST, function: FunctionInfo | None) -> bool:
    """Whether an entry goes only because its own key was asked for again and it was too old."""
    if function is None or next(view.loops_round(node), None) is not None:
        return False
    child, parent = node, view.parents.get(node)
    while parent is not None and parent is not function.node:
        if isinstance(parent, ast.If) and child in parent.body + parent.orelse:
            if not _TIME.isdisjoint(words_of(ast.unparse(parent.test))):
                return True
        child, parent = parent, view.parents.get(parent)
    return False


# -- keys -------------------------------------------------------------------------------------------------------------


def open_key(view: View, fill: Fill, memo: bool) -> str:
    """The word of a fill's key that tells most surely of an open domain; "" where none does.

    memo: whether what is kept is computed from the key, so that a parameter tells whatever it is called.
    """
    if fill.key is None:
        return fill.told
    return open_word(view, fill.key, fill.function, memo)


def open_word(view: View, key: ast.expr, function: FunctionInfo | None, memo: bool = False) -> str:
    """The word of an expression that tells most surely of an open domain; "" where none does."""
    if function is None:
        return ""
    told = [
        name
        for name, any_value in _sources(view, key, function, 0)
        if (any_value and memo) or says_open(name, ("key", "title") if any_value else ())
    ]
    return max(told, key=strength, default="")


def _sources(view: View, node: ast.expr, function: FunctionInfo, depth: int) -> Iterator[tuple[str, bool]]:
    """The names a key is made of, followed to parameters; with whether they are ones that can take any value."""
    match node:
        case ast.Name(id=name):
            yield from _source_names(view, name, function, depth)
        case ast.Attribute(value=value, attr=attribute):
            if isinstance(value, ast.Name) and value.id in ("self", "cls"):
                return
            if attribute not in ("__name__", "__class__", "__qualname__", "__module__") and not says_closed(attribute):
                yield _with_owner(value, attribute), False
        case ast.BinOp(op=ast.Mod(), right=ast.Constant(value=int())):
            return
        case ast.Call(func=function_node, args=arguments, keywords=words):
            if _last_word(function_node) in ("type", "id", "len", "bool"):
                return
            if isinstance(function_node, ast.Attribute):
                yield from _sources(view, function_node.value, function, depth)
            for argument in [*arguments, *(word.value for word in words)]:
                yield from _sources(view, argument, function, depth)
        case ast.Subscript(value=value, slice=ast.Constant(value=str() as name)):
            yield _with_owner(value, name), False
        case ast.Constant():
            return
        case _:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    yield from _sources(view, child, function, depth)


def _with_owner(owner: ast.expr, name: str) -> str:
    """``author_id`` for ``message.author.id``: whose a number is says what it numbers."""
    word = _last_word(owner)
    return f"{word}_{name}" if name in ("id", "pk", "uuid") and word not in ("", "self", "cls") else name


def _source_names(view: View, name: str, function: FunctionInfo, depth: int) -> Iterator[tuple[str, bool]]:
    argument = next((item for item in parameters(function) if item.arg == name), None)
    assigned = [
        value
        for node in own_nodes(function.node)
        for target, value in _any_assigned(node)
        if isinstance(target, ast.Name) and target.id == name
    ]
    if argument is not None and not assigned:
        if is_open_parameter(view, function, argument):
            yield name, True
        return
    if not assigned and function.parent is not None:
        yield from _source_names(view, name, function.parent, depth)
        return
    # what it is put together of tells, not what that is called
    composed = assigned and all(isinstance(value, ast.Tuple | ast.JoinedStr) for value in assigned)
    reduced = all(_is_reduced(value) for value in assigned)
    if not composed and not reduced and name not in ("self", "cls") and not says_closed(name):
        yield name, False
    for value in assigned if depth < 3 else ():
        yield from _sources(view, value, function, depth + 1)


def _is_reduced(value: ast.expr) -> bool:
    """Whether a value is brought down to few ones: a remainder of a constant."""
    return isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mod) and isinstance(value.right, ast.Constant)


def _any_assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Assign(targets=[target], value=value) | ast.NamedExpr(target=target, value=value):
            yield target, value
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield target, value


def recomputes(view: View, container: Container, fill: Fill) -> bool:
    """Whether the function that fills it asks for the entry first and makes it where it is missing."""
    for node, function in container.references:
        if function is not fill.function:
            continue
        parent = view.parents[node]
        match parent, view.parents.get(parent):
            case ast.Compare(ops=[ast.In() | ast.NotIn()]), _:
                return True
            case ast.Attribute(attr="get" | "setdefault"), ast.Call():
                return True
            case ast.Subscript(ctx=ast.Load()), _ if _is_tried(view, parent):
                return True
    return False


def _is_tried(view: View, node: ast.AST) -> bool:
    statement: ast.AST = view.statement_of(node)
    parent = view.parents.get(statement)
    return isinstance(parent, ast.Try) and any(
        handler.type is not None and "KeyError" in ast.unparse(handler.type) for handler in parent.handlers
    )
