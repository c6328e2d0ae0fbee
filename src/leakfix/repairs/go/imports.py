"""Imports that repaired Go code needs, added where gofmt wants them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leakfix.languages.go.syntax import text, walk
from leakfix.repairs.go.places import Sheet

if TYPE_CHECKING:
    from tree_sitter import Node

_HOSTED = re.compile(r'"[^/"]+\.')


def imported(root: Node, sheet: Sheet, path: str, name: str) -> bool:
    """Import a package under a name; False where there is no block of imports, or the name is taken.

    gofmt sorts the lines of a block by path, between empty ones; packages of others stand behind those of the language.
    """
    specs = [node for node in walk(root) if node.type == "import_spec"]
    known = next((spec for spec in specs if _path(spec) == f'"{path}"'), None)
    if known is not None:
        return text(known.child_by_field_name("name")) in ("", name)
    block = next((spec.parent for spec in specs), None)
    taken = any(node.type in ("identifier", "package_identifier") and text(node) == name for node in walk(root))
    if block is None or block.type != "import_spec_list" or taken:
        return False
    line = f'\t"{path}"' if path.rpartition("/")[2] == name else f'\t{name} "{path}"'
    hosted = _HOSTED.match(f'"{path}"') is not None
    group = [spec for spec in specs if (_HOSTED.match(_path(spec)) is not None) == hosted]
    later = [spec for spec in group if _path(spec) > f'"{path}"']
    if later:
        sheet.before(later[0], line)
    elif group:
        sheet.after(group[-1], line)
    elif hosted:
        sheet.after(specs[-1], "", line)
    else:
        sheet.before(specs[0], line, "")
    return True


def _path(spec: Node) -> str:
    return text(spec.child_by_field_name("path"))
