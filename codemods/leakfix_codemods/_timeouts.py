"""Calls of a driver that say everything in keywords, and leave out how long to wait."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

from leakfix.codemod import Fix, Safety, View
from leakfix.project.deployment import deployment, is_one_off
from leakfix.project.kinds import is_test
from leakfix_codemods._items import add_items

_LOCAL = re.compile(r"|localhost|127\.\d+\.\d+\.\d+|::1|/.*")


def calls_of(
    view: View, makers: Collection[str], positional: int = 0
) -> Iterator[tuple[ast.Call, dict[str, ast.expr]]]:
    """Calls with at most some positional arguments and no ``**``, with their keywords; none of tests and scripts."""
    if is_test(view.module.path) or is_one_off(view.module.path):
        return
    for call in view.calls:
        given = {word.arg: word.value for word in call.keywords if word.arg}
        if len(given) < len(call.keywords) or len(call.args) > positional:
            continue
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            continue
        if view.is_a(call.func, view.function_of(call), *makers):
            yield call, given


def is_remote(host: ast.expr | None) -> bool:
    """Whether a host is named, and not the local one: there a server that is down refuses at once."""
    if host is None:
        return False
    return not (isinstance(host, ast.Constant) and _LOCAL.fullmatch(str(host.value)))


def is_said_elsewhere(view: View, variable: str) -> bool:
    """Whether the project sets an environment variable that the driver reads."""
    name = variable.encode()
    return (
        name in view.module.source.data
        or any(name in text for text in view.texts(variable))
        or any(variable in text for text in deployment(view.module.path).values())
    )


def with_keyword(view: View, call: ast.Call, item: str, check: str) -> Fix:
    """The call with one more keyword, for review."""
    layout = view.layout()
    add_items(layout, call, [item])
    return Fix(f"add {item}", Safety.REVIEW, tuple(layout.edits), check)
