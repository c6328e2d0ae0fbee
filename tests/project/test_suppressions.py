"""Comments that allow a leak."""

from __future__ import annotations

import pytest

from leakfix.project.suppressions import suppressions
from leakfix.source import SourceFile

KNOWN = ("psycopg2/unclosed-connection", "psycopg2/unclosed-pool", "sqlite3/unclosed-connection")


def _read(text: str | bytes):  # type: ignore[no-untyped-def]
    raw = text if isinstance(text, bytes) else text.encode()
    return suppressions(SourceFile.python("a.py", raw), KNOWN)


@pytest.mark.parametrize(
    "comment",
    [
        "# leakfix: allow[psycopg2/unclosed-connection]",
        "# leakfix: allow[psycopg2/unclosed-connection] the driver owns it",
        "#leakfix:allow[ sqlite3/* , psycopg2/* ]",
        "# noqa  # leakfix: allow[*]",
        "# leakfix: allow [*/unclosed-connection]",
    ],
)
def test_a_comment_allows_on_its_line(comment: str) -> None:
    found = _read(f"a = 1\nx = f()  {comment}\n")
    assert found.allows("psycopg2/unclosed-connection", [2])
    assert found.allows("psycopg2/unclosed-connection", (1, 2))
    assert not found.allows("psycopg2/unclosed-connection", [1, 3])
    assert found.warnings == ()


def test_other_rules_are_not_allowed() -> None:
    found = _read("x = f()  # leakfix: allow[psycopg2/unclosed-pool]\n")
    assert not found.allows("psycopg2/unclosed-connection", [1])


@pytest.mark.parametrize(
    ("comment", "warning"),
    [
        ("# leakfix: allow[]", "allows nothing"),
        ("# leakfix: allow[ , ]", "allows nothing"),
        ("# leakfix: allow[psycopg2/unclosed]", "there is no rule 'psycopg2/unclosed'"),
        ("# leakfix: allow[flask/*]", "there is no rule 'flask/*'"),
        ("# leakfix: allow", "not understood"),
        ("# leakfix: ignore[psycopg2/unclosed-pool]", "not understood"),
        ("# leakfix: allow[psycopg2/unclosed-pool", "not understood"),
    ],
)
def test_what_is_wrong_warns_and_allows_nothing(comment: str, warning: str) -> None:
    found = _read(f"\nx = f()  {comment}\n")
    ((line, text),) = found.warnings
    assert line == 2
    assert warning in text
    assert not any(found.allows(rule, [2]) for rule in KNOWN)


def test_known_names_count_beside_an_unknown_one() -> None:
    found = _read("x = f()  # leakfix: allow[nope, psycopg2/unclosed-pool]\n")
    assert found.allows("psycopg2/unclosed-pool", [1])
    assert len(found.warnings) == 1


@pytest.mark.parametrize(
    "text",
    [
        "x = '# leakfix: allow[*]'\n",
        "x = '''\n# leakfix: allow[*]\n'''\n",
        'x = f"{1}# leakfix: allow[*]"\n',
        "leakfix: int = 3\n",
    ],
)
def test_strings_and_code_are_no_comments(text: str) -> None:
    found = _read(text)
    assert not found.allows("psycopg2/unclosed-pool", range(1, 5))
    assert found.warnings == ()


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_in_the_source(newline: str) -> None:
    text = "\ufeff# -*- coding: utf-8 -*-\n\f\nx = 'é\x0b'\nx = f()  # leakfix: allow[*]\n".replace("\n", newline)
    assert _read(text.encode()).allows("psycopg2/unclosed-pool", [4])


def test_source_that_does_not_tokenize_gives_what_it_can() -> None:
    found = _read("x = 1  # leakfix: allow[*]\ny = (\n")
    assert found.allows("psycopg2/unclosed-pool", [1])
