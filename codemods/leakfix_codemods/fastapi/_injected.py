"""Which functions FastAPI calls as dependencies, and who else calls them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from leakfix.codemod import View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo

_GIVEN = re.compile(rb"\b(?:Depends|Security)\(\s*(?:\w+\s*=\s*)?(?:\w+\.)*(\w+)")
_WRITTEN = re.compile(
    rb"(\w+)[\"'\]]*\s*=\s*(?:\w+\.)*(?:Depends|Security)\("  # session: Session = Depends()
    rb"|Annotated\[\s*[\"']?(?:\w+\.)*(\w+)[\"']?\s*,\s*(?:\w+\.)*(?:Depends|Security)\("
)
_MADE = re.compile(rb"^(\w+)(?:\s*:[^=\n]+)?\s*=\s*(?:\w+\.)*(\w+)\(", re.MULTILINE)
_EXPORTED = re.compile(rb"^__all__\b[^\]\)]*", re.MULTILINE)
DEPENDS = ("fastapi.Depends", "fastapi.Security", "fastapi.param_functions.Depends", "fastapi.params.Depends")


def names_of(view: View, function: FunctionInfo) -> set[str]:
    """The symbolic names by which a function, or an object that is called like it, can be given as a dependency."""
    if function.owner is not None and function.node.name == "__call__":
        return {f"@{view.module.path}:{function.owner.qualname}()"}
    return {view.symbol(function)}


def word_of(function: FunctionInfo) -> str:
    """The word that stands wherever the function is given as a dependency."""
    called = function.owner is not None and function.node.name == "__call__"
    return function.owner.node.name if called and function.owner is not None else function.node.name


def _words_for(view: View, function: FunctionInfo) -> list[str]:
    """The words that may stand where a function is used: its own, and those of the objects that are called like it."""
    word = word_of(function)
    return [word, *(name.decode() for name, kind in _MADE.findall(view.module.source.data) if kind == word.encode())]


def given_names(view: View) -> set[bytes]:
    """The names given to ``Depends`` anywhere in the project, of classes that make such objects, of types it serves."""
    elsewhere = view.once("fastapi: what is given to Depends", lambda: _given(_texts(view)))
    own = view.module.source.data
    given = elsewhere | _given({own}) if b"Depends(" in own or b"Security(" in own else elsewhere
    return given | {kind for name, kind in _MADE.findall(own) if name in given}


def _texts(view: View) -> set[bytes]:
    return {text for word in ("Depends", "Security") for text in view.texts(word)}


def _given(texts: set[bytes]) -> set[bytes]:
    given = {name for text in texts for name in _GIVEN.findall(text)}
    given |= {name for text in texts for names in _WRITTEN.findall(text) for name in names if name}
    return given | {kind for text in texts if given for name, kind in _MADE.findall(text) if name in given}


def users(view: View, function: FunctionInfo) -> Iterator[tuple[View, ast.Call]]:
    """The ``Depends(function)`` of the project."""
    wanted = names_of(view, function)
    words = [word.encode() for word in _words_for(view, function)]
    others = {
        id(module): module
        for given in ("Depends", "Security")
        for module in view.others(given, lambda text: any(name in text for name in words))
    }
    for other in (view, *(view.elsewhere(module) for module in others.values())) if wanted else ():
        for call in other.calls:
            if call.args and other.is_a(call.func, other.function_of(call), *DEPENDS):
                if wanted.intersection(other.of(call.args[0], other.function_of(call))):
                    yield other, call


def class_users(view: View, info: ClassInfo) -> Iterator[ast.Call]:
    """The ``Depends(Class)`` and ``name: Class = Depends()`` of the project."""
    symbol = f"@{view.module.path}:{info.qualname}"
    word = info.node.name.encode()
    others = {id(m): m for m in view.others("Depends", lambda text: word in text)}
    for other in (view, *(view.elsewhere(module) for module in others.values())):
        for call in other.calls:
            if other.is_a(call.func, other.function_of(call), *DEPENDS):
                given = call.args[0] if call.args else _written_for(other, call)
                if given is not None and symbol in other.of(given, other.function_of(call)):
                    yield call


def _written_for(view: View, call: ast.Call) -> ast.expr | None:
    """The type written for what a ``Depends()`` is the default, or a part of the annotation, of."""
    above = view.parents[call]
    if isinstance(above, ast.Tuple):
        return above.elts[0]
    return annotation_of(above, call) if isinstance(above, ast.arguments) else None


def annotation_of(arguments: ast.arguments, default: ast.expr) -> ast.expr | None:
    """The annotation of the parameter that has a default."""
    given = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(reversed(given), reversed(arguments.defaults), strict=False)]
    pairs += [(one, value) for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value]
    return next((one.annotation for one, value in pairs if value is default), None)


def other_uses(view: View, function: FunctionInfo) -> list[str]:
    """Where the project calls a dependency itself, or hands it to something else than FastAPI, as ``path:line``."""
    wanted = names_of(view, function)
    others = {other.module.path: other for word in _words_for(view, function) for other in view.mentioning(word)}
    is_object = any(name.endswith("()") for name in wanted)  # which may be handed on without being called
    is_method = function.owner is not None and not is_object
    return [
        f"{other.module.path}:{node.lineno}"
        for other in others.values()
        for node in ast.walk(other.tree)
        if isinstance(node, ast.Name | ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and (_is_called(other, node) if is_object else not _is_given(other, node))
        and (
            wanted.intersection(meant := other.of(node, other.function_of(node)))
            or (is_method and not meant and isinstance(node, ast.Attribute) and node.attr == function.node.name)
        )
    ]


def is_named_in_text(view: View, function: FunctionInfo) -> bool:
    """Whether some string of the project is the function's name, by which it may be asked for and called."""
    named = re.compile(rb"[\"'](?:[\w.]+[.:])?" + function.node.name.encode() + rb"[\"']")
    texts = (view.module.source.data, *view.texts(function.node.name))
    return any(named.search(_EXPORTED.sub(b"", text)) for text in texts)


def _is_called(view: View, node: ast.Name | ast.Attribute) -> bool:
    above = view.parents[node]
    return isinstance(above, ast.Call) and above.func is node


def _is_given(view: View, node: ast.Name | ast.Attribute) -> bool:
    """Whether an expression is what ``Depends`` is given, or what a test replaces."""
    above = view.parents[node]
    if isinstance(above, ast.keyword):
        above = view.parents[above]
    if isinstance(above, ast.Call) and node is not above.func:
        if view.is_a(above.func, view.function_of(above), *DEPENDS):
            return True
    return "dependency_overrides" in ast.dump(view.statement_of(node))
