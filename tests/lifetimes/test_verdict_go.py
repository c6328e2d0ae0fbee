"""The same rules, for the graphs of another language: nothing in the analysis knows which it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leakfix import engine
from leakfix.config import Config
from leakfix.registry import Registry

HEAD = """\
package shop

import (
	"errors"
	"log"

	"example.org/toydb"
)

"""
LINES = HEAD.count("\n")
ROWS = [
    {
        "id": "toydb/connection",
        "noun": "connection",
        "acquire": ["example.org/toydb.Connect", "example.org/toydb.Conn"],
        "release": ["Close"],
        "held": "forever",
    },
    {
        "id": "toydb/rows",
        "noun": "rows",
        "acquire": ["example.org/toydb.Conn().Query"],
        "release": ["Close"],
        "exhausted_by": ["Next"],
    },
]
TYPES = [{"name": "example.org/toydb.Conn", "made_by": ["example.org/toydb.Connect"]}]
CONFIG = Config(select=("toydb/*",), resources=tuple(ROWS), types=tuple(TYPES))
ERROR, WARNING = "error", "warning"
CHECKED = "c, err := toydb.Connect(a)\nif err != nil {\n\treturn err\n}\n"

Found = Callable[[str], list[tuple[int, str]]]


@pytest.fixture(scope="module")
def toys() -> Registry:
    return Registry.load(CONFIG)


@pytest.fixture
def found(tree: Path, toys: Registry) -> Found:
    """Lines and severities of what is reported in the body of a function."""
    (tree / "go.mod").write_text("module example.com/shop\n")

    def check(text: str) -> list[tuple[int, str]]:
        (tree / "shop.go").write_text(HEAD + text + "\n")
        report = engine.check(["."], CONFIG, toys, jobs=1)
        assert not report.errors, report.errors
        return [(finding.line - LINES, str(finding.severity)) for finding in report.findings]

    return check


def function(body: str) -> str:
    return "func f(a string, b bool, keep func(any)) error {\n" + body + "\n}"


REPORTED = {
    "never released": (CHECKED + "c.Exec()\nreturn nil", ERROR),
    "never used": (CHECKED + "return nil", ERROR),
    "an early return": (CHECKED + "if b {\n\treturn nil\n}\nc.Close()\nreturn nil", WARNING),
    "released in one branch": (CHECKED + "if b {\n\tc.Close()\n}\nreturn nil", WARNING),
    "close without parentheses": (CHECKED + "_ = c.Close\nreturn nil", ERROR),
    "rebound in a loop": ("for b {\n" + CHECKED + "c.Exec()\n}\nreturn nil", ERROR),
    "continue past the release": (
        "for b {\n" + CHECKED + "if a == x {\n\tcontinue\n}\nc.Close()\n}\nreturn nil",
        WARNING,
    ),
    "break past the release": ("for b {\n" + CHECKED + "if a == x {\n\tbreak\n}\nc.Close()\n}\nreturn nil", WARNING),
    "a labelled break": (
        "out:\nfor b {\n\tfor b {\n" + CHECKED + "if a == x {\n\tbreak out\n}\nc.Close()\n}\n}\nreturn nil",
        WARNING,
    ),
    "goto past the release": (CHECKED + "if b {\n\tgoto end\n}\nc.Close()\nend:\nreturn nil", WARNING),
    "a case that forgets": (CHECKED + "switch a {\ncase x:\n\treturn nil\n}\nc.Close()\nreturn nil", WARNING),
    "deferred too late": (CHECKED + "if b {\n\treturn nil\n}\ndefer c.Close()\nreturn nil", WARNING),
    "deferred in a branch": (CHECKED + "if b {\n\tdefer c.Close()\n}\nreturn nil", WARNING),
    "a deferred literal that closes on errors alone": (
        CHECKED + "var fail error\ndefer func() {\n\tif fail != nil {\n\t\tc.Close()\n\t}\n}()\nreturn nil",
        ERROR,
    ),
    "only logged": ("c, err := toydb.Connect(a)\nif err != nil {\n\tlog.Print(err)\n}\nc.Exec()\nreturn nil", ERROR),
    "a value is no escape": (CHECKED + "return c.Exec()", ERROR),
    "an unknown function borrows": (CHECKED + "log.Print(c)\nreturn nil", ERROR),
    "the other one closed": (
        CHECKED + "d, err := toydb.Connect(a)\nif err != nil {\n\treturn err\n}\nd.Close()\nc.Exec()\nreturn nil",
        ERROR,
    ),
}  # fmt: skip
SILENT = {
    "released": CHECKED + "c.Close()\nreturn nil",
    "deferred": CHECKED + "defer c.Close()\nif b {\n\treturn nil\n}\nreturn nil",
    "deferred in a literal": CHECKED + "defer func() { _ = c.Close() }()\nreturn nil",
    "deferred as a method value": CHECKED + "done := c.Close\ndefer done()\nreturn nil",
    "acquisition fails": CHECKED + "defer c.Close()\nreturn nil",
    "its error by name": (
        "c, err := toydb.Connect(a)\nif errors.Is(err, toydb.ErrNone) {\n\treturn nil\n}\n"
        "if err != nil {\n\treturn err\n}\ndefer c.Close()\nreturn nil"
    ),
    "checked by a switch": (
        "c, err := toydb.Connect(a)\nswitch {\ncase err == toydb.ErrNone:\n\treturn nil\ncase err != nil:\n"
        "\treturn err\n}\ndefer c.Close()\nreturn nil"
    ),
    "checked in an if": "if c, err := toydb.Connect(a); err == nil {\n\tdefer c.Close()\n}\nreturn nil",
    "an alias is released": CHECKED + "d := c\nd.Close()\nreturn nil",
    "released in both branches": CHECKED + "if b {\n\tc.Close()\n} else {\n\tc.Close()\n}\nreturn nil",
    "released in every turn": "for b {\n" + CHECKED + "c.Close()\n}\nreturn nil",
    "the process ends": CHECKED + "log.Fatal(c)\nreturn nil",
    "it panics": CHECKED + 'panic("x")',
    "stored": CHECKED + "last = c\nreturn nil",
    "sent": CHECKED + "queue <- c\nreturn nil",
    "appended": CHECKED + "all = append(all, c)\nreturn nil",
    "in a goroutine": CHECKED + "go func() {\n\tdefer c.Close()\n}()\nreturn nil",
    "handed to a goroutine": CHECKED + "go serve(c)\nreturn nil",
    "handed to what makes objects": CHECKED + "return run(NewStore(c))",
    "rows that are read to their end": (
        CHECKED + "defer c.Close()\nrows, err := c.Query(a)\nif err != nil {\n\treturn err\n}\n"
        "for rows.Next() {\n}\nreturn nil"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTED)
def test_reported(found: Found, name: str) -> None:
    body, severity = REPORTED[name]
    lines = function(body).split("\n")
    expected = next(number for number, line in enumerate(lines, 1) if "toydb.Connect" in line)
    assert found(function(body)) == [(expected, severity)]


@pytest.mark.parametrize("name", SILENT)
def test_silent(found: Found, name: str) -> None:
    assert found(function(SILENT[name])) == []


def test_rows_that_are_left_early(found: Found) -> None:
    body = CHECKED + "defer c.Close()\nrows, err := c.Query(a)\nif err != nil {\n\treturn err\n}\n"
    for rest in (
        "if rows.Next() {\n\treturn nil\n}\nreturn nil",
        "for rows.Next() {\n\tif b {\n\t\tbreak\n\t}\n}\nreturn nil",
    ):
        assert [severity for _, severity in found(function(body + rest))] == [WARNING]


def test_callees_are_looked_into(found: Found) -> None:
    text = (
        function(CHECKED + "use(c)\nfinish(c)\nreturn nil")
        + "\n\nfunc use(c *toydb.Conn) { c.Exec() }\n\nfunc finish(c *toydb.Conn) { c.Close() }"
    )
    assert found(text) == []
    assert found(text.replace("finish(c)\nreturn", "return")) == [(2, ERROR)]


def test_factories_hand_the_question_on(found: Found) -> None:
    text = """func open(a string) (*toydb.Conn, error) {
	return toydb.Connect(a)
}

func use(a string) error {
	c, err := open(a)
	if err != nil {
		return err
	}
	return c.Exec()
}

type Opener interface {
	Open(a string) (*toydb.Conn, error)
}

func through(o Opener, a string) {
	c, err := o.Open(a)
	if err == nil {
		c.Exec()
	}
}"""
    assert found(text) == [(6, ERROR), (18, ERROR)]


def test_a_field_knows_its_type(found: Found) -> None:
    text = """type Store struct{ conn *toydb.Conn }

func (s *Store) names(a string) error {
	rows, err := s.conn.Query(a)
	if err != nil {
		return err
	}
	rows.Scan()
	return nil
}

type Other struct{}

func (o Other) Query(a string) (*Other, error) { return nil, nil }

func own(o Other) {
	rows, _ := o.Query("x")
	rows.Query("y")
}"""
    assert found(text) == [(4, ERROR)]


def test_a_literal_is_a_function_of_its_own(found: Found) -> None:
    text = """func handler(conn *toydb.Conn) func(a string) error {
	return func(a string) error {
		rows, err := conn.Query(a)
		if err != nil {
			return err
		}
		return rows.Scan()
	}
}"""
    assert found(text) == [(3, ERROR)]


@pytest.mark.parametrize("text", ["func f( {", "func f() { x := ~~ }", "\x00\xff", "package", ""])
def test_what_is_no_go_does_no_harm(tree: Path, toys: Registry, text: str) -> None:
    (tree / "a.go").write_bytes((HEAD + text + "\n\nfunc g() { toydb.Connect(1) }\n").encode("latin-1"))
    engine.check(["."], CONFIG, toys, jobs=1)
