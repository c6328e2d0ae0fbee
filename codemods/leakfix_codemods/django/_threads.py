"""Where code hands a function to a thread, an executor or a scheduler."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from leakfix.codemod import Text, View
from leakfix.languages.python.modules import FunctionInfo, Module, own_nodes

_EXECUTORS = frozenset({"concurrent.futures.ThreadPoolExecutor()", "concurrent.futures.thread.ThreadPoolExecutor()"})
_EXECUTOR_NAME = re.compile(r"executor|thread_?pool", re.IGNORECASE)
_TO_THREAD = ("asyncio.to_thread", "asyncio.threads.to_thread", "anyio.to_thread.run_sync")
_MANAGER = re.compile(rb"\.objects\b|\b_default_manager\b")
_ELSEWHERE = {
    "Thread": rb"Thread\([^()]*?target\s*=\s*([\w.]+)",
    "Timer": rb"Timer\([^,()]*,\s*([\w.]+)",
    "ThreadPoolExecutor": rb"\.(?:submit|map)\(\s*([\w.]+)",
    "add_job": rb"add_job\)?\(\s*(?:func\s*=\s*)?([\w.]+)",
    "schedule": rb"\.do\(\s*([\w.]+)",
    "run_in_executor": rb"run_in_executor\([^,()]*,\s*([\w.]+)",
    "to_thread": rb"\bto_thread(?:\.run_sync)?\(\s*([\w.]+)",
}
HANDING_ON = tuple(_ELSEWHERE)
_FUNCTION = re.compile(rb"\bdef (\w+)\(")
_STARTING = tuple(b"Thread Timer( .submit( add_job scheduled_job repeat( run_in_executor( to_thread".split())
_STARTING_OF = ((b".map(", b"xecutor"), (b".do(", b"schedule"))


_ALONE, _WORKER = "in its own thread", "in a worker"


@dataclass(frozen=True)
class Start:
    """A function that is run elsewhere: "in its own thread" or "in a worker", and the expression that names it.

    ends: the thread ends with the function, or soon after.
    """

    module: Module
    function: FunctionInfo
    how: str
    target: ast.expr | None
    ends: bool


def starts(view: View) -> dict[str, list[Start]]:
    """The functions of a file that the project runs in other threads, by their qualified names."""
    found: dict[str, list[Start]] = {}
    here = _starts_in(view) if hands_on(view.module.source.data) else ()
    for start in (*here, *_starts_elsewhere(view)):
        if start.module is view.module and isinstance(start.function.node, ast.FunctionDef):
            found.setdefault(start.function.qualname, []).append(start)
    return found


def _starts_elsewhere(view: View) -> Iterator[Start]:
    """What other files start of this one; only those are parsed whose text hands on a name it defines."""
    if _MANAGER.search(view.module.source.data) is None:
        return  # a function that only calls others is looked for where it is started, not everywhere
    own = {function.node.name.encode() for function in view.functions if not function.node.name.startswith("__")}
    parts = view.module.path.removesuffix("/__init__.py").removesuffix(".py").split("/")
    stem = parts[-1].encode()
    for word, pattern in _ELSEWHERE.items():
        if _handed_on(view.text, word, pattern) & own:
            worth = partial(_hands_on, pattern, own, stem)
            for other in view.others(word, worth):
                yield from _starts_in(view.elsewhere(other))


def _hands_on(pattern: bytes, own: set[bytes], stem: bytes, text: bytes) -> bool:
    return stem in text and not own.isdisjoint(_names(pattern, text))


def hands_on(data: bytes) -> bool:
    """Whether a file's text has what starts a function elsewhere."""
    return any(word in data for word in _STARTING) or any(form in data and of in data for form, of in _STARTING_OF)


def may_start(text: Text) -> bool:
    """Whether a file hands functions on, or has one whose name some file of the project hands on."""
    if hands_on(text.data):
        return True
    own = set(_FUNCTION.findall(text.data))
    return any(not own.isdisjoint(_handed_on(text, word, pattern)) for word, pattern in _ELSEWHERE.items())


def _handed_on(text: Text, word: str, pattern: bytes) -> set[bytes]:
    """The names that files of the project hand on."""
    elsewhere = text.once(
        f"django: what is handed to {word}",
        lambda: set[bytes]().union(*(_names(pattern, other) for other in text.texts(word))),
    )
    return elsewhere | _names(pattern, text.data)


def _names(pattern: bytes, text: bytes) -> set[bytes]:
    return {match.group(1).rpartition(b".")[2] for match in re.finditer(pattern, text)}


def _starts_in(view: View) -> Iterator[Start]:
    for call in view.calls:
        function = view.function_of(call)
        for how, target in (*_targets(view, function, call), *_targets_of_runner(view, function, call)):
            ends = how == _ALONE or _is_left(view, function, call)
            while (
                isinstance(target, ast.Call) and view.is_a(target.func, function, "functools.partial") and target.args
            ):
                target = target.args[0]
            for name in view.of(target, function):
                found = view.names.function(name)
                if found is not None:
                    yield Start(*found, how, target, ends)
    for function in view.functions:
        if any(_schedules(view, decorator, function.parent) for decorator in function.node.decorator_list):
            yield Start(view.module, function, _WORKER, None, ends=False)
    for info in view.module.classes.values():
        run = info.methods.get("run")
        if run is not None and "threading.Thread" in view.names.outside_bases(view.module, info):
            yield Start(view.module, run, _ALONE, None, ends=True)


def _schedules(view: View, decorator: ast.expr, function: FunctionInfo | None) -> bool:
    if not isinstance(decorator, ast.Call):
        return False
    if isinstance(decorator.func, ast.Attribute) and decorator.func.attr == "scheduled_job":
        return True
    return view.is_a(decorator.func, function, "schedule.repeat")


def _targets(view: View, function: FunctionInfo | None, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    method = call.func
    if isinstance(method, ast.Call) and len(method.args) == 1:  # sync_to_async(scheduler.add_job)(f)
        method = method.args[0]
    words = {word.arg: word.value for word in call.keywords}
    match getattr(method, "attr", getattr(method, "id", "")):
        case "Thread" | "Timer" if view.is_a(method, function, "threading.Thread", "threading.Timer"):
            target = words.get("target", words.get("function", call.args[1] if len(call.args) > 1 else None))
            if target is not None:
                yield _ALONE, target
        case "submit" | "map" if (
            call.args and isinstance(method, ast.Attribute) and _is_executor(view, method, function)
        ):
            yield _WORKER, call.args[0]
        case "add_job" if isinstance(method, ast.Attribute) and "sched" in ast.unparse(method.value).lower():
            if call.args or "func" in words:
                yield _WORKER, call.args[0] if call.args else words["func"]
        case "run_in_executor" if len(call.args) > 1 and not _is_of_processes(view, call.args[0], function):
            yield _WORKER, call.args[1]
        case "to_thread" | "run_sync" if call.args and view.is_a(method, function, *_TO_THREAD):
            yield _WORKER, call.args[0]
        case "do" if call.args and any(name.startswith("schedule.") for name in view.of(method, function)):
            yield _WORKER, call.args[0]


def _targets_of_runner(view: View, function: FunctionInfo | None, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """What is given to a function of the project that has a worker run it: ``bridge.call(store.find, name)``."""
    given = [item for item in call.args if isinstance(item, ast.Name | ast.Attribute)]
    called = view.of(call.func, function) if given else ()
    runners = [runner for name in called if (runner := view.names.function(name)) is not None]
    if (
        isinstance(call.func, ast.Attribute)
        and not called
        and any(_is_function(view, item, function) for item in given)
    ):
        runners = _methods_called(view, call.func.attr)
    for runner in runners:
        if runner[1].node.decorator_list:
            continue
        names = [argument.arg for argument in runner[1].node.args.args]
        skipped = 1 if runner[1].owner is not None else 0
        run = set(_run_by(view.elsewhere(runner[0]), runner[1]))
        for item in given:
            at = call.args.index(item) + skipped
            if at < len(names) and names[at] in run:
                yield _WORKER, item


def _is_function(view: View, node: ast.expr, function: FunctionInfo | None) -> bool:
    return any(view.names.function(name) is not None for name in view.of(node, function))


def _methods_called(view: View, word: str) -> list[tuple[Module, FunctionInfo]]:
    """The method of that name, where one class alone of those that a file names has it."""
    classes = (
        view.names.class_(found) for name in view.module.names for found in view.names.module_name(view.module, name)
    )
    found = [(each[0], each[1].methods[word]) for each in classes if each is not None and word in each[1].methods]
    return found if len(found) == 1 else []


def _run_by(view: View, function: FunctionInfo) -> Iterator[str]:
    """The parameters of a function that it hands to a worker, and does nothing else with."""
    for node in own_nodes(function.node):
        for how, target in _targets(view, function, node) if isinstance(node, ast.Call) else ():
            if isinstance(target, ast.Call) and view.is_a(target.func, function, "functools.partial") and target.args:
                target = target.args[0]
            if how == _WORKER and isinstance(target, ast.Name) and len(view.uses(target.id, function)) == 1:
                yield target.id


def _is_left(view: View, function: FunctionInfo | None, call: ast.Call) -> bool:
    """Whether a call hands work to an executor whose ``with`` the function leaves, which ends its threads."""
    pool = call.func.value if isinstance(call.func, ast.Attribute) else None
    blocks = (node for node in view.own(function) if isinstance(node, ast.With)) if function is not None else ()
    entered = {
        item.optional_vars.id for node in blocks for item in node.items if isinstance(item.optional_vars, ast.Name)
    }
    return isinstance(pool, ast.Name) and pool.id in entered


def _is_of_processes(view: View, pool: ast.expr, function: FunctionInfo | None) -> bool:
    told = (ast.unparse(pool), *view.of(pool, function))
    return any("process" in name.lower() for name in told)


def _is_executor(view: View, method: ast.Attribute, function: FunctionInfo | None) -> bool:
    names = view.of(method.value, function)
    if names:  # what may be another kind as well may run it at once
        return _EXECUTORS.issuperset(names)
    text = ast.unparse(method.value)
    return method.attr == "submit" and _EXECUTOR_NAME.search(text) is not None and "process" not in text.lower()
