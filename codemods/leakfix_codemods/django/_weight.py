"""What of a loop says that its rows weigh much, or that there are many: where only people know how many there were."""

from __future__ import annotations

import ast
import re
from datetime import datetime

from leakfix.codemod import View
from leakfix.languages.python.modules import FunctionInfo
from leakfix.languages.python.syntax import name_of
from leakfix.patterns.tables import definition
from leakfix_codemods.django._feeds import Feed
from leakfix_codemods.django._querysets import links, table_of

_LOADS = frozenset({"select_related", "prefetch_related"})
_SELECTS = frozenset({"only", "defer", "values", "values_list"})
_TELLS = frozenset("print write info debug warning tqdm progressbar".split())
"""What somebody calls who expects to wait."""
_LONG = re.compile(r"=\s*[\w.]*(?:Text|JSON|Binary|Stream|HTML|Markdown|HStore|Array)\w*Field\(")
_MANY_LONG = 3
_OF_VALUES = frozenset({*dir(str), *dir(dict), *dir(datetime), *dir(int)})
_OF_MANAGERS = frozenset(
    "all filter exclude get first last exists count set add remove clear create get_or_create update update_or_create "
    "delete values values_list order_by aggregate annotate select_related prefetch_related iterator url path name "
    "file size".split()
)
_POINTS = ("ForeignKey", "OneToOneField")


def weighs_much(view: View, function: FunctionInfo, feed: Feed) -> bool:
    """Whether rows keep others that were fetched with them, have long texts, or somebody waits for them."""
    called = [getattr(call.func, "attr", "") for call in links(feed.chain)]
    nodes = [node for statement in feed.body for node in ast.walk(statement)]
    if not _LOADS.isdisjoint(called) or any(isinstance(node, ast.Call) and name_of(node) in _TELLS for node in nodes):
        return True
    body = definition(view, table_of(view, function, feed.chain))
    if len(_LONG.findall(body)) >= _MANY_LONG and _SELECTS.isdisjoint(called):
        return True
    return any(_follows(node, feed.variables, body) for node in nodes)


def _follows(node: ast.AST, rows: set[str], body: str) -> bool:
    """Whether an expression asks for what a row refers to, which stays on the row from then on."""
    match node:
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id=name), attr=field), attr=wanted) if name in rows:
            declared = re.search(rf"^[ \t]+{field}\s*=\s*([\w.]+)\(", body, re.MULTILINE)
            if declared is not None:
                return declared[1].endswith(_POINTS)
            return wanted not in _OF_MANAGERS and wanted not in _OF_VALUES
    return False
