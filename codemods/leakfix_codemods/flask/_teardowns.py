"""How what a Flask application opens into ``g`` is released by a function that the end of the context calls."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from leakfix.codemod import Fix, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import local_names, name_of
from leakfix.repairs.python.layout import Layout, first_line, last_line
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
    with_teardown,
    with_teardown_inside,
    with_teardown_method,
)


def leaves_on_error(function: FunctionInfo, call: ast.Call) -> bool:
    """Whether a function returns before a call where it was given an error: ``if error is not None: return``."""
    given = {argument.arg for argument in function.node.args.args}
    for statement in function.node.body:
        match statement:
            case ast.If(test=test, body=[*_, ast.Return()]) if (statement.end_lineno or 0) < call.lineno:
                if any(isinstance(node, ast.Name) and node.id in given for node in ast.walk(test)):
                    return True
    return False


def tested_error(view: View, function: FunctionInfo, call: ast.Call) -> ast.If | None:
    """The test of the error it was given that a call in a function stands under."""
    given = {argument.arg for argument in function.node.args.args}
    node: ast.AST | None = call
    while node is not None and node is not function.node:
        parent = view.parents.get(node)
        if isinstance(parent, ast.If) and node in parent.body:
            if any(isinstance(item, ast.Name) and item.id in given for item in ast.walk(parent.test)):
                return parent
        node = parent
    return None


def teardowns(view: View) -> Iterator[FunctionInfo]:
    """The functions of a file that are called when the context ends."""
    names = registered(view, TEARDOWNS)
    for function in view.functions:
        if is_hook(function, TEARDOWNS) or function.node.name in names:
            yield function


_ANSWERS = re.compile(rb"Response\(|\bresponse_class\(")
_OUTLIVES = re.compile(rb"\bapp_context\(|\bstream_with_context\b|\bThread\(|\.submit\(")


def _released(view: View, item: Stored, layout: Layout) -> Fix:
    """The repair; for review where what uses it may go on when the context has ended: streams, threads, scripts."""
    title, edits = "release it in the teardown", tuple(layout.edits)
    users = [view.module.source.data, *view.texts(item.function.node.name)]
    if len(list(teardowns(view))) > 1:
        return Fix(title, Safety.REVIEW, edits, "that no teardown which runs later needs it")
    if any(_OUTLIVES.search(text) or (b"yield" in text and _ANSWERS.search(text)) for text in users):
        return Fix(
            title, Safety.REVIEW, edits, "that no stream, thread or script goes on with it when the context ends"
        )
    return Fix(title, Safety.SAFE, edits)


def release_of(view: View, item: Stored) -> str | Refusal:
    """The statement that releases it, by a name of its own, or why there is none."""
    name = _variable(item)
    if item.resource.asynchronous:
        return Refusal(f"releasing the {item.resource.noun} must be awaited")
    function = item.call.func
    receiver = view.layout().text(function.value) if isinstance(function, ast.Attribute) else None
    if receiver is not None and "\n" in receiver:
        return Refusal(f"what the {item.resource.noun} must be given back to is named over several lines")
    code = item.resource.release_code(name, receiver)
    is_own = not item.resource.release and isinstance(function, ast.Attribute) and _is_of(item, function.value)
    if code is None or is_own or (not item.resource.release and not isinstance(function, ast.Attribute)):
        return Refusal(f"what the {item.resource.noun} must be given back to has no name here")
    return code


def _means_the_same(view: View, item: Stored, teardown: FunctionInfo) -> bool:
    """Whether what a release names stands for the same in a teardown as where it was opened."""
    receiver = item.call.func.value if isinstance(item.call.func, ast.Attribute) else None
    if item.resource.release or receiver is None:
        return True
    for node in ast.walk(receiver):
        match node:
            case ast.Name(id="self"):
                if item.function.owner is None or item.function.owner is not teardown.owner:
                    return False
            case ast.Name(id=name) if _binder(item.function, name) is not _binder(teardown, name):
                return False
            case ast.Name() if item.view.of(node, item.function) != view.of(node, teardown):
                return False
    return True


def _is_of(item: Stored, receiver: ast.expr) -> bool:
    """Whether what it must be given back to is a variable of the function that opens it."""
    names = (node.id for node in ast.walk(receiver) if isinstance(node, ast.Name))
    return any(name != "self" and _binder(item.function, name) is item.function for name in names)


def _binder(function: FunctionInfo | None, name: str) -> FunctionInfo | None:
    """The function whose variable a name is, in a function; None for one of the file."""
    while function is not None and name not in local_names(function.node):
        function = function.parent
    return function


def _variable(item: Stored) -> str:
    return item.name.strip("_") or "connection"


def _body(function: FunctionInfo) -> list[ast.stmt]:
    body = function.node.body
    return body[1:] if ast.get_docstring(function.node) is not None else body


def is_idle(function: FunctionInfo) -> bool:
    """Whether a function does nothing at all."""
    return all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in _body(function)
    )


def filled(view: View, item: Stored, teardown: FunctionInfo) -> Fix | Refusal:
    """Make a teardown release the attribute."""
    code = release_of(view, item)
    if isinstance(code, Refusal):
        return code
    if not _means_the_same(view, item, teardown):
        return Refusal(f"what it must be given back to has another name, or none, in {teardown.node.name}()")
    if _is_used_otherwise(view, teardown):
        return Refusal(f"{teardown.node.name}() is also called by hand, where what it closes may be needed again")
    name = _variable(item)
    layout = view.layout()
    read = next(reads(view, teardown, item.name), None)
    body = _body(teardown)
    if read is None:
        return _begun(view, item, teardown, name, code)
    for call in releases(teardown, item.resource):
        tested = tested_error(view, teardown, call)
        if tested is not None:
            return _untested(view, item, teardown, tested)
        if leaves_on_error(teardown, call):
            return _before_all_returns(view, item, teardown, call)
    statement = view.statement_of(read)
    indent = layout.indent_of(statement.lineno)
    unit = layout.unit_of(teardown.node)
    if isinstance(statement, ast.Expr) and statement.value is read and is_pop(read) and layout.stands_alone(statement):
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
            put_in_try(layout, rest, "", ("finally:", "\n".join(_closing("", unit, held, code))))
            return _released(view, item, layout)
    return Refusal(f"{teardown.node.name}() uses {item.name} in a way that is not understood")


def _before_all_returns(view: View, item: Stored, teardown: FunctionInfo, call: ast.Call) -> Fix | Refusal:
    """Move a release at the end of a teardown, which returns earlier where a request failed, into a ``finally``."""
    layout, body = view.layout(), _body(teardown)
    match body:
        case [ast.Assign(targets=[ast.Name(id=held)]), test, *rest, ast.Expr(value=last) as end] if last is call:
            uses = (use for step in rest for use in ast.walk(step) if isinstance(use, ast.Name) and use.id == held)
            plain = _tests_for_none(test, held) and all(_is_asked(view, use) for use in uses)
            plain = plain and any(isinstance(use, ast.Name) and use.id == held for use in ast.walk(last))
            if plain and _reads_once(view, teardown, item) and is_laid_out(layout, [*rest, end]):
                layout.delete(first_line(end), last_line(end))
                put_in_try(layout, rest, "", ("finally:", layout.text(end)))
                return _released(view, item, layout)
    return Refusal(f"{teardown.node.name}() returns where a request failed: what is skipped is for you to say")


def _tests_for_none(statement: ast.stmt, name: str) -> bool:
    """``if x is None: return``."""
    match statement:
        case ast.If(
            test=ast.Compare(left=ast.Name(id=found), ops=[ast.Is()], comparators=[ast.Constant(value=None)]),
            body=[ast.Return(value=None)],
            orelse=[],
        ):
            return found == name
    return False


def _begun(view: View, item: Stored, teardown: FunctionInfo, name: str, code: str) -> Fix | Refusal:
    """Make a teardown that does nothing take the attribute out of ``g`` and release it."""
    layout, body, last = view.layout(), _body(teardown), teardown.node.body[-1]
    indent = layout.indent_of(last.lineno)
    taken = f'{indent}{name} = {_g(view, teardown)}.pop("{item.name}", None)'
    lines = [taken, *_closing(indent, layout.unit_of(teardown.node), name, code)]
    if body and isinstance(body[-1], ast.Pass) and layout.stands_alone(body[-1]):
        layout.replace(layout.span(body[-1]), lines[0].strip())
        layout.add_after(body[-1].lineno, *lines[1:])
    elif body:
        return Refusal(f"{teardown.node.name}() is laid out in a way that cannot be added to")
    else:
        layout.add_after(last.end_lineno or last.lineno, *lines)
    return _released(view, item, layout)


def _is_used_otherwise(view: View, teardown: FunctionInfo) -> bool:
    """Whether anything but Flask calls a teardown, as far as its name tells."""
    name = teardown.node.name
    for use in view.uses(name, None):
        call = view.parents[use]
        hook = isinstance(call, ast.Call) and use in call.args and getattr(call.func, "attr", "") in HOOKS
        if isinstance(use.ctx, ast.Load) and not hook:
            return True
    if teardown.owner is None:  # what other objects call so is none of its own
        stem = re.escape(re.split(r"[/\\]", view.module.path)[-1].removesuffix(".py"))
        called = re.compile(rf"(?<!def )(?:(?<![\w.])|\b{stem}\.){name}\(".encode())
        return any(map(called.search, view.texts(name)))
    if any(isinstance(call.func, ast.Attribute) and call.func.attr == name for call in view.calls):
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


def is_pop(read: ast.expr) -> bool:
    """Whether a read of ``g`` takes the attribute out of it."""
    return isinstance(read, ast.Call) and isinstance(read.func, ast.Attribute) and read.func.attr == "pop"


def _popped(text: str, name: str) -> str:
    """``g.pop("x", None)``: with the default that makes it no error where nothing was opened."""
    return text if "," in text else f"{text[:-1]}, None)"


def _closing(indent: str, unit: str, name: str, code: str) -> list[str]:
    return [f"{indent}if {name} is not None:", f"{indent}{unit}{code}"]


def _g(view: View, function: FunctionInfo | None) -> str:
    """How the file spells ``g``."""
    for node in ast.walk(view.tree):
        if isinstance(node, ast.Attribute | ast.Name) and view.is_a(node, function, *("flask.g", "flask.globals.g")):
            return ast.unparse(node)
    return "g"


def _untested(view: View, item: Stored, teardown: FunctionInfo, tested: ast.If) -> Fix | Refusal:
    """Take the test of the error out of ``if error is None and db is not None:``."""
    test = tested.test
    words = {*item.resource.release, *(name.rpartition(".")[2] for name in item.resource.release_with), "close"}
    if not all(isinstance(step, ast.Expr) and name_of(step.value) in words for step in tested.body):
        return _taken_out(view, item, teardown, tested, words)
    if not isinstance(test, ast.BoolOp) or not isinstance(test.op, ast.And) or tested.orelse:
        return Refusal("it is released only where the request succeeded, in a way that cannot be taken apart")
    layout = view.layout()
    kept = _without_error(teardown, test)
    spans = [layout.span(value) for value in kept]
    if not kept:
        return Refusal("it is released only where the request succeeded, in a way that cannot be taken apart")
    whole = layout.span(test)
    layout.replace(Span(whole.start, whole.end), " and ".join(view.module.source.text(span) for span in spans))
    return Fix("release it after failed requests, too", Safety.SAFE, tuple(layout.edits))


def _without_error(teardown: FunctionInfo, test: ast.expr) -> list[ast.expr]:
    """The conditions of a test beside that on the error."""
    given = {argument.arg for argument in teardown.node.args.args}
    values = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else []
    return [
        value
        for value in values
        if not any(isinstance(node, ast.Name) and node.id in given for node in ast.walk(value))
    ]


def _taken_out(view: View, item: Stored, teardown: FunctionInfo, tested: ast.If, words: set[str]) -> Fix | Refusal:
    """Leave the test of the error out where all below it releases; or release behind what is committed there."""
    layout, body = view.layout(), tested.body
    title = "release it after failed requests, too"
    plain = isinstance(tested.test, ast.Compare) and not tested.orelse and layout.stands_alone(tested)
    if plain and _only_releases(view, teardown, item, body, words):
        if tested.lineno < first_line(body[0]) == tested.lineno + 1:
            unit = layout.unit_of(teardown.node)
            if layout.dedent(first_line(body[0]), layout.end_of(tested), unit):
                layout.delete(tested.lineno, tested.lineno)
                return Fix(title, Safety.SAFE, tuple(layout.edits))
    ending = [step for step in body if isinstance(step, ast.Expr) and name_of(step.value) in words]
    others = [step for step in body if step not in ending]
    released = {
        name_of(node) for step in tested.orelse for node in ast.walk(step) if isinstance(node, ast.Call)
    } & words
    is_bound = any(isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) for node in ast.walk(tested))
    is_taken_apart = isinstance(tested.test, ast.Compare) or bool(_without_error(teardown, tested.test))
    if is_taken_apart and len(ending) == 1 and body[-1] is ending[0] and others and not released and not is_bound:
        if all(isinstance(step, ast.Expr) and name_of(step.value) == "commit" for step in others):
            if is_laid_out(layout, [tested]) and layout.stands_alone(ending[0]):
                code = layout.text(ending[0])
                others_asked = _without_error(teardown, tested.test)
                if others_asked:
                    asked = " and ".join(layout.text(value) for value in others_asked)
                    code = f"if {asked}:\n{layout.unit_of(teardown.node)}{code}"
                layout.delete(first_line(ending[0]), last_line(ending[0]))
                put_in_try(layout, [tested], "", ("finally:", code))
                return Fix(title, Safety.SAFE, tuple(layout.edits))
    return Refusal("what else it does there is for requests that succeeded: which of it to keep is for you to say")


def _only_releases(view: View, teardown: FunctionInfo, item: Stored, body: list[ast.stmt], words: set[str]) -> bool:
    """Whether statements take the attribute out of ``g``, test whether it was there, and release it."""
    match body:
        case [ast.Assign(targets=[ast.Name(id=name)], value=read), ast.If(test=test, body=steps, orelse=[])]:
            taken = any(read is found for found in reads(view, teardown, item.name))
            asks = isinstance(test, ast.Name | ast.Compare) and any(
                isinstance(node, ast.Name) and node.id == name for node in ast.walk(test)
            )
            done = all(isinstance(step, ast.Expr) and name_of(step.value) in words for step in steps)
            return taken and asks and done and (is_pop(read) or _is_lenient(read))
    return False


def added(view: View, item: Stored, code: str) -> Fix | Refusal:
    """A new teardown behind the function that opens the connection."""
    function = item.function
    name = _variable(item)
    unit = view.layout().unit_of(function.node)
    taken = f'{name} = {_g(view, function)}.pop("{item.name}", None)'
    body = [taken, *_closing("", unit, name, code)]
    if function.owner is not None:
        layout = with_teardown_method(view, function, f"close_{name}", body)
    elif function.parent is not None:
        layout = with_teardown_inside(view, function, f"close_{name}", body)
    else:
        layout = with_teardown(view, function.node, f"close_{name}", body)
    if isinstance(layout, Refusal):
        return layout
    check = "that nothing needs it after the request, and that what is to be kept is committed before"
    return Fix("release it when the application context ends", Safety.REVIEW, tuple(layout.edits), check)
