"""A connection that is opened into ``g`` and that no teardown releases.

What leaks
----------
``g.db = connect()`` gives each request its own connection. No function called at the end of the application context
releases it: there is none, it is empty, it forgets the attribute without closing what it held, or it closes only after
requests that succeeded.

Why it hurts
------------
Every request leaves a connection behind, for as long as anything refers to it; the slot of a pool is gone for good, and
after as many requests as the pool has slots all others wait.

How it is repaired
------------------
The function that ``teardown_appcontext`` calls takes the attribute out of ``g`` and releases it. Where there is none
and the application is made in the same file, one is added behind the function that opens the connection, for review:
work that is not committed when the request ends is rolled back then, as it should be.

When it is left alone
---------------------
Any function of the project that reads the attribute and releases it, called by a teardown, by ``after_request`` or by
hand. What needs an event loop to be released. Applications made in another file that have no teardown yet: where it
belongs is for the project to say.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Severity, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.repairs.python.layout import Layout
from leakfix.source import Span
from leakfix_codemods._blocks import is_laid_out, put_in_try
from leakfix_codemods.flask._context import (
    HOOKS,
    TEARDOWNS,
    Stored,
    is_hook,
    reads,
    registered,
    releases,
    stored,
    with_teardown,
    with_teardown_inside,
)


def find(view: View) -> Iterator[Match]:
    """What is opened into ``g`` and not released, here; and teardowns that should release what another file opens."""
    for item in stored(view):
        if not _is_released(view, item):
            message = f"{item.resource.noun} in g is not released when the request ends"
            yield Match(
                item.call, message, partial(repair, view, item), Severity.ERROR, item.resource.held, identity=item.name
            )
    for teardown in _teardowns(view):
        for other in _files_that_fill(view, teardown):
            for item in stored(other):
                if next(reads(view, teardown, item.name), None) is not None and not _is_released(other, item):
                    message = f"the teardown drops {item.name} without releasing the {item.resource.noun}"
                    fill = partial(_filled, view, item, teardown)
                    at = next(reads(view, teardown, item.name))
                    yield Match(at, message, fill, Severity.ERROR, item.resource.held, identity=item.name)


def _files_that_fill(view: View, teardown: FunctionInfo) -> Iterator[View]:
    words = {
        node.value
        for node in ast.walk(teardown.node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()
    }
    for word in sorted(words):
        for module in view.others(word):
            yield view.elsewhere(module)


def _is_released(view: View, item: Stored) -> bool:
    """Whether any function of the project that reads the attribute releases something, whatever the request's end."""
    for other in view.mentioning(item.name):
        for function in other.functions:
            if function.parent is not None and not is_hook(function):
                continue
            listed = _lists(function, item.name)
            held = _held(other, function, item.name)
            if not listed and held is None:
                continue
            calls = [call for call in releases(function, item.resource) if listed or _is_about(call, held or set())]
            if len(calls) > 1 or not all(_only_on_success(other, function, call) for call in calls):
                return True  # each for one of the ways in which a request may end, or for all
    return False


def _held(view: View, function: FunctionInfo, name: str) -> set[str] | None:
    """The variables that hold the attribute in a function; None where it is not read, none where that is unclear."""
    found: set[str] = set()
    read = list(reads(view, function, name))
    for node in read:
        statement = view.parents[node]
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            return set()
        found.add(statement.targets[0].id)
    return found if read else None


def _is_about(call: ast.Call, held: set[str]) -> bool:
    """Whether a release is one of what a variable holds; without variables, any may be."""
    return not held or any(isinstance(node, ast.Name) and node.id in held for node in ast.walk(call))


def _lists(function: FunctionInfo, name: str) -> bool:
    """Whether a function goes through names of attributes, this one among them."""
    return any(
        isinstance(node, ast.Constant) and node.value == name and isinstance(loop, ast.For)
        for loop in ast.walk(function.node)
        if isinstance(loop, ast.For)
        for node in ast.walk(loop.iter)
    )


def _only_on_success(view: View, function: FunctionInfo, call: ast.Call) -> bool:
    """Whether a release in a teardown stands under a test of the error it was given."""
    if not is_hook(function, TEARDOWNS):
        return False
    return _tested_error(view, function, call) is not None or _leaves_on_error(function, call)


def _leaves_on_error(function: FunctionInfo, call: ast.Call) -> bool:
    """Whether a function returns before a call where it was given an error: ``if error is not None: return``."""
    given = {argument.arg for argument in function.node.args.args}
    for statement in function.node.body:
        match statement:
            case ast.If(test=test, body=[*_, ast.Return()]) if (statement.end_lineno or 0) < call.lineno:
                if any(isinstance(node, ast.Name) and node.id in given for node in ast.walk(test)):
                    return True
    return False


def _tested_error(view: View, function: FunctionInfo, call: ast.Call) -> ast.If | None:
    given = {argument.arg for argument in function.node.args.args}
    node: ast.AST | None = call
    while node is not None and node is not function.node:
        parent = view.parents.get(node)
        if isinstance(parent, ast.If) and node in parent.body:
            if any(isinstance(item, ast.Name) and item.id in given for item in ast.walk(parent.test)):
                return parent
        node = parent
    return None


def _teardowns(view: View) -> Iterator[FunctionInfo]:
    names = registered(view)
    for function in view.functions:
        if is_hook(function, TEARDOWNS) or function.node.name in names:
            yield function


def repair(view: View, item: Stored) -> Fix | Refusal:
    """Release it in the teardown of the file, or in a new one."""
    code = _release(view, item)
    if isinstance(code, Refusal):
        return code
    targets = getattr(view.statement_of(item.call), "targets", ())
    if not all(isinstance(target, ast.Name) or _is_of(target, item.name) for target in targets):
        return Refusal("it is kept in another place, too")
    keeper = _keeper(view, item)
    if keeper is not None:
        return Refusal(f"{keeper.node.name}() keeps what it got from it for longer than the request")
    teardowns = list(_teardowns(view))
    reading = [function for function in teardowns if next(reads(view, function, item.name), None) is not None]
    for teardown in [*reading, *(function for function in teardowns if _is_idle(function))]:
        return _filled(view, item, teardown)
    if teardowns:
        return Refusal(f"{teardowns[0].node.name}() does something else when the context ends")
    return _added(view, item, code)


def _is_of(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Attribute) and target.attr == name


def _keeper(view: View, item: Stored) -> FunctionInfo | None:
    """A function of the file that puts live objects into something that outlives the request."""
    source = re.compile(rf"\bg\.{item.name}\b|\b{item.function.node.name}\(\)")
    for function in view.functions:
        for node in view.own(function):
            match node:
                case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))], value=value):
                    if name in view.module.names and source.search(ast.unparse(value)):
                        return function
    return None


_ANSWERS = re.compile(rb"Response\(|\bresponse_class\(")
_OUTLIVES = re.compile(rb"\bapp_context\(|\bstream_with_context\b|\bThread\(|\.submit\(")


def _released(view: View, item: Stored, layout: Layout) -> Fix:
    """The repair; for review where what uses it may go on when the context has ended: streams, threads, scripts."""
    title, edits = "release it in the teardown", tuple(layout.edits)
    users = [view.module.source.data, *view.texts(item.function.node.name)]
    if len(list(_teardowns(view))) > 1:
        return Fix(title, Safety.REVIEW, edits, "that no teardown which runs later needs it")
    if any(_OUTLIVES.search(text) or (b"yield" in text and _ANSWERS.search(text)) for text in users):
        return Fix(
            title, Safety.REVIEW, edits, "that no stream, thread or script goes on with it when the context ends"
        )
    return Fix(title, Safety.SAFE, edits)


def _release(view: View, item: Stored) -> str | Refusal:
    name = _variable(item)
    if item.resource.asynchronous:
        return Refusal(f"releasing the {item.resource.noun} must be awaited")
    function = item.call.func
    receiver = ast.unparse(function.value) if isinstance(function, ast.Attribute) else None
    code = item.resource.release_code(name, receiver)
    if code is None or (not item.resource.release and not isinstance(function, ast.Attribute)):
        return Refusal(f"what the {item.resource.noun} must be given back to has no name here")
    return code


def _variable(item: Stored) -> str:
    return item.name.strip("_") or "connection"


def _body(function: FunctionInfo) -> list[ast.stmt]:
    body = function.node.body
    return body[1:] if ast.get_docstring(function.node) is not None else body


def _is_idle(function: FunctionInfo) -> bool:
    """Whether a function does nothing at all."""
    return all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in _body(function)
    )


def _filled(view: View, item: Stored, teardown: FunctionInfo) -> Fix | Refusal:
    """Make a teardown release the attribute."""
    code = _release(view, item)
    if isinstance(code, Refusal):
        return code
    if _is_used_otherwise(view, teardown):
        return Refusal(f"{teardown.node.name}() is also called by hand, where what it closes may be needed again")
    name = _variable(item)
    layout = view.layout()
    read = next(reads(view, teardown, item.name), None)
    body = _body(teardown)
    if read is None:
        last = teardown.node.body[-1]
        indent = layout.indent_of(last.lineno)
        lines = _taken(view, item, teardown, indent, name, code)
        if body and isinstance(body[-1], ast.Pass) and layout.stands_alone(body[-1]):
            layout.replace(layout.span(body[-1]), lines[0].strip())
            layout.add_after(body[-1].lineno, *lines[1:])
        elif body:
            return Refusal(f"{teardown.node.name}() is laid out in a way that cannot be added to")
        else:
            layout.add_after(last.end_lineno or last.lineno, *lines)
        return _released(view, item, layout)
    for call in releases(teardown, item.resource):
        tested = _tested_error(view, teardown, call)
        if tested is not None:
            return _untested(view, item, teardown, tested)
        if _leaves_on_error(teardown, call):
            return Refusal(f"{teardown.node.name}() returns where a request failed: what is skipped is for you to say")
    statement = view.statement_of(read)
    indent = layout.indent_of(statement.lineno)
    unit = _unit(view, teardown, indent)
    if isinstance(statement, ast.Expr) and statement.value is read and _is_pop(read) and layout.stands_alone(statement):
        layout.replace(layout.span(statement), f"{name} = {_popped(layout.text(read), item.name)}")
        layout.add_after(statement.end_lineno or statement.lineno, *_closing(indent, unit, name, code))
        return _released(view, item, layout)
    if isinstance(statement, ast.Assign) and statement.value is read and isinstance(statement.targets[0], ast.Name):
        held = statement.targets[0].id
        uses = [node for node in view.uses(held, teardown) if isinstance(node.ctx, ast.Load)]
        if all(isinstance(view.parents[node], ast.Compare | ast.If) for node in uses) and statement in body:
            code = item.resource.release_code(held, _receiver(item)) or code
            layout.add_after(statement.end_lineno or statement.lineno, *_closing(indent, unit, held, code))
            return _released(view, item, layout)
        rest = body[body.index(statement) + 1 :] if statement in body else []
        if (
            all(_is_asked(view, node) for node in uses)
            and is_laid_out(layout, rest)
            and _reads_once(view, teardown, item)
        ):
            code = item.resource.release_code(held, _receiver(item)) or code
            if _is_lenient(read):  # whoever asks again in this context must not get what was closed
                layout.replace(layout.span(read), f'{_g(view, teardown)}.pop("{item.name}", None)')
            put_in_try(view, layout, rest, "", ("finally:", "\n".join(_closing("", unit, held, code))))
            return _released(view, item, layout)
    return Refusal(f"{teardown.node.name}() uses {item.name} in a way that is not understood")


def _is_used_otherwise(view: View, teardown: FunctionInfo) -> bool:
    """Whether anything but Flask calls a teardown, as far as its name tells."""
    name = teardown.node.name
    for use in view.uses(name, None):
        call = view.parents[use]
        hook = isinstance(call, ast.Call) and use in call.args and getattr(call.func, "attr", "") in HOOKS
        if isinstance(use.ctx, ast.Load) and not hook:
            return True
    called = re.compile(rf"(?<!def )\b{name}\(".encode())
    return any(map(called.search, view.texts(name)))


def _is_asked(view: View, use: ast.Name) -> bool:
    """Whether a use of a variable only tests it or calls a method of it."""
    match view.parents[use]:
        case ast.Attribute() as method:
            call = view.parents[method]
            return isinstance(call, ast.Call) and call.func is method
        case ast.Compare() | ast.If() | ast.UnaryOp(op=ast.Not()):
            return True
    return False


def _reads_once(view: View, teardown: FunctionInfo, item: Stored) -> bool:
    return sum(1 for _ in reads(view, teardown, item.name)) == 1


def _is_lenient(read: ast.expr) -> bool:
    """Whether a read of ``g`` gives None where there is nothing: ``g.get("x")``, ``getattr(g, "x", None)``."""
    match read:
        case ast.Call(func=ast.Attribute(attr="get"), args=[_] | [_, ast.Constant(value=None)]):
            return True
        case ast.Call(func=ast.Name(id="getattr"), args=[_, _, ast.Constant(value=None)]):
            return True
    return False


def _receiver(item: Stored) -> str | None:
    function = item.call.func
    return ast.unparse(function.value) if isinstance(function, ast.Attribute) else None


def _is_pop(read: ast.expr) -> bool:
    return isinstance(read, ast.Call) and isinstance(read.func, ast.Attribute) and read.func.attr == "pop"


def _popped(text: str, name: str) -> str:
    """``g.pop("x", None)``: with the default that makes it no error where nothing was opened."""
    return text if "," in text else f"{text[:-1]}, None)"


def _taken(view: View, item: Stored, teardown: FunctionInfo, indent: str, name: str, code: str) -> list[str]:
    unit = _unit(view, teardown, indent)
    return [f'{indent}{name} = {_g(view, teardown)}.pop("{item.name}", None)', *_closing(indent, unit, name, code)]


def _closing(indent: str, unit: str, name: str, code: str) -> list[str]:
    return [f"{indent}if {name} is not None:", f"{indent}{unit}{code}"]


def _g(view: View, function: FunctionInfo | None) -> str:
    """How the file spells ``g``."""
    for node in ast.walk(view.tree):
        if isinstance(node, ast.Attribute | ast.Name) and view.is_a(node, function, *("flask.g", "flask.globals.g")):
            return ast.unparse(node)
    return "g"


def _unit(view: View, teardown: FunctionInfo, indent: str) -> str:
    layout = view.layout()
    outer = layout.indent_of(teardown.node.lineno)
    return indent[len(outer) :] if indent.startswith(outer) and indent != outer else "    "


def _untested(view: View, item: Stored, teardown: FunctionInfo, tested: ast.If) -> Fix | Refusal:
    """Take the test of the error out of ``if error is None and db is not None:``."""
    given = {argument.arg for argument in teardown.node.args.args}
    test = tested.test
    words = {*item.resource.release, *(name.rpartition(".")[2] for name in item.resource.release_with), "close"}
    if not all(isinstance(step, ast.Expr) and name_of(step.value) in words for step in tested.body):
        return Refusal("what else it does there is for requests that succeeded: which of it to keep is for you to say")
    if not isinstance(test, ast.BoolOp) or not isinstance(test.op, ast.And) or tested.orelse:
        return Refusal("it is released only where the request succeeded, in a way that cannot be taken apart")
    layout = view.layout()
    kept = [
        value
        for value in test.values
        if not any(isinstance(item, ast.Name) and item.id in given for item in ast.walk(value))
    ]
    spans = [layout.span(value) for value in kept]
    if not kept:
        return Refusal("it is released only where the request succeeded, in a way that cannot be taken apart")
    whole = layout.span(test)
    layout.replace(Span(whole.start, whole.end), " and ".join(view.module.source.text(span) for span in spans))
    return Fix("release it after failed requests, too", Safety.SAFE, tuple(layout.edits))


def _added(view: View, item: Stored, code: str) -> Fix | Refusal:
    """A new teardown behind the function that opens the connection."""
    function = item.function
    name = _variable(item)
    unit = _unit(view, function, view.layout().indent_of(function.node.body[0].lineno))
    taken = f'{name} = {_g(view, function)}.pop("{item.name}", None)'
    body = [taken, *_closing("", unit, name, code)]
    if function.owner is not None:
        return Refusal("it is opened inside a method")
    if function.parent is not None:
        layout = with_teardown_inside(view, function, f"close_{name}", body)
    else:
        layout = with_teardown(view, function.node, f"close_{name}", body)
    if isinstance(layout, Refusal):
        return layout
    check = "that nothing needs it after the request, and that what is to be kept is committed before"
    return Fix("release it when the application context ends", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    imports=("flask", "quart"),
    shape=r"\bg\.\w+\s*=[^=]|\.teardown_",
    noun="connection",
    repairs="released in teardown_appcontext",
    category=Category.LEAK,
)
