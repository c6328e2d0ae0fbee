"""A fixture that fails every test which keeps a connection, in the project's own conftest.py and style.

Where tests can reach the project's only engine, its pool is asked before and after each test, and nothing has to be
installed. Elsewhere the fixture of leakfix's pytest plugin watches.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from string import Template

from leakfix import __version__
from leakfix.finding import Requirement
from leakfix.instrument import NewContent, Proposal
from leakfix.instrument.engines import Engine, only_engine
from leakfix.instrument.known import OLDEST_PYTHON, Project
from leakfix.instrument.needs import with_requirement
from leakfix.languages.python.modules import Import, Module, read_module
from leakfix.languages.python.project import Unparsable, parse
from leakfix.project.files import read_file
from leakfix.repairs.python.imports import bound_at_the_end, imported, imported_module
from leakfix.repairs.python.layout import Layout
from leakfix.source import SourceFile, UndecodableSource

LEAKFIX = Requirement("leakfix", __version__, "leakfix")
NAME = "_no_leaked_connections"
_SEEN = ("checkedout", "leakfix", NAME)

_DOCSTRING = '"""What all tests share."""\n'

_OF_THE_POOL = Template('''\
@$pytest.fixture(autouse=True)
def $name()$returns:
    """Fail a test that leaves connections of the pool in use."""
    # The underscore sorts it before other autouse fixtures of this file, so
    # that it looks after they have let go of theirs.
$import_\
    before = $in_use
    yield
    left = $in_use - before
    if left > 0:
        told = f"this test left {left} of the pool's connections in use: close them"
        $pytest.fail(told, pytrace=False)
''')

_OF_THE_PLUGIN = Template('''\
@$pytest.fixture(autouse=True)
def $name(leakfix$accepts)$returns:
    """Fail a test that leaves a connection, session or cursor open."""
''')


@dataclass(frozen=True, slots=True)
class _Style:
    """How a file is written. typed: whether its functions say what they return."""

    indent: str = "    "
    quote: str = '"'
    typed: bool = False


def propose(project: Project) -> Proposal:
    """The fixture, or why there is nothing to write."""
    folder = project.test_folder
    if project.pytest.leakfix:
        return Proposal(f"{project.pytest.file} switches leakfix on for every test", exists=True)
    for path in project.tests:
        if path.endswith("conftest.py") and any(word.encode() in project.read(path) for word in _SEEN):
            return Proposal(f"{path} looks for leaked connections already", exists=True)
    if folder is None:
        return Proposal("there are no tests in which a fixture could run")
    if not project.uses_database:
        return Proposal("nothing here imports a library that opens database connections")
    engine = only_engine(project)
    if isinstance(engine, Engine) and engine.module is None:
        engine = f"nothing shows how tests could import {engine.path}"
    path = os.path.normpath(os.path.join(folder, "conftest.py"))
    if isinstance(engine, Engine):
        return _with_pool(project, path, engine)
    return _with_plugin(project, path, engine)


def _with_pool(project: Project, path: str, engine: Engine) -> Proposal:
    content = _written(project, path, engine)
    if isinstance(content, str):
        return Proposal(content)
    return Proposal(f"a fixture that counts the connections in use of the engine in {engine.path}", (content,))


def _with_plugin(project: Project, path: str, why: str) -> Proposal:
    oldest, _ = project.python_range
    if oldest is not None and oldest < OLDEST_PYTHON:
        return Proposal(
            f"{why}, and leakfix's own fixture needs Python {_dotted(OLDEST_PYTHON)}, where this project runs on "
            f"{_dotted(oldest)}, too: run `pytest --leakfix` in CI instead"
        )
    content = _written(project, path, None)
    if isinstance(content, str):
        return Proposal(content)
    listed, notes = _required(project)
    return Proposal(f"a fixture of leakfix's pytest plugin, as {why}", (*listed, content), notes)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _required(project: Project) -> tuple[tuple[NewContent, ...], tuple[str, ...]]:
    """The list of what tests need with leakfix in it, or the sentence that asks for that."""
    if project.requires(LEAKFIX.name):
        return (), ()
    locks = [name for name in ("uv.lock", "poetry.lock", "pdm.lock") if os.path.isfile(name)]
    for need in project.needs:
        before = read_file(need.path)
        after = with_requirement(need, before, LEAKFIX)
        if after is not None:
            notes = tuple(f"{name} is to be renewed: `{name.partition('.')[0]} lock`" for name in locks)
            return (NewContent(need.path, before, after),), notes
    return (), ("leakfix has to be installed wherever these tests run; no list of what they need could be extended",)


def _written(project: Project, path: str, engine: Engine | None) -> NewContent | str:
    """The conftest.py with the fixture, or why it is left alone."""
    if not os.path.lexists(path):
        text = _new_file(project, path, engine)
        return NewContent(path, None, text.encode())
    try:
        before = read_file(path)
        source = SourceFile.python(path, before)
        module = read_module(source, parse(source))
    except (OSError, UndecodableSource, Unparsable) as error:
        return f"{path} cannot be read: {error}"
    layout = Layout(source)
    if not module.tree.body:  # comments at most: they stay in front
        gap = "" if not source.data.strip() else layout.newline
        text = gap + _new_file(project, path, engine).replace("\n", layout.newline)
        layout.insert(len(source.data), _line_end(source) + text)
    else:
        _append(project, module, layout, engine)
    try:
        edited = source.edited(layout.edits)
        parse(edited)
    except (UndecodableSource, Unparsable) as error:
        return f"{path} is left alone: {error}"
    return NewContent(path, before, edited.raw)


def _line_end(source: SourceFile) -> str:
    return "" if not source.data or source.data.endswith((b"\n", b"\r")) else source.newline.decode()


def _append(project: Project, module: Module, layout: Layout, engine: Engine | None) -> None:
    source = module.source
    style = _style(source.data.decode().replace("\r\n", "\n"))
    pytest = imported_module(module, layout, "pytest")
    returns = " -> None" if style.typed else ""
    if style.typed and engine is not None:
        returns = f" -> {_yields(project, module, layout)}"
    bound = _bound(module, engine) if engine is not None else None
    code = _code(style, pytest, returns, engine, bound)
    blank = len(re.findall(rb"\n", re.search(rb"\s*\Z", source.data).group())) - 1  # type: ignore[union-attr]
    gap = _line_end(source) + layout.newline * max(0, 2 - max(0, blank))
    layout.insert(len(source.data), gap + code.replace("\n", layout.newline))


def _yields(project: Project, module: Module, layout: Layout) -> str:
    """The annotation of a fixture that yields, by what the file imports already."""
    for package in ("collections.abc", "typing"):
        for name in ("Iterator", "Generator"):
            if bound_at_the_end(module).get(name) == Import(package, name):
                return "Iterator[None]" if name == "Iterator" else "Generator[None, None, None]"
    oldest, _ = project.python_range
    package = "typing" if oldest is not None and oldest < (3, 9) else "collections.abc"
    return f"{imported(module, layout, package, 'Iterator')}[None]"


def _bound(module: Module, engine: Engine) -> str | None:
    """The name the file itself has the engine under."""
    wanted = Import(engine.module or "", engine.name)
    return next((name for name, binding in bound_at_the_end(module).items() if binding == wanted), None)


def _code(style: _Style, pytest: str, returns: str, engine: Engine | None, bound: str | None = None) -> str:
    accepts = ": object" if style.typed else ""
    if engine is None:
        text = _OF_THE_PLUGIN.substitute(pytest=pytest, name=NAME, accepts=accepts, returns=returns)
    else:
        # Imported when it runs: a conftest.py may have to set the address first.
        import_ = "" if bound else f"    from {engine.module} import {engine.name}\n\n"
        in_use = f"{bound or engine.name}.{engine.row.in_use}"
        text = _OF_THE_POOL.substitute(pytest=pytest, name=NAME, returns=returns, import_=import_, in_use=in_use)
    return _styled(text, style)


def _styled(text: str, style: _Style) -> str:
    if style.quote == "'":
        text = text.replace("the pool's connections", "the connections of the pool")
        text = re.sub(r'(?<!")"(?!")([^"\n]*)"(?!")', r"'\1'", text)
    lines = []
    for line in text.splitlines(keepends=True):
        body = line.lstrip(" ")
        lines.append(style.indent * ((len(line) - len(body)) // 4) + body)
    return "".join(lines)


def _new_file(project: Project, path: str, engine: Engine | None) -> str:
    """A conftest.py of its own, in the style of the tests beside it."""
    near = [other for other in project.tests if os.path.dirname(other) == os.path.dirname(path)] or project.tests
    style = _style("\n".join(project.text(other) for other in near))
    returns, head = "", "import pytest\n"
    if style.typed:
        returns = " -> None"
        if engine is not None:
            oldest, _ = project.python_range
            package = "typing" if oldest is not None and oldest < (3, 9) else "collections.abc"
            returns, head = " -> Iterator[None]", f"from {package} import Iterator\n\n{head}"
    return f"{_DOCSTRING}\n{head}\n\n{_code(style, 'pytest', returns, engine)}"


def _style(text: str) -> _Style:
    """What most of a text does; spaces by four, double quotes and no annotations where it tells nothing."""
    indents = re.findall(r"^(?:async )?(?:def|class|if|for|with) [^\n]*:[^\n]*\n([ \t]+)\S", text, re.MULTILINE)
    indent = max(set(indents), key=indents.count) if indents else "    "
    single = len(re.findall(r"(?<![\w'\"])'[^'\"\n]*'(?!')", text))
    double = len(re.findall(r"(?<![\w'\"])\"[^'\"\n]*\"(?!\")", text))
    functions = len(re.findall(r"^[ \t]*(?:async )?def ", text, re.MULTILINE))
    annotated = len(re.findall(r"\)[ \t]*->[^\n]+:[ \t]*$", text, re.MULTILINE))
    return _Style(indent, "'" if single > double else '"', annotated * 2 > functions)
