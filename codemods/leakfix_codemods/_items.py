"""Arguments and keys added to a call or a dict as it is laid out: on one line, or each on a line of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from leakfix.languages.python.modules import Module
from leakfix.repairs.python.layout import Layout
from leakfix.source import Span

_COMMENT = re.compile(rb"#[^\r\n]*")


def add_items(layout: Layout, node: ast.Call | ast.Dict, items: Sequence[str]) -> None:
    """Add items behind the last one; a comma and a comment that stand behind it stay where they are."""
    closing = layout.span(node).end - 1
    last = _last(node)
    if last is None:
        layout.insert(closing, ", ".join(items))
        return
    first, value = last
    end, has_comma = _end(layout, value, closing)
    line, last_line = first.lineno, layout.source.line_of(end)
    if layout.source.line_text(line)[: _column(layout, first)].strip(" \t\f("):
        layout.insert(end, "".join(f", {item}" for item in items))
    elif layout.source.line_of(closing) == last_line or has_comma is None:
        layout.insert(end, "".join(f",{layout.newline}{layout.indent_of(line)}{item}" for item in items))
    else:
        if not has_comma:
            layout.insert(end, ",")
        lines = [f"{layout.indent_of(line)}{item}," for item in items]
        if not has_comma:
            lines[-1] = lines[-1].removesuffix(",")
        layout.add_after(last_line, *lines)


def _last(node: ast.Call | ast.Dict) -> tuple[ast.expr | ast.keyword, ast.expr | ast.keyword] | None:
    """The last item's first node and its last."""
    if isinstance(node, ast.Dict):
        return (node.keys[-1] or node.values[-1], node.values[-1]) if node.values else None
    every: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
    given = sorted(every, key=lambda item: (item.lineno, item.col_offset))
    return (given[-1], given[-1]) if given else None


def _column(layout: Layout, node: ast.expr | ast.keyword) -> int:
    start = layout.source.offset(node.lineno, 0)
    return len(layout.source.data[start : start + node.col_offset].decode())


def _end(layout: Layout, node: ast.expr | ast.keyword, closing: int) -> tuple[int, bool | None]:
    """Where an item ends, its brackets included, and whether a comma follows; None where it stands on a later line."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    start = layout.source.offset(node.end_lineno, node.end_col_offset)
    rest = _COMMENT.sub(lambda found: b" " * len(found.group()), layout.source.data[start:closing])
    end = start + rest.rfind(b")") + 1
    comma = rest.find(b",")
    if comma < 0:
        return end, False
    return end, True if layout.source.line_of(start + comma) == layout.source.line_of(end) else None


def without_item(layout: Layout, node: ast.Dict, at: int) -> None:
    """Take a key and its value out of a dict, with the line they fill."""
    key = node.keys[at]
    assert key is not None
    start, (end, has_comma) = layout.span(key).start, _end_of(layout, node, at)
    if has_comma:
        end = layout.source.data.index(b",", end) + 1
    line, last = key.lineno, layout.source.line_of(end)
    before = layout.source.data[layout.source.offset(line, 0) : start]
    after = layout.source.line_text(last).encode()[end - layout.source.offset(last, 0) :]
    if not before.strip() and (not after.strip() or after.strip().startswith(b"#")):
        layout.delete(line, last)
    elif at + 1 < len(node.keys):
        following = node.keys[at + 1] or node.values[at + 1]
        layout.replace(Span(start, layout.span(following).start), "")
    elif at:
        previous = _end_of(layout, node, at - 1)[0]
        layout.replace(Span(previous, _end_of(layout, node, at)[0]), "")
    else:
        layout.replace(Span(start, end), "")


def _end_of(layout: Layout, node: ast.Dict, at: int) -> tuple[int, bool | None]:
    following = node.keys[at + 1] or node.values[at + 1] if at + 1 < len(node.keys) else None
    until = layout.span(node).end - 1 if following is None else layout.span(following).start
    return _end(layout, node.values[at], until)


def add_link(layout: Layout, chain: ast.expr, text: str) -> None:
    """Add ``.method(...)`` behind a chain of calls: on a line of its own where its neighbours have one."""
    end = layout.span(chain).end
    last = layout.source.line_of(end)
    rest = layout.source.data[end : layout.source.offset(last, 0) + len(layout.source.line_text(last).encode())].strip()
    own = layout.source.line_of(layout.span(chain.func).end) if isinstance(chain, ast.Call) else last
    continued = layout.source.line_text(own - 1).endswith("\\")
    if not rest or rest.startswith(b"#"):
        for line, inside in ((own, not continued), (last + 1, True)):
            if inside and layout.source.line_text(line).lstrip().startswith("."):
                layout.add_after(last, f"{layout.indent_of(line)}{text}")
                return
    layout.insert(end, text)


def quote_of(module: Module) -> str:
    """The quotation mark a file mostly uses."""
    return "'" if module.source.data.count(b"'") > module.source.data.count(b'"') else '"'
