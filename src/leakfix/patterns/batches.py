"""Functions that go through whole tables on purpose: commands, tasks, migrations, exports, streamed answers."""

from __future__ import annotations

import ast
import re

from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.patterns.view import View
from leakfix.project.kinds import is_command, is_copy, is_migration_file

_TASKS = re.compile(r"(?:^|/)(?:tasks?|jobs?|workers?|cron|exports?|exporters?)(?:\.py$|/)")
_DEVELOPMENT = re.compile(
    r"(?:^|/)management/commands/[^/]*(?:random|fake|fixture|dummy|mock|sample|demo|anonymi[sz]e|obfuscat|sensitive|"
    r"staging|prod_data|superuser|seed|cleanse|scramble|test|undo)"
)
"""Commands for a developer's database, in which there is little, and those that take a step back."""
_SAID_FOR_DEVELOPMENT = re.compile(
    rb"\bdevelopment (?:use )?only\b|\bonly for (?:local )?(?:development|testing)\b"
    rb"|\bfor (?:development|testing) purposes\b"
    rb"|^(?:from|import) (?!django\b)(?:[\w.]+\.)?(?:tests?|factories|faker|factory|mimesis)\b",
    re.IGNORECASE | re.MULTILINE,
)
_FOR_TRIAL = re.compile(r"(?:^|_)(?:sample|fake|fixtures?|dummy|demo|seed)(?:_|$)")
"""Functions that fill a database to try a program out."""
_TASK_DECORATORS = frozenset(
    "shared_task task periodic_task job db_task db_periodic_task cron schedule scheduled_job actor".split()
)
_EXPORTS = re.compile(
    r"(?:^|_)(?:export|dump|backup|backfill|reindex|rebuild|recompute|recalculate|recount|migrate|csv|stream|send|mail|"
    r"mailing|digest|notify|sync|archive|purge|cleanup|import|populate|forwards?|backwards?|upgrade|report)(?:_|$)"
)
_ALEMBIC = re.compile(r"(?:^|/)\w*alembic\w*[/.]")
_ONCE = re.compile(r"(?:^|_)(?:backfill|migrate|populate|forwards?|backwards?|upgrade)(?:_|$)")
_BATCHES = re.compile(
    rb"\byield\b|\bwriterows?\(|\.write\(|\bStreaming|\bschema_editor\b|async for |"
    rb"@(?:\w+\.)*(?:shared_task|task|periodic_task|job|db_task|db_periodic_task|cron|schedule|scheduled_job|actor)\b|"
    rb"def (?:\w+_)?(?:export|dump|backup|backfill|reindex|rebuild|recompute|recalculate|recount|migrate|csv|stream|"
    rb"send|mail|mailing|digest|notify|sync|archive|purge|cleanup|import|populate|forwards?|backwards?|upgrade|report)[_(]"
)
_TOP = (b"\ndef ", b"\nasync def ", b"\nclass ")
_WRITES_ROWS = frozenset({"writerow", "writerows"})


def may_be_batch(data: bytes, path: str, at: int) -> bool:
    """Whether a place in a file's text may be in such a function, by the file's path and what stands round it."""
    if is_command(path) or is_migration_file(path) or _TASKS.search(path) is not None:
        return True
    start = max(0, *(data.rfind(form, 0, at) for form in _TOP))
    above = max(0, data.rfind(b"\n\n", 0, start), data.rfind(b"\n\r\n", 0, start))  # decorators
    ends = [end for form in _TOP if (end := data.find(form, at)) >= 0]
    return _BATCHES.search(data, above, min(ends, default=len(data))) is not None


def is_batch(view: View, function: FunctionInfo | None) -> bool:
    """Whether a function, by where it stands or what it does, is made to go through everything there is."""
    path = view.module.path
    if function is None or _is_revision(view) or is_copy(path) or _DEVELOPMENT.search(path):
        return False
    if _FOR_TRIAL.search(function.node.name):
        return False
    if is_command(path) and _SAID_FOR_DEVELOPMENT.search(view.module.source.data):
        return False
    if is_command(path) or _TASKS.search(path):
        return True
    at: FunctionInfo | None = function
    while at is not None:
        if _is_task(at) or _EXPORTS.search(at.node.name) or _streams(at) or is_migration(path, at):
            return True
        at = at.parent
    return False


def _is_revision(view: View) -> bool:
    """Whether a file is a revision of Alembic: it runs once, and mostly over tables that describe, not over what grows.

    Of 26 such loops read in public code, one was over a table that grows with use.
    """
    if _ALEMBIC.search(view.module.path):
        return True
    return b"down_revision" in view.module.source.data and "down_revision" in view.module.names


def _is_task(function: FunctionInfo) -> bool:
    words = set()
    for decorator in function.node.decorator_list:
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        words.add(getattr(node, "attr", getattr(node, "id", "")))
    return bool(words & _TASK_DECORATORS)


def is_migration(path: str, function: FunctionInfo) -> bool:
    """Whether a function changes the data of a table that is there, once."""
    given = [argument.arg for argument in function.node.args.args]
    if _ONCE.search(function.node.name):
        return True
    return given[-1:] == ["schema_editor"] or (is_migration_file(path) and len(given) >= 2)


def _streams(function: FunctionInfo) -> bool:
    """Whether it hands rows on one by one, or writes them to a file of rows."""
    opened = _opened(function)
    for node in own_nodes(function.node):
        match node:
            case ast.Yield() | ast.YieldFrom() if not _is_scope(function):
                return True
            case ast.Attribute(attr=word) if word in _WRITES_ROWS:
                return True
            case ast.For() if _writes_on(node, opened):
                return True
            case ast.Name(id=word) if word.startswith("Streaming"):
                return True
    return False


def _opened(function: FunctionInfo) -> set[str]:
    """The files that a function opens, by the names it gives them."""
    found = set[str]()
    for node in own_nodes(function.node):
        match node:
            case (
                ast.withitem(context_expr=ast.Call(func=called), optional_vars=ast.Name(id=name))
                | ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=called))
            ) if getattr(called, "attr", getattr(called, "id", "")) == "open":
                found.add(name)
    return found


def _writes_on(loop: ast.For, opened: set[str]) -> bool:
    """Whether a loop writes to one of these files, round after round."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "write"
        and isinstance(node.value, ast.Name)
        and node.value.id in opened
        for statement in loop.body
        for node in ast.walk(statement)
    )


def _is_scope(function: FunctionInfo) -> bool:
    """Whether its ``yield`` hands out one thing to be used meanwhile: a context manager, a fixture, a dependency."""
    said = " ".join(ast.unparse(decorator) for decorator in function.node.decorator_list)
    yields = sum(isinstance(node, ast.Yield) for node in own_nodes(function.node))
    return "contextmanager" in said or "fixture" in said or (yields == 1 and function.node.name.startswith("get_"))
