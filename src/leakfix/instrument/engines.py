"""The engine whose pool tests can look at: the project's only one, at module level, and how tests import it."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from leakfix.instrument.known import Project
from leakfix.languages.python.modules import Module, Value
from leakfix.languages.python.names import Names, Place
from leakfix.languages.python.project import Modules
from leakfix.project.files import read_file
from leakfix.resources import PoolRow

_ONE_OFF = re.compile(r"(?:^|/)(?:alembic|migrations?|scripts?|notebooks?)/")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine in a variable of its own. module: the dotted name by which tests import its file; None: they cannot.

    overflow: how many connections its pool hands out beyond its size; None where that cannot be seen.
    """

    path: str
    name: str
    row: PoolRow
    module: str | None
    overflow: int | None

    @property
    def in_use(self) -> str:
        """The expression that counts what is handed out."""
        return f"{self.name}.{self.row.in_use}"


def only_engine(project: Project) -> Engine | str:
    """The one engine, or the reason why there is none that tests could look at."""
    names = Names(Modules(read_file))
    found = [(module, call, row) for path in _candidates(project) for module, call, row in _calls(names, path, project)]
    if not found:
        return "no engine with a pool is made in a variable of a module"
    if len(found) > 1:
        paths = sorted({module.path for module, *_ in found})
        return f"several engines are made, in {', '.join(paths)}"
    module, call, row = found[0]
    name = _variable(module, call)
    if name is None:
        return f"the engine of {module.path} is not made in a variable of the module"
    if not _queues(project, module, call, row):
        return f"the pool of the engine of {module.path} may be one that does not count"
    return Engine(module.path, name, row, dotted(project, module.path), _overflow(call, row))


def rule_of(project: Project) -> str:
    """The codemod that registers the metrics of a pool; empty where there is none."""
    return next((row.rule for row in project.table.pools if row.rule), "")


def _candidates(project: Project) -> list[str]:
    words = [name.rpartition(".")[2].encode() for row in project.table.pools for name in row.makers]
    files = [path for path in project.files if not _ONE_OFF.search(path)]
    return [path for path in files if any(word in project.read(path) for word in words)]


def _calls(names: Names, path: str, project: Project) -> Iterator[tuple[Module, ast.Call, PoolRow]]:
    module = names.modules.load(path)
    for node in ast.walk(module.tree) if module is not None else ():
        if isinstance(node, ast.Call) and module is not None:
            known = names.of(node.func, Place(module, None))
            row = next((row for row in project.table.pools if any(name in row.makers for name in known)), None)
            if row is not None:
                yield module, node, row


def _variable(module: Module, call: ast.Call) -> str | None:
    for statement in module.tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ) if value is call:
                return name
    return None


def _queues(project: Project, module: Module, call: ast.Call, row: PoolRow) -> bool:
    """Whether the pool is sure to count: said so, or the default for the address of a server."""
    given = {word.arg: word.value for word in call.keywords}
    if None in given or any(word in given for word in row.opaque):
        return False
    if row.pool_keyword in given:
        kind = given[row.pool_keyword]
        return getattr(kind, "attr", getattr(kind, "id", "")) in row.pools
    address = call.args[0] if call.args else given.get("url")
    texts = list(_strings(module, address, 0)) if address is not None else []
    if any(word in text for word in row.files for text in texts):
        return False
    if any("://" in text for text in texts):
        return True
    return not any(word in text for word in row.files for text in project.telling_texts())


def _strings(module: Module, node: ast.expr, depth: int) -> Iterator[str]:
    """The strings an address is made of, through variables of the file."""
    for item in ast.walk(node):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield item.value
        elif isinstance(item, ast.Name) and depth < 3:
            for binding in module.names.get(item.id, []):
                if isinstance(binding, Value) and binding.how == "is":
                    yield from _strings(module, binding.expression, depth + 1)


def _overflow(call: ast.Call, row: PoolRow) -> int | None:
    for word in call.keywords:
        if word.arg == row.overflow_keyword:
            value = word.value.value if isinstance(word.value, ast.Constant) else None
            return value if isinstance(value, int) else None
    return row.overflow


def dotted(project: Project, path: str) -> str | None:
    """The name under which tests import a file; None where nothing shows that they could."""
    parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
    if not all(part.isidentifier() for part in parts[1:]):
        return None
    for index, part in enumerate(parts):
        if part in project.imported_by_tests:
            return ".".join(parts[index:])
    for folder in (os.path.normpath(folder) for folder in project.pytest.python_path):
        if folder == "." or path.startswith(folder + "/"):
            return ".".join(parts if folder == "." else parts[folder.count("/") + 1 :])
    if project.is_package:
        return ".".join(parts[1:] if parts[0] == "src" and len(parts) > 1 else parts)
    return ".".join(parts) if _puts_root_on_path(project) else None


def _puts_root_on_path(project: Project) -> bool:
    """Whether pytest itself, as it imports the tests, lets them import from the working directory."""
    folder = project.test_folder or "."
    return folder == "." or os.path.isfile(f"{folder}/__init__.py") or os.path.isfile("conftest.py")
