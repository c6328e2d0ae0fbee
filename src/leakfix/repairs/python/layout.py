"""Text as laid out: whole lines indented, removed and added as byte edits, strings and comments left as they are."""

from __future__ import annotations

import ast
import re
from functools import cached_property

from leakfix.source import Edit, SourceFile, Span

_FIRST_BLOCK = re.compile(
    rb"^(?:async|class|def|for|if|try|while|with)\b[^\n]*:[ \t]*(?:#[^\n]*)?\r?\n"
    rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*([ \t]+)\S",
    re.MULTILINE,
)


class Layout:
    """One file's lines, and the edits collected for them."""

    def __init__(self, source: SourceFile) -> None:
        self.source = source
        self.edits: list[Edit] = []
        self._deleted: set[int] = set()

    # -- questions --------------------------------------------------------------------------------------------------

    @property
    def string_lines(self) -> frozenset[int]:
        """Lines that begin inside a string: their white space is part of its value."""
        return self.source.string_lines

    def span(self, node: ast.expr | ast.stmt) -> Span:
        """Where a node stands."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return Span(
            self.source.offset(node.lineno, node.col_offset),
            self.source.offset(node.end_lineno, node.end_col_offset),
        )

    def text(self, node: ast.expr | ast.stmt) -> str:
        """A node's own text."""
        return self.source.text(self.span(node))

    def indent_of(self, line: int) -> str:
        """The white space a line begins with."""
        text = self.source.line_text(line)
        return text[: len(text) - len(text.lstrip(" \t\f"))]

    @cached_property
    def unit(self) -> str:
        """One step of indentation, as the body of the file's first block has it."""
        match = _FIRST_BLOCK.search(self.source.data)
        return match[1].decode() if match else "    "

    def unit_of(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        """One step of indentation as a function has it."""
        outer, inner = self.indent_of(function.lineno), self.indent_of(first_line(function.body[0]))
        return inner[len(outer) :] if inner.startswith(outer) and len(inner) > len(outer) else self.unit

    def stands_alone(self, node: ast.stmt) -> bool:
        """Whether a statement shares none of its lines with another."""
        first = first_line(node)
        if self.source.line_text(first)[: self._column(node, first)].strip(" \t\f"):
            return False
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        end = self.source.offset(node.end_lineno, node.end_col_offset)
        last = self.source.offset(node.end_lineno, 0) + len(self.source.line_text(node.end_lineno).encode())
        rest = self.source.data[end:last].decode("utf-8").strip()
        return not rest or rest.startswith("#")

    def end_of(self, node: ast.stmt) -> int:
        """The line a statement ends on, with the comments that follow it in its last suite."""
        base = len(self.indent_of(first_line(node)).expandtabs())
        end = last_line(node)
        for line in range(end + 1, len(self.source.line_starts) + 1):
            text = self.source.line_text(line).lstrip()
            if text and (not text.startswith("#") or len(self.indent_of(line).expandtabs()) <= base):
                break
            end = line if text else end
        return end

    def _column(self, node: ast.stmt, first: int) -> int:
        if first != node.lineno:
            return 0
        return len(self.source.data[self.source.offset(first, 0) : self.source.offset(first, node.col_offset)].decode())

    @cached_property
    def newline(self) -> str:
        """The file's line end."""
        return self.source.newline.decode()

    # -- edits ------------------------------------------------------------------------------------------------------

    def replace(self, span: Span, text: str, reason: str = "") -> None:
        """Put other text in place of a span."""
        self.edits.append(Edit(span.start, span.end, text.encode(), reason))

    def insert(self, offset: int, text: str, reason: str = "") -> None:
        """Add text at an offset."""
        self.edits.append(Edit(offset, offset, text.encode(), reason))

    def indent(self, first: int, last: int, unit: str, base: str) -> None:
        """Indent lines by one unit; lines inside strings, blank lines and comments left of ``base`` stay."""
        for line in range(first, last + 1):
            text = self.source.line_text(line)
            if line in self.string_lines or line in self._deleted or not text.strip():
                continue
            if text.lstrip().startswith("#") and not text.startswith(base):
                continue
            if text.startswith("\f"):
                self.insert(self.source.offset(line, len(text) - len(text.lstrip("\f"))), unit, "indent")
                continue
            self.insert(self.source.offset(line, 0), unit, "indent")

    def dedent(self, first: int, last: int, unit: str) -> bool:
        """Indent lines by one unit less; False, and nothing done, where one has less or stands in a string."""
        lines = [line for line in range(first, last + 1) if self.source.line_text(line).strip()]
        if any(line in self.string_lines or not self.source.line_text(line).startswith(unit) for line in lines):
            return False
        for line in lines:
            start = self.source.offset(line, 0)
            self.replace(Span(start, start + len(unit.encode())), "")
        return True

    def unwrap(self, whole: ast.expr, part: ast.expr) -> bool:
        """Leave a part of an expression in place of the whole; False, and nothing done, where a comment would go."""
        outer, inner = self.span(whole), self.span(part)
        gone = (Span(outer.start, inner.start), Span(inner.end, outer.end))
        if any(b"#" in self.source.data[span.start : span.end] for span in gone):
            return False
        for span in gone:
            self.replace(span, "")
        drop = self.indent_of(part.lineno).removeprefix(self.indent_of(whole.lineno))
        for line in range(part.lineno + 1, (part.end_lineno or part.lineno) + 1) if part.lineno > whole.lineno else ():
            if line not in self.string_lines and self.indent_of(line).endswith(drop):
                start = self.source.offset(line, 0)
                self.replace(Span(start, start + len(drop.encode())), "")
        return True

    def delete(self, first: int, last: int) -> None:
        """Remove whole lines."""
        lines = [line for line in range(first, last + 1) if line not in self._deleted]
        for line in lines:
            if line - 1 in lines:
                continue
            until = line
            while until + 1 in lines:
                until += 1
            self._delete_run(line, until)
        self._deleted.update(lines)

    def _delete_run(self, first: int, last: int) -> None:
        """Remove neighbouring lines; where they end a file without a final line end, it stays without one."""
        start, end = self.source.offset(first, 0), len(self.source.data)
        if last < len(self.source.line_starts):
            end = self.source.offset(last + 1, 0)
        elif first > 1 and first - 1 not in self._deleted:
            start = self.source.offset(first - 1, 0) + len(self.source.line_text(first - 1).encode())
        self.edits.append(Edit(start, end, b"", "release falls away"))

    def trim(self, first: int, last: int) -> None:
        """Remove the blank lines at both edges of lines that become a suite."""
        line = first
        while line <= last and self._is_blank(line):
            self.delete(line, line)
            line += 1
        while last > line and (self.deletes(last) or self._is_blank(last)):
            self.delete(last, last)
            last -= 1

    def _is_blank(self, line: int) -> bool:
        return line not in self.string_lines and not self.source.line_text(line).strip()

    def skip(self, first: int, last: int) -> None:
        """Lines that another edit takes care of."""
        self._deleted.update(range(first, last + 1))

    def deletes(self, line: int) -> bool:
        """Whether a line is already removed."""
        return line in self._deleted

    def add_before(self, line: int, *lines: str) -> None:
        """Add whole lines before a line."""
        self.insert(self.source.offset(line, 0), "".join(text + self.newline for text in lines))

    def add_after(self, line: int, *lines: str) -> None:
        """Add whole lines after a line, also where it is the last and has no line end."""
        if line < len(self.source.line_starts):
            self.insert(self.source.offset(line + 1, 0), "".join(text + self.newline for text in lines))
        else:
            self.insert(len(self.source.data), "".join(self.newline + text for text in lines))


def takes_finally(suite: list[ast.stmt]) -> bool:
    """Whether statements are one ``try`` that has no ``finally`` yet."""
    return len(suite) == 1 and isinstance(suite[0], ast.Try | ast.TryStar) and not suite[0].finalbody


def first_line(node: ast.stmt) -> int:
    """The line a statement begins on, its decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def last_line(node: ast.stmt) -> int:
    """The line a statement ends on."""
    return node.end_lineno or node.lineno
