"""``leakfix new``: the files a codemod starts from."""

from __future__ import annotations

import os
import re
import sys

import click

from leakfix.cli.terminal import complain

_NAME = re.compile(r"(?P<library>[a-z][a-z0-9_]*)/(?P<fault>[a-z][a-z0-9]*(-[a-z0-9]+)*)")

_FOLDER = '''"""How {library} leaks.

Say in a few lines which objects hold a connection, what releases them, and what only looks as if it did.
"""
'''

_TABLE = """\
[[resource]]
id = "{library}/connection"
noun = "connection"
acquire = ["{library}.connect"]
release = ["close"]
with = "none"
held = "until-unreferenced"
values = ["fetchall", "fetchone", "commit", "rollback"]
"""

_CODEMOD = '''"""A {library} connection that some path never closes.

What leaks
----------
``{library}.connect()`` without ``close()`` on every path.

Why it hurts
------------
Say what the server or the pool runs out of, and when.

How it is repaired
------------------
The statements from the acquisition to the last use move into
``with closing({library}.connect(...)) as connection:``.

When it is left alone
---------------------
The connection is returned or yielded to a caller, stored on an object that closes it, or passed to one that
does.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="{library}/connection",
    repairs="with closing({library}.connect(...)) as connection:, up to the last use",
)
'''

_BEFORE = """\
import {library}


def count_orders(dsn):
    connection = {library}.connect(dsn)  # leak:
    rows = connection.execute("select 1 from orders").fetchall()
    return len(rows)
"""

_AFTER = """\
from contextlib import closing

import {library}


def count_orders(dsn):
    with closing({library}.connect(dsn)) as connection:  # leak:
        rows = connection.execute("select 1 from orders").fetchall()
    return len(rows)
"""

_OK = """\
import {library}


def connect(dsn):
    return {library}.connect(dsn)
"""


@click.command("new")
@click.argument("name", metavar="LIBRARY/NAME")
@click.option(
    "--package",
    type=click.Path(file_okay=False),
    default=os.path.join("codemods", "leakfix_codemods"),
    show_default=True,
    help="The plugin package to put it into.",
)
@click.option(
    "--fixtures",
    type=click.Path(file_okay=False),
    default="fixtures",
    show_default=True,
    help="Where cases go.",
)
def command(name: str, package: str, fixtures: str) -> int:
    """Write the files of a new codemod: table row, codemod, an example, a case to stay silent on."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise click.BadParameter(f"{name!r} is not like library/unclosed-connection", param_hint="NAME")
    files = _files(match["library"], match["fault"], package, fixtures)
    existing = [path for path in files if os.path.lexists(path)]
    taken = [path for path in existing if os.path.basename(path) not in ("__init__.py", "resources.toml")]
    if taken:
        complain("error", f"{taken[0]} exists already")
        return 2
    for path, content in files.items():
        if path not in existing:
            _create(path, content)
        elif path.endswith("resources.toml"):
            sys.stdout.write(f"kept     {path}: name one of its rows in the codemod, or add one\n")
    return 0


def _files(library: str, fault: str, package: str, fixtures: str) -> dict[str, str]:
    module = fault.replace("-", "_")
    folder, cases = os.path.join(package, library), os.path.join(fixtures, library, module)
    texts = {
        os.path.join(folder, "__init__.py"): _FOLDER,
        os.path.join(folder, "resources.toml"): _TABLE,
        os.path.join(folder, f"{module}.py"): _CODEMOD,
        os.path.join(cases, "example.before.py"): _BEFORE,
        os.path.join(cases, "example.after.py"): _AFTER,
        os.path.join(cases, "returned.ok.py"): _OK,
    }
    return {path: text.format(library=library) for path, text in texts.items()}


def _create(path: str, content: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "x", encoding="utf-8", newline="\n") as stream:
        stream.write(content)
    sys.stdout.write(f"created  {path}\n")
