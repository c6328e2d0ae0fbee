"""How an endpoint takes its session as a parameter."""

from __future__ import annotations

import ast

from leakfix.codemod import Fix, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import Layout, last_line
from leakfix_codemods._functions import blank_below
from leakfix_codemods.fastapi._dependencies import Dependency
from leakfix_codemods.fastapi._homes import is_bound_above
from leakfix_codemods.fastapi._injected import DEPENDS, annotation_of
from leakfix_codemods.fastapi._sessions import EndpointSession, first_line

_ANNOTATED = ("typing.Annotated", "typing_extensions.Annotated")


def with_parameter(view: View, session: EndpointSession, dependency: Dependency) -> Fix | Refusal:
    """Take the session as a parameter, and take out what opened and closed it."""
    layout = view.layout()
    refused = _without(view, layout, session)
    if refused is not None:
        return refused
    if dependency.made is not None:
        if dependency.name in view.module.names:
            return Refusal(f"the name {dependency.name} means something else here")
        _add_dependency(view, layout, session, dependency)
    style, annotation = _style(view, dependency, first_line(session.function.node))
    depends = f"{imported(view.module, layout, 'fastapi', 'Depends')}({dependency.name})"
    annotation = annotation or _type_of(view, session)
    if style == "alias":
        text = f"{session.name}: {annotation}"
    elif style == "annotated" and annotation:
        text = f"{session.name}: {_annotated(view)}[{annotation}, {depends}]"
    else:
        style = "default"
        text = f"{session.name}: {annotation} = {depends}" if annotation else f"{session.name}={depends}"
    _add_parameter(view, layout, session.function, text, has_default=style == "default")
    return Fix(f"take the session from {dependency.name}()", Safety.SAFE, tuple(layout.edits))


def _without(view: View, layout: Layout, session: EndpointSession) -> Refusal | None:
    """Delete the opening and the closing statements."""
    gone: list[ast.stmt] = [session.statement]
    for use in view.uses(session.name, session.function):
        attribute = view.parents[use]
        if isinstance(attribute, ast.Attribute) and attribute.attr in session.resource.release:
            statement = view.statement_of(use)
            if not isinstance(statement, ast.Expr):
                return Refusal("it is closed in the middle of a statement")
            gone.append(statement)
    for statement in gone:
        suite = next(
            part
            for part in (getattr(view.parents[statement], name, None) for name in ("body", "orelse", "finalbody"))
            if isinstance(part, list) and statement in part
        )
        if not layout.stands_alone(statement) or all(other in gone for other in suite):
            return Refusal("the statements that open and close it do not stand alone")
        layout.delete(statement.lineno, last_line(statement))
    body = session.function.node.body
    before = body[: body.index(session.statement)]
    if not before or (len(before) == 1 and ast.get_docstring(session.function.node) is not None):
        line = last_line(session.statement) + 1
        while line < (last_line(session.function.node)) and not view.module.source.line_text(line).strip():
            layout.delete(line, line)
            line += 1
    return None


def _add_dependency(view: View, layout: Layout, session: EndpointSession, dependency: Dependency) -> None:
    assert dependency.made is not None
    unit = layout.indent_of(session.function.node.body[0].lineno) or "    "
    prefix = "async " if session.resource.asynchronous else ""
    lines = [
        "",
        "",
        f"{prefix}def {dependency.name}():",
        f"{unit}{prefix}with {layout.text(session.call)} as {session.name}:",
        f"{unit}{unit}yield {session.name}",
    ]
    last = last_line(dependency.made)
    layout.add_after(last, *lines, *blank_below(layout.source, last))


def _style(view: View, dependency: Dependency, line: int) -> tuple[str, str]:
    """How the file takes this dependency, or others: "alias", "annotated" or "default", with the type written there."""
    fallback = ("default", "")
    for call in view.calls:
        if not (call.args and view.is_a(call.func, None, *DEPENDS)):
            continue
        same = isinstance(call.args[0], ast.Name) and call.args[0].id == dependency.name
        above = view.parents[call]
        if isinstance(above, ast.Tuple) and isinstance(view.parents[above], ast.Subscript):
            subscript = view.parents[above]
            holder = view.parents[subscript]
            if same and isinstance(holder, ast.Assign) and isinstance(holder.targets[0], ast.Name):
                if is_bound_above(view, holder.targets[0].id, line):
                    return "alias", holder.targets[0].id
            fallback = ("annotated", ast.unparse(above.elts[0]) if same else fallback[1])
        elif same and isinstance(above, ast.arguments):
            annotation = annotation_of(above, call)
            return "default", ast.unparse(annotation) if annotation is not None else ""
    return fallback


def _type_of(view: View, session: EndpointSession) -> str:
    """The session's class under the name the file knows it by."""
    made = session.call.func
    if isinstance(made, ast.Name) and made.id[:1].isupper() and made.id in view.module.names:
        if any(name.rpartition(".")[2] == made.id and not name.endswith("()") for name in view.of(made, None)):
            return made.id
    for name in ("Session", "AsyncSession"):
        if (name == "AsyncSession") == session.resource.asynchronous:
            if any(found.endswith(f".{name}") for found in view.names.module_name(view.module, name)):
                return name
    return ""


def _annotated(view: View) -> str:
    for name in view.module.names:
        if any(found in _ANNOTATED for found in view.names.module_name(view.module, name)):
            return name
    return "Annotated"


def _add_parameter(view: View, layout: Layout, function: FunctionInfo, text: str, has_default: bool) -> None:
    given = function.node.args
    source = view.module.source
    positional = [*given.posonlyargs, *given.args]
    if not positional:
        at = source.data.index(b"(", source.offset(function.node.lineno, function.node.col_offset)) + 1
        rest = given.vararg or given.kwonlyargs or given.kwarg
        layout.insert(at, text + (", " if rest else ""))
        return
    first_default = len(positional) - len(given.defaults)
    if not has_default and given.defaults:
        target = positional[first_default]
        separator = (
            f",{layout.newline}{layout.indent_of(target.lineno)}" if _is_own_line(function, positional) else ", "
        )
        layout.insert(source.offset(target.lineno, target.col_offset), text + separator)
        return
    last: ast.expr | ast.arg = given.defaults[-1] if given.defaults else positional[-1]
    end = source.offset(last.end_lineno or 0, last.end_col_offset or 0)
    own_line = _is_own_line(function, positional)
    separator = f",{layout.newline}{layout.indent_of(positional[-1].lineno)}" if own_line else ", "
    layout.insert(end, separator + text)


def _is_own_line(function: FunctionInfo, positional: list[ast.arg]) -> bool:
    """Whether the parameters stand on lines of their own."""
    lines = [argument.lineno for argument in positional]
    return lines[0] != function.node.lineno and len(set(lines)) == len(lines)
