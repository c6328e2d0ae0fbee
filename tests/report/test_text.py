"""The report for people, drawn."""

from __future__ import annotations

import dataclasses
import re

import pytest

from leakfix.finding import Category, Finding, Fix, Safety, Severity, Step
from leakfix.report.text import header, rendered_finding
from leakfix.source import SourceFile, Span

CODE = """\
def load(order_id):
    session = Session(engine)
    order = session.get(Order, order_id)

    if order is None:
        log("no such order")
        log(order_id)
        return None
    session.close()
    return order
"""


def _finding(source: SourceFile, text: str, **changes: object) -> Finding:
    start = source.data.index(text.encode())
    end = start + len(text.encode())
    finding = Finding(
        rule="sqlalchemy/unclosed-session",
        category=Category.LEAK,
        severity=Severity.WARNING,
        path=source.path,
        span=Span(start, end),
        line=source.line_of(start),
        column=source.column_of(start),
        end_line=source.line_of(end),
        end_column=source.column_of(end),
        function="load",
        message="this session is not closed on every path",
        resource="sqlalchemy/session",
        held="until-gc",
        witness=(Step(2, "acquired here"), Step(3, "may raise"), Step(8, "leaves here without close")),
        fix=Fix("open it in a with block", Safety.SAFE, ()),
    )
    return dataclasses.replace(finding, **changes)  # type: ignore[arg-type]


def _drawn(finding: Finding, source: SourceFile, colour: bool = False) -> str:
    return "".join(rendered_finding(finding, source, colour))


def test_a_finding_is_drawn_along_its_path() -> None:
    source = SourceFile.python("app/orders.py", CODE.encode())
    assert _drawn(_finding(source, "Session(engine)"), source) == (
        "app/orders.py:2:15 warning[sqlalchemy/unclosed-session] this session is not closed on every path\n"
        "  |\n"
        "2 |     session = Session(engine)\n"
        "  |               ^^^^^^^^^^^^^^^ acquired here\n"
        "3 |     order = session.get(Order, order_id)\n"
        "  |     ------------------------------------ may raise\n"
        "...\n"
        "8 |         return None\n"
        "  |         ----------- leaves here without close\n"
        "  |\n"
        "  = held: until the cyclic garbage collector runs\n"
        "  = fix (safe): open it in a with block\n"
    )


def test_one_line_between_is_shown_and_other_orders_are_numbered() -> None:
    source = SourceFile.python("a.py", CODE.encode())
    steps = (Step(8, "acquired here"), Step(10, "raises"), Step(2, "leaves"), Step(10, "again"))
    drawn = _drawn(_finding(source, "return None", witness=steps), source)
    assert " 9 |     session.close()\n" in drawn
    assert "1. acquired here" in drawn
    assert "2. raises; 4. again" in drawn
    assert "3. leaves" in drawn


def test_notes() -> None:
    source = SourceFile.python("a.py", CODE.encode())
    review = Fix("put it back in a finally", Safety.REVIEW, (), check="the pool's lifetime")
    drawn = _drawn(_finding(source, "Session(engine)", fix=review, held="forever"), source)
    assert "= held: for ever\n" in drawn
    assert "= fix (review): put it back in a finally; check: the pool's lifetime\n" in drawn
    drawn = _drawn(_finding(source, "Session(engine)", fix=None, refusal="it escapes", held=None), source)
    assert "= no fix: it escapes\n" in drawn
    assert "held" not in drawn


@pytest.mark.parametrize(
    ("line", "text", "underline"),
    [
        ("\tx = f(1)", "f(1)", "        ^^^^ "),
        ("名 = f('名')", "f('名')", "     ^^^^^^^ "),
        ("e\u0301 = f()", "f()", "    ^^^ "),
        ("x = f('\x1b')", "f('\x1b')", "    ^^^^^^^^^ "),
        ("x = f(\n  1)", "f(\n  1)", "    ^^ "),
    ],
)
def test_underlines_stand_below_what_they_mean(line: str, text: str, underline: str) -> None:
    source = SourceFile.python("a.py", line.encode())
    drawn = _drawn(_finding(source, text, witness=(Step(1, "acquired here"),)), source).split("\n")
    assert drawn[3].removeprefix("  | ").startswith(underline)


def test_long_lines_are_cut_around_the_mark() -> None:
    line = "x = [" + "1, " * 3000 + "f(), " + "2, " * 3000 + "]"
    source = SourceFile.python("a.py", line.encode())
    lines = _drawn(_finding(source, "f()", witness=(Step(1, "acquired here"),)), source).split("\n")
    assert max(map(len, lines)) < 200
    assert lines[2].index("f()") == lines[3].index("^^^")


def test_colours_change_nothing_but_colours() -> None:
    source = SourceFile.python("a.py", CODE.encode())
    finding = _finding(source, "Session(engine)")
    coloured = _drawn(finding, source, colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == _drawn(finding, source)


def test_control_characters_are_escaped_everywhere() -> None:
    source = SourceFile.python("a\x1b]0;x\x07.py", b"x = f()  # \x1b[2J\xe2\x80\xae\n")
    finding = _finding(
        source, "f()", message="bad \x1b", witness=(Step(1, "raises \x9b"),), refusal="no \u2028", fix=None
    )
    drawn = _drawn(finding, source)
    assert all(character.isprintable() or character == "\n" for character in drawn)
    assert "\\x1b[2J\\u202e" in drawn
    assert header(finding, False).startswith("a\\x1b]0;x\\x07.py:1:5 ")


def test_without_its_source_a_finding_is_still_told() -> None:
    source = SourceFile.python("a.py", CODE.encode())
    drawn = "".join(rendered_finding(_finding(source, "Session(engine)"), None, False))
    assert drawn.startswith("a.py:2:15 warning[")
    assert "fix (safe)" in drawn
