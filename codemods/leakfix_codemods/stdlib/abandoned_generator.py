"""A loop that leaves an asynchronous generator early: what the generator holds is released some time later.

What leaks
----------
``async for session in get_session():`` over a generator that yields what it opened. Where the loop is left by
``return``, ``break`` or an exception, the generator stays suspended at its ``yield``, and its ``finally`` has not run.

Why it hurts
------------
Python cannot run an asynchronous ``finally`` when the generator goes away: the event loop is asked to do it later, in
a task of its own (PEP 525), and not at all when the loop has stopped. Until then the connection is held; under load
that is when the pool runs dry.

How it is repaired
------------------
``async with aclosing(get_session()) as sessions:`` round the loop (``contextlib.aclosing``, Python 3.10): the
generator is closed when the loop is left, whichever way.

When it is left alone
---------------------
The loop runs to its end. The generator acquires nothing that is known. Generators that are not asynchronous: CPython
closes those at once, when the last reference goes.
"""

import ast
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Step, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.patterns.generators import acquired_in, leaves_early
from leakfix.project.requirements import oldest_python
from leakfix.repairs.python.imports import imported

AT_LEAST = (3, 10)


def find(view: View) -> Iterator[Match]:
    """Loops over generators of the project that hold a resource, where the loop may be left early."""
    for function in view.functions:
        for loop in view.own(function):
            if isinstance(loop, ast.AsyncFor) and isinstance(loop.iter, ast.Call):
                leaving = leaves_early(loop)
                resource = acquired_in(view, loop.iter, function) if leaving is not None else None
                if resource is not None and leaving is not None:
                    yield Match(
                        loop.iter,
                        f"the generator is left at its yield, with the {resource.noun} still open",
                        partial(repair, view, function, loop),
                        held="until-gc",
                        steps=(Step(leaving.lineno, "leaves the loop; the generator is not closed"),),
                    )


def repair(view: View, function: FunctionInfo, loop: ast.AsyncFor) -> Fix | Refusal:
    """Close the generator when the loop is left."""
    if (oldest_python(view.module.path) or AT_LEAST) < AT_LEAST:
        return Refusal("contextlib.aclosing came with Python 3.10, and the project supports older ones")
    layout = view.layout()
    if not layout.stands_alone(loop) or loop.end_lineno is None:
        return Refusal("the loop shares a line with another statement")
    later = _used_after(function, loop)
    if later is not None:
        return Refusal(f"what the generator gave is still used at line {later.lineno}, after the loop")
    taken = {node.id for node in ast.walk(function.node) if isinstance(node, ast.Name)}
    target = loop.target.id if isinstance(loop.target, ast.Name) else "item"
    name = next(word for word in (f"{target}s", f"{target}_source", f"{target}_source_1") if word not in taken)
    indent = layout.indent_of(loop.lineno)
    body = layout.indent_of(loop.body[0].lineno)
    unit = body[len(indent) :] if body.startswith(indent) and body != indent else "    "
    spelled = imported(view.module, layout, "contextlib", "aclosing")
    layout.add_before(loop.lineno, f"{indent}async with {spelled}({layout.text(loop.iter)}) as {name}:")
    layout.indent(loop.lineno, loop.end_lineno, unit, indent)
    layout.replace(layout.span(loop.iter), name)
    return Fix("close the generator when the loop is left", Safety.SAFE, tuple(layout.edits))


def _used_after(function: FunctionInfo, loop: ast.AsyncFor) -> ast.Name | None:
    """The first use, behind the loop, of what the generator gave, by any name."""
    given = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    for node in ast.walk(loop):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in given:
            given |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(function.node):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in given:
            if node.lineno > (loop.end_lineno or loop.lineno):
                return node
    return None


CODEMOD = PatternCodemod(
    find=find,
    words=("async for",),
    shape=r"async for +\w*(?:sess|conn|db|cur|pool|tx|trans|client)\w*.* in ",
    noun="generator",
    repairs="async with aclosing(...) round the loop",
    category=Category.LEAK,
)
