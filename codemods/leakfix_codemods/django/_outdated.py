"""Commands and migrations that meet no rows: written for a Django left behind, or for tables that are new."""

from __future__ import annotations

import ast
import re

from leakfix.codemod import View
from leakfix.languages.python.modules import own_nodes
from leakfix.project.kinds import is_command, is_migration_file
from leakfix.project.requirements import only_before

_REPLACES = re.compile(rb"^[ \t]+replaces\s*=", re.MULTILINE)
_OPTIONS = (b"option_list", b"make_option")
_ASKS_FOR_ARGUMENTS = re.compile(rb"\.add_argument\(\s*[\"']args[\"']")


def fills_what_it_makes(view: View, table: str) -> bool:
    """Whether a migration makes the table itself, or stands for older ones that did: there are no rows yet."""
    data = view.module.source.data
    made = rf"\bCreateModel\(\s*(?:name\s*=\s*)?[\"']{re.escape(table)}[\"']".encode()
    return is_migration_file(view.module.path) and (_REPLACES.search(data) or re.search(made, data)) is not None


def is_outdated(view: View) -> bool:
    """Whether a command takes its arguments in a way that went with Django 1.10, or a migration is one of South."""
    data, path = view.module.source.data, view.module.path
    if b"from south." in data:
        return True
    if not is_command(path) or not (any(word in data for word in _OPTIONS) or _reads_arguments(view)):
        return False
    return not only_before(path, "django 1.10")


def _reads_arguments(view: View) -> bool:
    """Whether a command reads positional arguments that nothing asks for, as ``optparse`` handed them on."""
    if _ASKS_FOR_ARGUMENTS.search(view.module.source.data):
        return False
    for function in view.functions:
        given = function.node.args.vararg
        if function.node.name != "handle" or given is None:
            continue
        for node in own_nodes(function.node):
            match node:
                case (
                    ast.Subscript(value=ast.Name(id=name)) | ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)])
                ) if name == given.arg:
                    return True
    return False
