"""ORM use in a thread that Django does not look after: nobody closes the thread's connection.

What leaks
----------
A function that runs in a ``threading.Thread`` or ``Timer``, in an executor, by ``run_in_executor`` or ``to_thread``,
or as a job of APScheduler or ``schedule``, asks the database through Django and never closes the connection; and a
command whose loop never ends. Functions are followed three calls deep, also into other files.

Why it hurts
------------
Connections belong to threads ("each thread maintains its own connection", Django's documentation, "Databases").
Django closes them when a request begins and ends, which never happens in such a thread: ``CONN_MAX_AGE`` is not
looked at, and the connection of a thread that has ended stays open until the cyclic collector runs. Those of a worker
or an endless loop stay open for ever, broken ones included.

How it is repaired
------------------
The function of a thread, or of an executor that its ``with`` ends, closes its connections in a ``finally``:
``connections.close_all()`` closes those of the thread that calls it. What other workers run calls
``close_old_connections()`` before and after, as Django does around a request, and an endless loop does so at the head
of each round. Offered for review: connections that other code keeps for the same thread are closed, too.

When it is left alone
---------------------
The function, a decorator of it or something it calls closes connections. Loops that end when there is nothing left.
No repair where the function is used in other ways as well: called directly, it would close the connection of its
caller. Tests, coroutines and generators.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, Step, Text, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.names import Place
from leakfix.project.kinds import is_test
from leakfix.repairs.python.imports import imported
from leakfix_codemods._blocks import body_of, is_laid_out, put_in_try
from leakfix_codemods.django._orm import closes, first_query, is_generator, nodes_of
from leakfix_codemods.django._querysets import links
from leakfix_codemods.django._threads import HANDING_ON, Start, hands_on, may_start, starts

_COMMANDS = re.compile(r"(?:^|/)management/commands/[^/]+$")
_WAITS = frozenset("sleep wait listen poll blpop brpop get_message receive recv accept".split())
_DONE = re.compile(r"^not \w|\bis None$|\blen\(|==|\.a?exists\(|DoesNotExist|Empty|StopIteration")
_STOPPED = re.compile(r"stop|shut|exit|quit|terminat|signal|cancel|kill|running|alive|once|connect", re.IGNORECASE)
_KEPT_OPEN = re.compile(r"\batomic\b|\bcursor\(|\bset_autocommit\b|\.a?iterator\(")


def find(view: View) -> Iterator[Match]:
    """Functions with queries that run outside Django's care, and endless loops of commands."""
    if is_test(view.module.path) or not _is_of_django(view.text):
        return
    started = starts(view)
    for function in view.functions if started or _COMMANDS.search(view.module.path) else ():
        place = Place(view.module, function)
        begun = started.get(function.qualname, [])
        if (not begun and not _COMMANDS.search(view.module.path)) or not isinstance(function.node, ast.FunctionDef):
            continue
        loop = _endless_loop(view, function)
        used = _asked(view, function, loop) if loop or begun else None
        used = used or (_handed_in(view, function) if begun else None)
        if used is None or is_generator(function) or closes(view.names, place):
            continue
        own = bool(begun) and all(start.ends for start in begun)
        if loop:
            message = "the loop never ends, and nothing closes a connection that is too old or broken"
        else:
            message = f"{function.node.name}() runs {begun[0].how}, and nothing closes the connection this opens there"
        yield Match(
            _marked(view, used),
            message,
            partial(repair, view, function, begun, loop),
            held="until-gc" if own and not loop else "forever",
            steps=(Step(function.node.lineno, f"{function.node.name}() runs outside any request"),),
            identity=function.qualname,
        )


def _asked(view: View, function: FunctionInfo, loop: ast.While | None) -> ast.expr | None:
    """What asks the database first; a queryset that a function returns is evaluated by whoever gets it."""
    body = loop.body if loop else function.node.body
    returned = {
        id(link)
        for node in nodes_of(body)
        if isinstance(node, ast.Return) and node.value is not None
        for link in links(node.value)
    }
    return first_query(view.names, Place(view.module, function), body, handed_back=returned)


def _handed_in(view: View, function: FunctionInfo) -> ast.expr | None:
    """A call of a parameter, where functions that ask the database are registered with an object of the class.

    By a decorator: ``@scheduler.every(60)``.
    """
    if function.owner is None:
        return None
    given = {argument.arg for argument in function.node.args.args}
    called = [node for node in view.own(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    called = [node for node in called if isinstance(node.func, ast.Name) and node.func.id in given]
    kind = f"@{view.module.path}:{function.owner.qualname}()"
    kept = [name for name in view.module.names if kind in view.names.module_name(view.module, name)] if called else []
    for other in (other for name in kept for other in view.mentioning(name)):
        for registered in other.functions:
            for decorator in registered.node.decorator_list:
                made = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(made, ast.Attribute) and kind in other.of(made.value, registered.parent):
                    if first_query(other.names, Place(other.module, registered), registered.node.body) is not None:
                        return called[0]
    return None


def _marked(view: View, used: ast.expr) -> ast.expr | ast.stmt:
    statement = view.statement_of(used)
    return statement if isinstance(statement, ast.Expr | ast.Assign | ast.Return | ast.AnnAssign) else used


def _endless_loop(view: View, function: FunctionInfo) -> ast.While | None:
    """The loop of a function that asks the database and goes on until the process ends."""
    for node in view.own(function):
        if isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value:
            exits = list(_exits(node.body, ""))
            waits = any(getattr(item, "attr", getattr(item, "id", "")) in _WAITS for item in nodes_of(node.body))
            if (not exits or (waits and not any(map(_is_done, exits)))) and first_query(
                view.names, Place(view.module, function), node.body
            ) is not None:
                return node
    return None


def _is_done(why: str) -> bool:
    """Whether a loop is left because its work is done, not because it was told to stop or counted its rounds."""
    return not why or (_DONE.search(why) is not None and _STOPPED.search(why) is None)


def _exits(body: list[ast.stmt], why: str) -> Iterator[str]:
    """Why a loop is left, for each place where it is: the text of the nearest condition, or of what was raised."""
    for statement in body:
        match statement:
            case ast.Break() | ast.Return():
                yield why
            case ast.If(test=test, body=then, orelse=otherwise):
                yield from _exits(then, ast.unparse(test))
                yield from _exits(otherwise, ast.unparse(test))
            case ast.For() | ast.AsyncFor() | ast.While():
                inner = (node for node in nodes_of([statement]) if isinstance(node, ast.Return))
                yield from (why for _ in inner)
            case ast.With(body=suite) | ast.AsyncWith(body=suite):
                yield from _exits(suite, why)
            case ast.Try(body=suite, handlers=handlers, orelse=otherwise, finalbody=final):
                yield from _exits([*suite, *otherwise, *final], why)
                for handler in handlers:
                    yield from _exits(handler.body, ast.unparse(handler.type) if handler.type is not None else "")
            case ast.Match(cases=cases):
                for case in cases:
                    yield from _exits(case.body, why)


def repair(view: View, function: FunctionInfo, begun: list[Start], loop: ast.While | None) -> Fix | Refusal:
    """Close the thread's connections when its work, or a round of it, is done."""
    layout = view.layout()
    if loop is not None:
        if _KEPT_OPEN.search(ast.unparse(function.node)):
            return Refusal(
                "a transaction or cursor may be open from round to round: where to close is for you to decide"
            )
        if not is_laid_out(layout, loop.body[:1]):
            return Refusal("the loop stands on one line")
        name = imported(view.module, layout, "django.db", "close_old_connections")
        line = loop.body[0].lineno
        layout.add_before(line, f"{layout.indent_of(line)}{name}()")
        check = "that no cursor or transaction is kept open from one round to the next"
        return Fix("close old connections in each round", Safety.REVIEW, tuple(layout.edits), check)
    reason = _why_not_alone(view, function, begun)
    if reason:
        return Refusal(reason)
    body = body_of(function.node)
    if not is_laid_out(layout, body):
        return Refusal("the function's statements share a line")
    if "set_autocommit" in ast.unparse(function.node):
        return Refusal("a transaction may be open from one task of the worker to the next")
    if all(start.ends for start in begun):
        name = imported(view.module, layout, "django.db", "connections")
        put_in_try(layout, body, "", ("finally:", f"{name}.close_all()"))
        check = "that nothing goes on using this thread's connections: what it starts, or the next task of a worker"
        return Fix("close the thread's connections when it ends", Safety.REVIEW, tuple(layout.edits), check)
    name = imported(view.module, layout, "django.db", "close_old_connections")
    put_in_try(layout, body, f"{name}()", ("finally:", f"{name}()"))
    check = "that the worker's connections are not used in a transaction round this"
    return Fix("close old connections before and after", Safety.REVIEW, tuple(layout.edits), check)


def _why_not_alone(view: View, function: FunctionInfo, begun: list[Start]) -> str:
    """Who else uses a function that is started; "" where nobody does."""
    said = " ".join(ast.unparse(item) for item in function.node.decorator_list)
    if re.search(r"\b(?:\w*task|receiver|actor|job)\b", said.replace("scheduled_job", "")):
        return f"{function.node.name}() is also run by what decorates it, perhaps within a transaction"
    known = {id(start.target) for start in begun}
    wanted, word = view.symbol(function), function.node.name
    is_thread = word == "run" and function.owner is not None
    for other in view.mentioning(function.owner.node.name if is_thread and function.owner is not None else word):
        for node in ast.walk(other.tree):
            match node:
                case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()) if name == word:
                    at = other.function_of(node)
                    names = other.of(node, at)
                    unsure = not names and isinstance(node, ast.Attribute)
                    if id(node) not in known and (wanted in names or unsure):
                        where = f"{at.node.name}()" if at is not None else other.module.path
                        return (
                            f"{word}() is also used in {where}: called there, it would close that thread's connection"
                        )
    return ""


def may_ask(data: bytes, path: str) -> bool:
    """Whether a file's text names a manager, whose functions others may start, or starts some."""
    return b".objects." in data or hands_on(data) or (b"while" in data and _COMMANDS.search(path) is not None)


def may_start_or_loop(text: Text) -> bool:
    """Whether a file starts functions, has one that others start, or is a command, which may go on for ever."""
    return _is_of_django(text) and (_COMMANDS.search(text.path) is not None or may_start(text))


def _is_of_django(text: Text) -> bool:
    """Whether a file, or any of its project, speaks of Django."""
    return b"django" in text.data or text.once("speaks of Django", lambda: any(True for _ in text.texts("django")))


CODEMOD = PatternCodemod(
    find=find,
    imports=("schedule", "apscheduler", "django"),
    words=(".objects", "Thread(", "Timer(", "xecutor", "to_thread"),
    shape=may_ask,
    worth=may_start_or_loop,
    noun="connection",
    repairs="connections.close_all() in a finally; close_old_connections() around the work",
    category=Category.LEAK,
    asks=("django", *HANDING_ON),
)
