"""Where a whole queryset feeds a loop and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.patterns.batches import is_migration
from leakfix_codemods.django._collected import collects_for_one_write, collects_rows, keeps_rows
from leakfix_codemods.django._custom import spelled_out
from leakfix_codemods.django._loops import bound_names
from leakfix_codemods.django._querysets import (
    REFINING,
    asked_of,
    is_large,
    is_refined,
    is_whole,
    links,
    manager_of,
    refined,
    sets_one_of,
    uses_in_order,
)

_SHOWS = frozenset({"tqdm.tqdm", "tqdm.auto.tqdm", "tqdm.std.tqdm", "tqdm.notebook.tqdm", "rich.progress.track"})
"""What goes through something and shows how far it is; what has no length is given one as ``total``."""
_WRITES_ALL = frozenset({"writerows", "writelines"})
_REPEATING = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda
_ASKS_ITSELF = frozenset({"count", "exists", "acount", "aexists", "aggregate", "explain"})


@dataclass(frozen=True)
class Feed:
    """A queryset and the loop over it.

    queryset: what is reported. at: what ``.iterator()`` goes behind. chain: the expression that makes the queryset.
    body: the statements or expressions run for each row. listed: a ``list(...)`` round it that can go.
    reader: the function the loop stands in, where another hands it the queryset.
    """

    queryset: ast.expr
    at: ast.expr
    chain: ast.expr
    body: list[ast.stmt]
    variables: set[str]
    is_async: bool = False
    listed: ast.Call | None = None
    reader: FunctionInfo | None = None


_ForLoop = ast.For | ast.AsyncFor
_Loop = _ForLoop | ast.comprehension


def feeds(view: View, function: FunctionInfo) -> Iterator[Feed]:
    """The loops over whole querysets of a function, and of those of the file that it hands one.

    A queryset is written there, or in a variable that is used for nothing else.
    """
    for node in view.own(function):
        if isinstance(node, _Loop):
            feed = _feed(view, function, node, node.iter)
            if feed is not None:
                yield feed
        elif isinstance(node, ast.Call):
            yield from _written_whole(view, function, node)
            for given, reader, loop in _handed_on(view, function, node):
                feed = _feed(view, function, loop, given, reader)
                if feed is not None:
                    yield replace(feed, queryset=loop.iter)


def _feed(
    view: View, function: FunctionInfo, node: _Loop, given: ast.expr, reader: FunctionInfo | None = None
) -> Feed | None:
    """What a loop goes over, as the function makes it that the loop, or the call of its reader, stands in."""
    source, listed = _source(view, function, given)
    body = node.body if isinstance(node, ast.For | ast.AsyncFor) else [_as_statement(view, node)]
    is_async = isinstance(node, ast.AsyncFor) or (isinstance(node, ast.comprehension) and bool(node.is_async))
    if is_async and listed is not None:
        return None
    variables = bound_names(node.target)
    if isinstance(node, ast.comprehension) and keeps_rows(view, view.parents[node], variables, source):
        return None
    if isinstance(node, ast.For | ast.AsyncFor) and (
        collects_rows(node, variables) or collects_for_one_write(view, reader or function, node)
    ):
        return None
    made = _made_for(view, function, source)
    if made is None or not is_large(view, function, made.chain):
        return None
    if _drains(view, function, made.chain, body, variables) and not is_migration(view.module.path, function):
        return None
    if made.value is not source:
        listed = made.value if isinstance(made.value, ast.Call) and made.listed is not None else None
    return Feed(made.value, made.listed or source, made.chain, body, variables, is_async, listed, reader)


def _written_whole(view: View, function: FunctionInfo, call: ast.Call) -> Iterator[Feed]:
    """A queryset that a method of files goes through once: ``writer.writerows(rows.values_list(...))``."""
    match call:
        case ast.Call(func=ast.Attribute(attr=word), args=[given], keywords=[]) if word in _WRITES_ALL:
            source, listed = _source(view, function, given)
            made = _made_for(view, function, source)
            if made is not None and is_large(view, function, made.chain):
                if made.value is not source:
                    listed = made.value if isinstance(made.value, ast.Call) and made.listed is not None else None
                yield Feed(made.value, made.listed or source, made.chain, [], set(), False, listed)


def _handed_on(view: View, function: FunctionInfo, call: ast.Call) -> Iterator[tuple[ast.expr, FunctionInfo, _ForLoop]]:
    """What a call hands to a function of the file that does nothing with it but go through it once."""
    given = [item for item in call.args if isinstance(item, ast.Name | ast.Call)]
    given += [word.value for word in call.keywords if isinstance(word.value, ast.Name | ast.Call)]
    for name in view.of(call.func, function) if given else ():
        found = view.names.function(name)
        if found is None or found[0] is not view.module or found[1].node.decorator_list:
            continue
        for item in given:
            loop = _only_loop(view, found[1], _parameter(found[1], call, item))
            if loop is not None:
                yield item, found[1], loop


def _parameter(function: FunctionInfo, call: ast.Call, given: ast.expr) -> str:
    """The name under which a function gets an argument; "" where that is not sure."""
    word = next((word for word in call.keywords if word.value is given), None)
    if word is not None:
        return word.arg or ""
    if any(isinstance(item, ast.Starred) for item in call.args):
        return ""
    names = [item.arg for item in [*function.node.args.posonlyargs, *function.node.args.args]]
    at = call.args.index(given) + (1 if function.owner is not None else 0)
    return names[at] if at < len(names) else ""


def _only_loop(view: View, function: FunctionInfo, name: str) -> _ForLoop | None:
    """The loop that is all a parameter is for, which runs once at most for each call."""
    match view.uses(name, function) if name else []:
        case [use]:
            at: ast.AST = view.parents[use]
            if isinstance(at, ast.Call) and view.is_a(at.func, function, "builtins.enumerate"):
                at = view.parents[at]
            if isinstance(at, ast.For | ast.AsyncFor) and _source(view, function, at.iter)[0] is use:
                if view.function_of(use) is function and next(view.loops_round(at), None) is None:
                    return at
    return None


def _made_for(view: View, function: FunctionInfo, source: ast.expr) -> _Made | None:
    """The whole queryset a loop goes over: written there, begun in a helper or in a variable, or held by one."""
    chain = _from_helper(view, function, source) or spelled_out(view, function, source) or source
    if not is_whole(chain):
        chain = _begun_in_steps(view, function, source) or source
    if is_whole(chain):
        return _Made(source, None, chain)
    return _only_for(view, _holder(view, function, source), source) if isinstance(source, ast.Name) else None


def _drains(view: View, function: FunctionInfo, chain: ast.expr, body: list[ast.stmt], variables: set[str]) -> bool:
    """Whether rows that meet a condition are deleted or get another value for it: the next run does not see them."""
    asked = {name.partition("__")[0] for name in asked_of(chain)}
    if not asked:
        return False
    for node in (node for statement in body for node in ast.walk(statement)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="delete" | "adelete")) if name in variables:
                return True
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=name), attr=field), attr="delete")
            ) if name in variables and field in asked:
                return True
            case ast.Attribute(value=ast.Name(id=name), attr=field, ctx=ast.Store()) if name in variables:
                if field in asked:
                    return True
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if name in variables:
                if sets_one_of(view, function, chain, method, asked):
                    return True
    return False


def _as_statement(view: View, node: ast.comprehension) -> ast.stmt:
    return ast.Expr(value=view.parents[node])  # type: ignore[arg-type]


def _source(view: View, function: FunctionInfo, node: ast.expr) -> tuple[ast.expr, ast.Call | None]:
    """What a loop goes over, seen through ``enumerate``, ``tqdm`` and ``list``; with the ``list`` call."""
    listed = None
    while isinstance(node, ast.Call) and node.args and not links(node):
        names = view.of(node.func, function)
        if "builtins.list" in names and len(node.args) == 1 and not node.keywords:
            listed, node = node, node.args[0]
        elif "builtins.enumerate" in names or not _SHOWS.isdisjoint(names):
            node = node.args[0]
        else:
            break
    return node, listed


def shown_by(view: View, function: FunctionInfo, source: ast.expr) -> ast.Call | None:
    """The call that shows how far a loop over something is, and is not told how long it is."""
    match view.parents.get(source):
        case ast.Call(func=called, args=[first, *_], keywords=words) as call if first is source:
            if not _SHOWS.isdisjoint(view.of(called, function)) and all(word.arg != "total" for word in words):
                return call
    return None


def _from_helper(view: View, function: FunctionInfo, source: ast.expr) -> ast.expr | None:
    """The chain that a loop goes over where a function of the file begins it: ``self._rows().select_related(...)``."""
    node = source
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REFINING:
        node = node.func.value
    if not isinstance(node, ast.Call) or (isinstance(node.func, ast.Name) and links(node)):
        return None
    for name in view.of(node.func, function):
        found = view.names.function(name)
        if found is not None and found[0] is view.module and isinstance(found[1].node, ast.FunctionDef):
            begun = _returned(view, found[1])
            return refined(source, begun) if begun is not None else None
    return None


def _returned(view: View, helper: FunctionInfo) -> ast.expr | None:
    """The queryset that a function returns, before it narrows it; None where it does anything else."""
    own = list(view.own(helper))
    returns = [node.value for node in own if isinstance(node, ast.Return)]
    if len(returns) != 1 or any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own):
        return None
    if not isinstance(returns[0], ast.Name):
        return returns[0] if returns[0] is not None and manager_of(returns[0]) is not None else None
    begun: ast.expr | None = None
    for node in own:
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == returns[0].id:
                if begun is None and manager_of(value) is not None:
                    begun = value
                elif not is_refined(value, found):
                    return None
    return begun


def _begun_in_steps(view: View, function: FunctionInfo, source: ast.expr) -> ast.expr | None:
    """The chain that a loop goes over where a variable holds its beginning: ``rows.order_by("pk")``."""
    node = source
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REFINING:
        node = node.func.value
    if node is source or not isinstance(node, ast.Name):
        return None
    made = _only_for(view, function, node)
    return refined(source, made.chain) if made is not None and made.listed is None else None


def _holder(view: View, function: FunctionInfo, name: ast.Name) -> FunctionInfo:
    """The function whose variable a name is: a generator may go over what the function round it has made."""
    stored = [use for use in view.uses(name.id, function) if isinstance(use.ctx, ast.Store)]
    given = {argument.arg for argument in ast.walk(function.node.args) if isinstance(argument, ast.arg)}
    outer = function.parent
    is_outer = outer is not None and not stored and name.id not in given and _is_called_once(view, outer, function)
    return outer if is_outer and outer is not None else function


def _is_called_once(view: View, outer: FunctionInfo, inner: FunctionInfo) -> bool:
    """Whether a function calls one of its own in one place, at most once: what that asks for is asked for once."""
    match view.uses(inner.node.name, outer):
        case [use]:
            at: ast.AST | None = view.parents.get(use)
            if not isinstance(at, ast.Call) or at.func is not use or view.function_of(use) is not outer:
                return False
            while at is not None and not isinstance(at, ast.stmt | _REPEATING):
                at = view.parents.get(at)
            return isinstance(at, ast.stmt) and next(view.loops_round(use), None) is None
    return False


class _Made(NamedTuple):
    """A queryset in a variable: its expression, what stands in a ``list`` round it, all that is asked of its rows."""

    value: ast.expr
    listed: ast.expr | None
    chain: ast.expr


def _only_for(view: View, function: FunctionInfo, name: ast.Name) -> _Made | None:
    """The whole queryset that a variable holds, if one loop is all it is for."""
    made: _Made | None = None
    for use in uses_in_order(view, name.id, function):
        parent = view.parents[use]
        if use is name:
            continue
        if isinstance(use.ctx, ast.Store):
            if not isinstance(parent, ast.Assign) or len(parent.targets) != 1 or view.function_of(use) is not function:
                return None
            if made is not None and made.listed is None and is_refined(parent.value, name.id):
                if _contains(view.parents[parent], name):
                    made = made._replace(chain=refined(parent.value, made.chain))
                continue
            if made is not None:
                return None
            value, listed = _source(view, function, parent.value)
            chain = _from_helper(view, function, value) or value
            made = _Made(parent.value, value if listed is not None else None, chain)
        elif not _asks_again(view, use, name):
            return None
    loop = view.parents[name]
    while isinstance(loop, ast.Call | ast.Attribute):
        loop = view.parents[loop]
    outer = view.parents[loop] if isinstance(loop, ast.comprehension) else loop
    if loop is not outer and loop is not getattr(outer, "generators", [None])[0]:
        return None
    if made is None or not is_whole(made.chain) or next(view.loops_round(outer), None) is not None:
        return None
    if any(isinstance(node, ast.Global | ast.Nonlocal) and name.id in node.names for node in view.own(function)):
        return None
    return made


def _contains(statement: ast.AST, name: ast.Name) -> bool:
    """Whether a use stands in the same block, or in one inside: what was done there before was done in any case."""
    return any(node is name for node in ast.walk(statement))


def _asks_again(view: View, use: ast.Name, loop: ast.Name) -> bool:
    """Whether a use before the loop leaves the queryset's cache alone: a count, or a narrower one made of it."""
    parent = view.parents[use]
    if not isinstance(parent, ast.Attribute) or use.lineno > loop.lineno:
        return False
    if parent.attr in _ASKS_ITSELF:
        return True
    statement = view.statement_of(use)
    return (
        isinstance(statement, ast.Assign)
        and is_refined(statement.value, use.id)
        and isinstance(statement.targets[0], ast.Name)
        and statement.targets[0].id == use.id
    )
