"""Whether anything in a program calls a function, as far as its name tells."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from itertools import chain

from leakfix.languages.python.modules import FunctionInfo, Import
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.view import View
from leakfix.project.deployment import started_by
from leakfix.project.kinds import is_command, is_migration_file, is_run_once
from leakfix.project.mentions import is_whole, project_root

SERVES = ("urlpatterns", "FastAPI", "Flask")
"""Words of a program that answers requests: what it does not call, nobody calls."""
_TESTS = (b"TestCase", b"def test_", b"def setUp", b"pytest")
_UNUSED = re.compile(r"(?<!for )\b(?:unused|not used|no longer used|obsolete)\b", re.IGNORECASE)
_SETS_UP_A_TASK = frozenset({"shared_task", "task", "job", "actor"})
_KEEPS = frozenset(
    "contextmanager asynccontextmanager staticmethod classmethod property cached_property override cache "
    "lru_cache".split()
)
"""Decorators that hand a function to nobody: who wants it must name it."""
_LOADED = frozenset(
    "admin api app apps application asgi bot celery checks cli commands config conftest context_processors forms "
    "handlers index main manage middleware models receivers resources routes run schema server settings signals "
    "tasks urls views worker wsgi".split()
)
"""Files that a framework or a person loads by their names."""
_FOLDERS_LOADED = frozenset("commands templatetags cogs extensions plugins scripts bin".split())
_LOADS = re.compile(
    rb"import_module|load_extension|load_module|iter_modules|walk_packages|listdir|\bglob\b|autodiscover|find_modules"
)
_IMPORTED = (
    r"[ \t]*(?:from|import)\b[^#]*\b{word}\b|.*[\"'][\w./]*[./]{word}\b"
    r"|[ \t]+(?:\w+(?:[ \t]+as[ \t]+\w+)?[ \t]*,[ \t]*)*{word}[ \t]*(?:as[ \t]+\w+[ \t]*)?[,)]?[\w \t,)]*\r?(?:#|$)"
)
_DEEPEST = 2
_COMMANDS = re.compile(r".*\.core\.management\.(?:base\.)?\w*Command")
_OF_COMMANDS = frozenset(
    "handle handle_app_config handle_label add_arguments create_parser execute run_from_argv print_help check "
    "check_migrations get_version get_check_kwargs handle_noargs usage style_func".split()
)
"""What is called of a command by the class it derives from."""
_CONSTANTS = rb"\(\s*(?:(?:\w+\s*=\s*)?(?:\"[^\"\n]*\"|'[^'\n]*'|\d+|True|False|None)\s*,?\s*)*\)"
_GOES_ON = re.compile(rb"^[ \t]+while[ (]+(?:True|1|not|self)\b", re.MULTILINE)
_TOLD = re.compile(rb"\s*(?:from\b.*\bimport\b|import\b|#)")


def is_called(view: View, function: FunctionInfo, depth: int = 0) -> bool:
    """Whether anything beside tests uses a function, in this file or another, and is used itself.

    A library cannot know who calls it, so that the answer is yes, as for what a decorator hands to somebody who calls;
    nobody imports migrations.
    What its author says is unused, is not.
    """
    if _is_said_to_be_unused(view, function):
        return False
    if _is_of_no_command(view, function):
        return False
    if not is_migration_file(view.module.path):
        if not is_program(view):
            return True
        if not _is_imported(view):
            return False
    at: FunctionInfo | None = function
    while at is not None:
        if not (_is_handed_on(at) or _is_inherited(view, at) or _is_used(view, at, depth)):
            return False
        at = at.parent
    return True


def _is_of_no_command(view: View, function: FunctionInfo) -> bool:
    """Whether a function of a command's file stands in a class that Django does not look for, and nothing names."""
    owner = function.owner
    if owner is None or owner.node.name == "Command" or not is_command(view.module.path):
        return False
    name = owner.node.name
    return not view.uses(name, None) and not any(True for text in view.texts(name) if not is_of_tests(text))


def _is_imported(view: View) -> bool:
    """Whether a file of a program is run, loaded by a framework, or named by another file as something to import."""
    root = project_root(view.module.path)
    path = os.path.relpath(os.path.abspath(view.module.path), root).replace(os.sep, "/")
    *folders, stem = path.removesuffix("/__init__.py").removesuffix(".py").split("/")
    if not folders or stem in _LOADED or folders[-1] in _FOLDERS_LOADED or b"__main__" in view.module.source.data:
        return True
    imported = re.compile(_IMPORTED.format(word=re.escape(stem)).encode())
    texts = (text for text in view.texts(stem) if not is_of_tests(text))
    if any(imported.match(line) for text in texts for line in _lines_with(text, stem.encode())):
        return True
    quoted = re.compile(rb"[\"'](?:[\w.]+[./])?" + re.escape(folders[-1].encode()) + rb"[\"'./]")
    if any(_LOADS.search(text) and quoted.search(text) for text in view.texts(folders[-1])):
        return True
    named = re.compile(rf"\b{re.escape(folders[-1])}[./]{re.escape(stem)}\b")
    return any(map(named.search, _started_by(view)))


def _started_by(view: View) -> list[str]:
    return view.once("what starts the project", lambda: started_by(view.module.path))


def _lines_with(text: bytes, word: bytes) -> Iterator[bytes]:
    """The lines of a text that a word stands in; patterns are asked of these alone."""
    at = text.find(word)
    while at >= 0:
        end = text.find(b"\n", at)
        end = end if end >= 0 else len(text)
        yield text[text.rfind(b"\n", 0, at) + 1 : end]
        at = text.find(word, end)


def _is_used(view: View, function: FunctionInfo, depth: int) -> bool:
    """Whether a function's name stands where it is not defined, in a function that is called itself or outside all."""
    name = function.node.name
    if name.startswith("__"):
        return True
    for node in view.parents:
        match node:
            case ast.Name(id=found) | ast.Attribute(attr=found) | ast.Constant(value=str() as found) if found == name:
                user = view.function_of(node)
                if user is None or (user is not function and (depth >= _DEEPEST or is_called(view, user, depth + 1))):
                    return True
    if any(re.search(rf":{name}\b", text) for text in _started_by(view)):
        return True
    word = re.escape(name.encode())
    told = re.compile(rb"(?m)^[^#\n]*\b" + word + rb"\b")
    others = (text for text in view.texts(name) if not is_of_tests(text) and told.search(text))
    if function.owner is not None:
        return any(True for _ in others)
    own = re.compile(rb"^(?:async )?def " + word + rb"\(", re.MULTILINE)  # those files mean another
    of_module = re.compile(rb"(?<!\bself)\." + word + rb"\b")
    return any(own.search(text) is None or of_module.search(text) for text in others)


def is_called_at_import(view: View, function: FunctionInfo) -> bool:
    """Whether only statements of its own file call a function, which are run once and end: a script."""
    if function.owner is not None or function.parent is not None or _is_handed_on(function):
        return False
    uses = [use for use in view.uses(function.node.name, None) if view.function_of(use) is not function]
    if not uses or any(view.function_of(use) is not None or _may_never_end(view, use) for use in uses):
        return False
    return not any(True for text in view.texts(function.node.name) if not is_of_tests(text))


def _may_never_end(view: View, node: ast.AST) -> bool:
    """Whether a use stands in a loop that goes on while something comes: ``while``, ``for`` over a library's object."""
    for loop in view.loops_round(node):
        if not isinstance(loop, ast.For):
            return True
        source = loop.iter.func if isinstance(loop.iter, ast.Call) else loop.iter
        roots = {name.partition(".")[0] for name in view.of(source)}
        if not roots <= {"builtins", *sys.stdlib_module_names}:
            return True
    return False


def is_called_with_constants(view: View, function: FunctionInfo) -> bool:
    """Whether all of the program calls a function with constants or nothing: it meets as many values as calls.

    Tests say nothing of that, which give it what they like, nor do commands, whose process ends.
    """
    if _is_handed_on(function):
        return False
    name = re.escape(function.node.name.encode())
    plain = re.compile(rb"(?<!def )\b" + name + _CONSTANTS)
    otherwise = re.compile(rb"(?<!def )\b" + name + rb"\b(?!" + _CONSTANTS + rb")")
    others = (text for text in view.texts(function.node.name) if not is_of_tests(text) and not is_of_command(text))
    called = False
    for text in chain([view.module.source.data], others):
        lines = [line for line in _lines_with(text, function.node.name.encode()) if not _TOLD.match(line)]
        if any(map(otherwise.search, lines)):
            return False
        called = called or any(map(plain.search, lines))
    return called


def _is_said_to_be_unused(view: View, function: FunctionInfo) -> bool:
    """Whether its docstring, or a comment above its first statement, says that nobody uses it."""
    source, first = view.module.source, function.node.lineno
    lines = [source.line_text(line) for line in range(max(1, first - 2), function.node.body[0].lineno)]
    said = [line for line in lines if line.lstrip().startswith("#")]
    return any(_UNUSED.search(text) for text in (*said, ast.get_docstring(function.node) or ""))


def users(view: View) -> dict[str, bytes]:
    """The files beside tests and packages' faces that name something this file defines, and the file or its package."""
    names = view.module.names.items()
    imported = {name for name, bindings in names if any(isinstance(item, Import) for item in bindings)}
    defined = {name for name in view.module.names if name not in imported and not name.startswith("_")}
    if not defined:
        return {}
    path = os.path.abspath(view.module.path)
    folder, file = os.path.split(os.path.dirname(path) if os.path.basename(path) == "__init__.py" else path)
    found = dict(view.text.files(file.removesuffix(".py")))
    faces = [text for path, text in found.items() if os.path.abspath(path) == os.path.join(folder, "__init__.py")]
    for name in sorted(defined) if faces else ():
        if re.search(rf"\b{name}\b|import[ \t]+\*".encode(), faces[0]):  # from there it goes anywhere
            found.update(view.text.files(name))
    using = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(defined)))})\b".encode())
    return {
        path: text
        for path, text in found.items()
        if not (path.endswith("__init__.py") or is_of_tests(text)) and using.search(text)
    }


def serves_what_ends(view: View) -> bool:
    """Whether only commands, scripts and migrations name what a file defines: processes that end when they are done."""
    found = users(view) or {view.module.path: view.module.source.data}
    return all(
        (is_run_once(path) or _is_script(text)) and _GOES_ON.search(text) is None for path, text in found.items()
    )


def _is_script(text: bytes) -> bool:
    """Whether a file's text is that of a program of its own, which serves nobody."""
    return text.startswith(b"#!") and b"__main__" in text and not any(word.encode() in text for word in SERVES)


def is_of_tests(text: bytes) -> bool:
    """Whether a file's text looks like one of tests; plain words, because thousands of files are asked."""
    return any(word in text for word in _TESTS)


def is_of_command(text: bytes) -> bool:
    """Whether a file's text is that of a command of Django that does its work once."""
    return b"BaseCommand" in text and _GOES_ON.search(text) is None


def is_program(view: View) -> bool:
    """Whether other files of the project answer requests, and all there is of it is here: its folder has a mark."""
    return is_whole(view.module.path) and any(True for word in SERVES for _ in view.texts(word))


def _is_handed_on(function: FunctionInfo) -> bool:
    """Whether a decorator gives it to somebody who calls it; a task waits for that, whatever else is put round it."""
    words = {name_of(item) for item in function.node.decorator_list} - _KEEPS
    return bool(words) and words.isdisjoint(_SETS_UP_A_TASK)


def _is_inherited(view: View, function: FunctionInfo) -> bool:
    """Whether it may stand for one of a base class, such as a command's ``handle``, which that calls."""
    if function.owner is None or not function.owner.node.bases:
        return False
    if not view.names.stands_alone(view.module, function.owner):
        bases = [view.of(base) for base in function.owner.node.bases]
        plain = all(names and all(map(_COMMANDS.fullmatch, names)) for names in bases)
        return not plain or function.node.name in _OF_COMMANDS
    above = (info for _, info in view.names.lineage(view.module, function.owner) if info is not function.owner)
    return any(function.node.name in info.methods for info in above)
