"""Generators of the project that yield what they opened, and loops that leave them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from leakfix.finding import Refusal
from leakfix.languages.python.modules import FunctionInfo, Import, Module, Scoped, own_nodes
from leakfix.patterns.view import View
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.separate import line_edits
from leakfix.resources import Resource
from leakfix.source import Edit, SourceFile, Span

_STAND_IN = "leakfix_stands_in"


def acquired_in(view: View, call: ast.Call, function: FunctionInfo | None) -> Resource | None:
    """The resource that the generator function a call names acquires and yields."""
    for name in view.of(call.func, function):
        found = view.names.function(name)
        if found is None or view.names.scope(found[1], found[0]):
            continue
        nodes = own_nodes(found[1].node)
        if not any(isinstance(node, ast.Yield) for node in nodes):
            continue
        for node in nodes:
            if isinstance(node, ast.Call):
                resource = view.acquired(found[0], found[1], node)
                if resource is not None:
                    return resource
    return None


def leaves_early(loop: ast.For | ast.AsyncFor) -> ast.stmt | None:
    """The statement by which a loop's body leaves it before the end."""
    for node in _within(loop.body, inner=False):
        return node
    return None


def _within(body: list[ast.stmt], inner: bool) -> Iterator[ast.stmt]:
    """The leaving statements of a suite; ``break`` in an inner loop leaves only that."""
    for statement in body:
        if isinstance(statement, ast.Return | ast.Raise) or (isinstance(statement, ast.Break) and not inner):
            yield statement
        if isinstance(statement, Scoped):
            continue
        deeper = inner or isinstance(statement, ast.For | ast.AsyncFor | ast.While)
        for part in ("body", "orelse", "finalbody"):
            yield from _within(getattr(statement, part, []), deeper)
        for handler in getattr(statement, "handlers", []):
            yield from _within(handler.body, deeper)
        for case in getattr(statement, "cases", []):
            yield from _within(case.body, deeper)


def entered_instead(view: View, function: FunctionInfo, taking: ast.Call, call: ast.Call) -> tuple[Edit, ...] | Refusal:
    """``with contextmanager(generator)() as x:`` for ``x = next(generator())``.

    The scope is found as for the resource itself: a call that is known to acquire it stands in for the generator until
    the block is laid out.
    """
    found = next((f for name in view.of(call.func, function) if (f := view.names.function(name))), None)
    if found is None:
        return Refusal("the generator's function is not known")
    reason = why_not_entered(found[1])
    made = _acquisition(view, found)
    if reason or made is None:
        return Refusal(reason or "what the generator acquires is made in a way that is not understood")
    source = view.module.source
    awaited = view.parents[taking] if isinstance(view.parents[taking], ast.Await) else taking
    assert isinstance(awaited, ast.expr)
    layout = view.layout()
    stand_in = f"{_STAND_IN}()"
    layout.replace(layout.span(awaited), stand_in)
    tail = [f"{_STAND_IN} = {made.id}"]
    if found[0] is not view.module:
        origin = _import_of(view, call.func)
        if origin is None:
            return Refusal("where the generator's function comes from is not known")
        tail = [f"from {'.' * origin.level}{origin.module} import {made.id} as {_STAND_IN}"]
    layout.insert(len(source.data), layout.newline + "".join(line + layout.newline for line in tail))
    scoped = view.scoped(source.edited(layout.edits), function.qualname)
    if isinstance(scoped, Refusal):
        return scoped
    text, added = scoped.data.decode(), layout.newline + "".join(line + layout.newline for line in tail)
    if f"with {stand_in} as " not in text or not text.endswith(added):
        return Refusal(f"the block round what {ast.unparse(call.func)}() yields would take more than a `with`")
    text = text.removesuffix(added)
    is_async = isinstance(found[1].node, ast.AsyncFunctionDef)
    manager = "asynccontextmanager" if is_async else "contextmanager"
    if is_async != (f"async with {stand_in}" in text):
        return Refusal("the generator and what it yields are not both asynchronous")
    sheet = view.layout()
    spelled = imported(view.module, sheet, "contextlib", manager)
    given = source.text(Span(layout.span(call.func).end, layout.span(call).end))
    text = text.replace(stand_in, f"{spelled}({layout.text(call.func)}){given}")
    after = SourceFile(source.path, source.raw, source.encoding, source.bom, text.encode())
    return (*sheet.edits, *line_edits(source, after))


def why_not_entered(info: FunctionInfo) -> str:
    """What in a generator function would behave otherwise if it were entered; "" where nothing would."""
    name = info.node.name
    yields = [node for node in own_nodes(info.node) if isinstance(node, ast.Yield)]
    if (
        len(yields) != 1
        or info.node.decorator_list
        or not isinstance(info.node.body[-1], ast.Try | ast.With | ast.AsyncWith)
    ):
        return f"{name}() is no plain generator with one yield inside what cleans up"
    last: ast.stmt = info.node.body[-1]
    while isinstance(last, ast.Try | ast.With | ast.AsyncWith):
        if isinstance(last, ast.Try):
            if last.orelse or not all(isinstance(handler.body[-1], ast.Raise) for handler in last.handlers):
                return f"a handler in {name}() would swallow what is raised in the block"
        last = last.body[-1]
    if not (isinstance(last, ast.Expr) and last.value is yields[0]):
        return f"what follows the yield of {name}() never ran, and would run"
    return ""


def _acquisition(view: View, found: tuple[Module, FunctionInfo]) -> ast.Name | None:
    for node in own_nodes(found[1].node):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and view.acquired(*found, node) is not None:
            return node.func
    return None


def _import_of(view: View, node: ast.expr) -> Import | None:
    """The import at the file's head that binds a plain name."""
    if isinstance(node, ast.Name):
        for binding in view.module.names.get(node.id, ()):
            if isinstance(binding, Import) and binding.attribute is not None:
                return binding
    return None
