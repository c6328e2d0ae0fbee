"""A pool of connections without a limit.

What leaks
----------
``sql.Open`` makes a pool that opens as many connections as there are queries at once, keeps two of them, and closes
none for its age, unless ``SetMaxOpenConns`` and its kin say otherwise. Here nothing in the package does.

Why it hurts
------------
A burst of requests, or one leak of rows, takes connections until the database refuses everybody: "too many
connections". With a limit it is this service alone that waits. Above two idle connections every burst opens and closes
new ones.

How it is repaired
------------------
Behind the check of the error: at most 25 connections, as many idle ones, none older than five minutes where the file
imports ``time``. For review: the number depends on what the database allows, divided by the processes that share it.

When it is left alone
---------------------
The package sets a limit anywhere. The pool is stored or returned without a name of its own.
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from leakfix.codemod import Category, Fix, GoMatch, GoPatternCodemod, GoView, Refusal, Safety, Severity
from leakfix.languages.go.syntax import listed, plain
from leakfix.repairs.go.places import assigned_names, is_whole_check, siblings_after, statement_of

if TYPE_CHECKING:
    from tree_sitter import Node

OPENED = ("database/sql.Open", "database/sql.OpenDB")


def find(view: GoView) -> Iterator[GoMatch]:
    """Pools that nobody limits."""
    if any(b".SetMaxOpenConns(" in file.source.data for file in view.package.files):
        return
    for function, lowered in view.functions:
        for node, call in view.calls(lowered):
            opened = view.syntax_at(node.span, "call_expression")
            if set(call.callee.names).isdisjoint(OPENED) or opened is None or node.span is None:
                continue
            yield GoMatch(
                node.span,
                function.qualname,
                "the pool opens as many connections as are asked for",
                partial(repair, view, opened),
                Severity.NOTE,
            )


def repair(view: GoView, call: "Node") -> Fix | Refusal:
    """Limit it behind the check of its error."""
    statement = statement_of(call)
    names = assigned_names(statement) if statement is not None else []
    values = listed(statement.child_by_field_name("right")) if statement is not None else []
    if statement is None or len(names) != 2 or not names[0].isidentifier() or plain(values[0]) != call:
        return Refusal("it has no name to be limited by")
    following = siblings_after(statement)
    if not following or not is_whole_check(following[0], names[1]):
        return Refusal("its error is not checked right behind it")
    sheet = view.sheet()
    indent = sheet.indent(statement)
    limits = [f"{names[0]}.SetMaxOpenConns(25)", f"{names[0]}.SetMaxIdleConns(25)"]
    if view.file.imports.get("time") == "time":
        limits.append(f"{names[0]}.SetConnMaxLifetime(5 * time.Minute)")
    sheet.after(following[0], *(indent + limit for limit in limits))
    check = "how many connections the database allows, divided by the processes that share it"
    return Fix("limit the pool", Safety.REVIEW, tuple(sheet.edits), check)


CODEMOD = GoPatternCodemod(
    find=find,
    noun="pool",
    repairs="db.SetMaxOpenConns(25), db.SetMaxIdleConns(25)",
    shape=r"sql\.Open(?:DB)?\(",
    category=Category.ADVICE,
)
