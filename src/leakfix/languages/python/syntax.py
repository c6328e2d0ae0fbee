"""What can be said of a piece of Python's syntax by itself."""

from __future__ import annotations

import ast

from leakfix.ir.nodes import Flow
from leakfix.languages.python.modules import FunctionNode, own_nodes

_NAMING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_CATCH_EXCEPTION = frozenset({"Exception", "BaseException"})
_CATCH_ABANDONED = frozenset({"BaseException"})


def local_names(node: FunctionNode) -> set[str]:
    """The names that belong to a function: what it is given, binds or defines."""
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


_LOOKS_UP = frozenset("get setdefault pop popitem getattr values items keys".split())


def aliases(node: FunctionNode) -> set[str]:
    """Local names that may stand for something that lives elsewhere: ``entry = self.entries[key]``."""
    arguments = node.args
    local = local_names(node) - {a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
    found: set[str] = set()
    for item in own_nodes(node):
        match item:
            case ast.Assign(targets=targets, value=value):
                shared = len(targets) > 1 and any(isinstance(t, ast.Attribute | ast.Subscript) for t in targets)
                if shared or _is_looked_up(value, local):
                    found.update(target.id for target in targets if isinstance(target, ast.Name))
            case (
                ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
                | ast.For(target=ast.Name(id=name), iter=value)
            ) if _is_looked_up(value, local):
                found.add(name)
    return found


def _is_looked_up(value: ast.expr, local: set[str]) -> bool:
    match value:
        case ast.Attribute() | ast.Subscript():
            return True
        case ast.Name(id=name):
            return name not in local
        case ast.Call(func=function):
            return name_of(function) in _LOOKS_UP
        case ast.IfExp(body=first, orelse=second):
            return _is_looked_up(first, local) or _is_looked_up(second, local)
        case ast.BoolOp(values=values):
            return any(_is_looked_up(part, local) for part in values)
        case ast.NamedExpr(value=inner):
            return _is_looked_up(inner, local)
    return False


def pairwise(targets: list[ast.expr], value: ast.expr) -> bool:
    """Whether each target of an assignment gets an expression of its own: ``a, b = x, y``."""
    return (
        isinstance(value, ast.Tuple)
        and len(targets) == len(value.elts)
        and not any(isinstance(item, ast.Starred) for item in [*targets, *value.elts])
    )


def given_in(node: ast.Call) -> list[tuple[ast.expr, str | None, int | None]]:
    """What a call is given: the expression, its keyword and its position, as far as these are known."""
    found: list[tuple[ast.expr, str | None, int | None]] = []
    for position, value in enumerate(node.args):
        found.append((value, None, None if isinstance(value, ast.Starred) else position))
    return found + [(keyword.value, keyword.arg, None) for keyword in node.keywords]


def adds_numbers(node: ast.Call) -> bool:
    """Whether ``sum`` begins with a number, as it does by itself; to a list it adds lists, with what is in them."""
    starts = [*node.args[1:], *(keyword.value for keyword in node.keywords)]
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        return False
    return all(isinstance(start, ast.Constant) or is_class_name(name_of(start)) for start in starts)


def name_of(node: ast.expr) -> str:
    """The last word of a name, or of what is called."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def is_short_display(node: ast.expr) -> bool:
    """Whether it is a short tuple or list of names, whose items can be told one by one."""
    return (
        isinstance(node, ast.Tuple | ast.List)
        and 0 < len(node.elts) <= 6
        and all(isinstance(element, ast.Name | ast.Attribute) for element in node.elts)
    )


def is_class_name(word: str) -> bool:
    """Whether a word is written as classes are (PEP 8)."""
    return word.lstrip("_")[:1].isupper() and not word.isupper()


def is_special(name: str) -> bool:
    """Whether a name is one that Python itself calls (``__enter__``), not a private one (``__connect``)."""
    return name.startswith("__") and name.endswith("__")


def written(function: ast.expr) -> str:
    """The last two words of a dotted name; "" where there are no two."""
    if not isinstance(function, ast.Attribute):
        return ""
    owner = function.value
    word = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return f"{word}.{function.attr}" if word else ""


def is_display(node: ast.expr) -> bool:
    """Something that cannot fail to iterate or to be indexed in practice."""
    if isinstance(node, ast.Call):
        return name_of(node) in ("range", "enumerate") and all(isinstance(a, ast.Constant) for a in node.args)
    return isinstance(node, ast.Tuple | ast.List | ast.Constant)


def none_test(node: ast.Compare) -> tuple[ast.expr, bool] | None:
    """(tested, is) of ``x is None`` and ``x is not None``, also written with ``==``."""
    match node:
        case ast.Compare(left=left, ops=[ast.Is() | ast.Eq()], comparators=[ast.Constant(value=None)]):
            return left, True
        case ast.Compare(left=left, ops=[ast.IsNot() | ast.NotEq()], comparators=[ast.Constant(value=None)]):
            return left, False
    return None


def test_parts(test: ast.expr) -> list[ast.expr]:
    """What a test is put together of by ``not``, ``and`` and ``or``."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return test_parts(operand)
        case ast.BoolOp(values=values):
            return [part for value in values for part in test_parts(value)]
    return [test]


def is_pure(node: ast.expr) -> bool:
    """Whether evaluating it again gives the same as long as no name in it changes."""
    return all(
        isinstance(
            part,
            ast.Name | ast.Attribute | ast.Constant | ast.Compare | ast.cmpop | ast.expr_context | ast.Tuple,
        )
        for part in ast.walk(node)
    )


def catching(handlers: list[ast.ExceptHandler], flow: Flow) -> tuple[list[int], bool]:
    """Which handlers may take what raised, and whether nothing gets past them."""
    taken: list[int] = []
    for position, handler in enumerate(handlers):
        caught = caught_names(handler.type)
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


def caught_names(node: ast.expr | None) -> set[str]:
    """The last words of what a handler catches."""
    if isinstance(node, ast.Tuple):
        return {name_of(item) for item in node.elts}
    return {name_of(node)} if node is not None else set()


def captured(pattern: ast.pattern) -> list[str]:
    """The names that a pattern binds."""
    return [n.name for n in ast.walk(pattern) if isinstance(n, ast.MatchAs | ast.MatchStar) and n.name]


def is_irrefutable(pattern: ast.pattern) -> bool:
    """Whether a pattern matches everything."""
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None
