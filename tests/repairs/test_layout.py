"""Edits of laid-out text."""

from __future__ import annotations

import ast

from leakfix.repairs.python.layout import Layout
from leakfix.source import SourceFile

LISTED = """\
def export():
    names = list(
        Member.filter(
            active=True,
        ).values()
    )
    return names
"""
UNWRAPPED = """\
def export():
    names = Member.filter(
        active=True,
    ).values()
    return names
"""


def _unwrapped(text: str) -> str | None:
    source = SourceFile.python("case.py", text.encode())
    layout = Layout(source)
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    assigned = function.body[0]
    assert isinstance(assigned, ast.Assign)
    assert isinstance(assigned.value, ast.Call)
    if not layout.unwrap(assigned.value, assigned.value.args[0]):
        assert layout.edits == []
        return None
    return source.edited(layout.edits).data.decode()


def test_what_was_wrapped_moves_back_with_all_its_lines() -> None:
    assert _unwrapped(LISTED) == UNWRAPPED


def test_lines_inside_a_string_stay() -> None:
    text = 'def export():\n    names = list(\n        raw("""\n            SELECT name\n        """)\n    )\n'
    assert _unwrapped(text) == 'def export():\n    names = raw("""\n            SELECT name\n        """)\n'


def test_no_comment_goes_with_the_wrapping() -> None:
    assert _unwrapped(LISTED.replace("list(", "list(  # all of them")) is None
    assert _unwrapped(LISTED.replace("values()", "values()  # all of them")) is None


def test_a_statement_ends_with_the_comments_of_its_last_suite() -> None:
    text = "if ready:\n    go()\n    # on\n\n    # and on\n\n# then\nstop()\n"
    layout = Layout(SourceFile.python("case.py", text.encode()))
    first, last = ast.parse(text).body
    assert (layout.end_of(first), layout.end_of(last)) == (5, 8)
