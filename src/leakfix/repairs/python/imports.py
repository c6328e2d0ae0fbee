"""Missing imports, added in the file's own style."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Sequence

from leakfix.languages.python.modules import Import, Module
from leakfix.repairs.python.layout import Layout, first_line, last_line
from leakfix.source import Edit, Span


def imported(module: Module, layout: Layout, package: str, name: str) -> str:
    """The text that refers to ``package.name`` in a module; what is missing is added to ``layout``'s edits."""
    for bound, bindings in _bound_at_the_head(module).items():
        if module.names.get(bound) == [bindings] and bindings == Import(package, name):
            return bound
    if _bound_at_the_head(module).get(package) == Import(package, None) and len(module.names[package]) == 1:
        return f"{package}.{name}"
    if name in module.all_names:
        if package not in module.all_names:
            _add_line(module, layout, f"import {package}", package, plain=True)
            return f"{package}.{name}"
        alias = f"{package}_{name}"
        _add_line(module, layout, f"from {package} import {name} as {alias}", package, plain=False)
        return alias
    if not _extend(module, layout, package, name):
        _add_line(module, layout, f"from {package} import {name}", package, plain=False)
    return name


def imported_module(module: Module, layout: Layout, package: str) -> str:
    """The text that refers to a top-level package at the end of a module; a missing import joins ``layout``'s edits."""
    for bound, binding in bound_at_the_end(module).items():
        if binding == Import(package, None):
            return bound
    name = f"{package}_module" if package in module.all_names else package
    _add_line(module, layout, f"import {package}" + (f" as {name}" if name != package else ""), package, plain=True)
    return name


def bound_at_the_end(module: Module) -> dict[str, Import]:
    """Names that imports bind for whatever stands at the end of a file, and nothing else binds."""
    found = _bound_by(node for node in module.tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    return {bound: binding for bound, binding in found.items() if module.names.get(bound) == [binding]}


def _bound_at_the_head(module: Module) -> dict[str, Import]:
    """Names that the imports at the head of the file bind, whatever happens."""
    return _bound_by(_first_block(module.tree))


def _bound_by(nodes: Iterable[ast.Import | ast.ImportFrom]) -> dict[str, Import]:
    found: dict[str, Import] = {}
    for node in nodes:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                found[alias.asname or alias.name] = Import(node.module or "", alias.name, node.level)
            elif alias.asname or "." not in alias.name:
                found[alias.asname or alias.name] = Import(alias.name, None)
    return found


def _extend(module: Module, layout: Layout, package: str, name: str) -> bool:
    """Add a name to a ``from package import ...`` that stands there on one line."""
    for node in _first_block(module.tree):
        match node:
            case ast.ImportFrom(module=found, level=0, names=names) if found == package and names[0].name != "*":
                if node.lineno != node.end_lineno or layout.text(node).endswith("\\"):
                    return False
                after = [alias for alias in names if alias.name.lower() > name.lower()]
                if after and names == sorted(names, key=lambda alias: alias.name.lower()):
                    layout.insert(layout.source.offset(node.lineno, after[0].col_offset), f"{name}, ")
                else:
                    assert names[-1].end_col_offset is not None
                    layout.insert(layout.source.offset(node.lineno, names[-1].end_col_offset), f", {name}")
                return True
    return False


def _add_line(module: Module, layout: Layout, text: str, package: str, plain: bool) -> None:
    head = f"from {package} import "
    for position, edit in enumerate(layout.edits):  # a second name from the same package joins the first
        added = edit.text.decode()
        line = added.lstrip("\r\n")  # it may have an empty line in front of it
        if not plain and " as " not in text and line.startswith(head):
            first, end, rest = line.partition(layout.newline)
            names = sorted({*first.removeprefix(head).split(", "), text.removeprefix(head)}, key=str.lower)
            joined = added[: len(added) - len(line)] + head + ", ".join(names) + end + rest
            layout.edits[position] = Edit(edit.start, edit.end, joined.encode(), edit.reason)
            return
    block = _first_block(module.tree)
    if not block:
        _add_first(module, layout, text)
        return
    standard = [node for node in block if _root(node) in sys.stdlib_module_names]
    root = package.partition(".")[0]
    if root not in sys.stdlib_module_names:
        kin = [node for node in block if _root(node) == root]
        group = _group(block, frozenset(module.path.split("/")))
        if kin:
            layout.add_after(last_line(kin[-1]), text)
        elif group:
            later = [node for node in group if _root(node) > root]
            if later:
                layout.add_before(first_line(later[0]), text)
            else:
                layout.add_after(last_line(group[-1]), text)
        elif standard:
            layout.add_after(last_line(standard[-1]), "", text)
        else:
            layout.add_before(first_line(block[0]), text, "")
        return
    same_kind = [node for node in standard if isinstance(node, ast.Import) == plain]
    later = [node for node in same_kind if _root(node) > package]
    if later:
        layout.add_before(first_line(later[0]), text)
    elif same_kind:
        layout.add_after(last_line(same_kind[-1]), text)
    elif standard and plain:
        layout.add_before(first_line(standard[0]), text)
    elif standard:
        layout.add_after(last_line(standard[-1]), text)
    else:
        layout.add_before(first_line(block[0]), text, "")


def _group(block: Sequence[ast.Import | ast.ImportFrom], own: frozenset[str]) -> list[ast.Import | ast.ImportFrom]:
    """The first imports of installed packages, those that a file is not in, as far as no empty line parts them."""
    found: list[ast.Import | ast.ImportFrom] = []
    for node in block:
        if found and first_line(node) > last_line(found[-1]) + 1:
            break
        if _root(node) and _root(node) not in own and _root(node) not in sys.stdlib_module_names:
            found.append(node)
    return found


def _first_block(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    """The imports at the head of a file, those from ``__future__`` left out."""
    block: list[ast.Import | ast.ImportFrom] = []
    for position, node in enumerate(tree.body):
        match node:
            case ast.ImportFrom(module="__future__"):
                continue
            case ast.Import() | ast.ImportFrom():
                block.append(node)
            case ast.Expr(value=ast.Constant(value=str())) if position == 0:
                continue
            case _:
                break
    return block


def _root(node: ast.Import | ast.ImportFrom) -> str:
    if isinstance(node, ast.Import):
        return node.names[0].name.partition(".")[0]
    return "" if node.level else (node.module or "").partition(".")[0]


def _add_first(module: Module, layout: Layout, text: str) -> None:
    head = [
        node
        for node in module.tree.body
        if (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node is module.tree.body[0])
        or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
    ]
    if head:
        layout.add_after(last_line(head[-1]), "", text)
        return
    layout.add_before(first_line(module.tree.body[0]), text, "", "")


def forget_import(module: Module, layout: Layout, name: str) -> None:
    """Take a name out of the one-line ``from ... import`` that binds it, where that is laid out so."""
    for node in _first_block(module.tree):
        bound = [alias.asname or alias.name for alias in node.names]
        if name not in bound or not isinstance(node, ast.ImportFrom) or node.lineno != node.end_lineno:
            continue
        at = bound.index(name)
        line = layout.source.offset(node.lineno, 0)
        if len(bound) == 1:
            joined = next((e for e in layout.edits if e.start == e.end == layout.span(node).end), None)
            if joined is None:
                layout.delete(node.lineno, node.lineno)
            else:
                layout.edits.remove(joined)
                begins = line + node.names[0].col_offset
                layout.replace(Span(begins, joined.start), joined.text.decode().removeprefix(", "))
            return
        start, end = node.names[at].col_offset, node.names[at].end_col_offset or 0
        if at + 1 < len(bound):
            end = node.names[at + 1].col_offset
        else:
            start = node.names[at - 1].end_col_offset or 0
        inserted = [
            edit for edit in layout.edits if edit.start == edit.end and line + start <= edit.start <= line + end
        ]
        for edit in inserted:  # a name that was added beside it takes its place
            layout.edits.remove(edit)
        text = b"".join(edit.text for edit in inserted).decode()
        layout.replace(Span(line + start, line + end), text)
        return
