"""What a file imports is read off its bytes: at least what the parser sees."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from leakfix.project.imports import Imports, words_of

CASES = {
    "plain": b"import a.b as c, d\n",
    "from": b"from a.b import c as d, e\n",
    "in parentheses": b"from a import (  # why\n    b,\n    c,\n)\n",
    "parentheses without a space": b"from a import(b, c)\n",
    "a star": b"from a import *\n",
    "relative": b"from . import a\nfrom ..b import c\nfrom .d.e import f\n",
    "after a byte order mark": b"\xef\xbb\xbfimport a\n",
    "indented": b"try:\n    import a\nexcept ImportError:\n\tfrom b import c\n",
    "on one line": b"if x: import a\nimport b; from c import d\n",
    "continued": b"from a \\\n    import b, \\\n    c\nimport d, \\\n    e\n",
    "with carriage returns": b"import a\r\nfrom b import (c,\r\n  d)\r\nfrom e \\\r\n  import f\r\n",
    "other letters": "from größe import maß\n".encode(),
    "at the end of the file": b"from a import b",
    "words that only look like it": b"important = 1\nimport_a(b)\nimportlib.import_module('c')\n",
}


@pytest.mark.parametrize("data", CASES.values(), ids=CASES.keys())
def test_no_import_is_missed(data: bytes) -> None:
    found = Imports.of(data)
    modules = {module for module, _ in found.statements}
    for node in ast.walk(ast.parse(data)):
        if isinstance(node, ast.ImportFrom):
            assert ("." * node.level + (node.module or "")).encode() in modules
            assert {alias.name.encode() for alias in node.names} <= found.names
        elif isinstance(node, ast.Import):
            assert {word for alias in node.names for word in words_of(alias.name.encode())} <= found.names


def test_what_is_no_import_is_none() -> None:
    assert Imports.of(CASES["words that only look like it"]).statements == []
    assert Imports.of(b"# import a\nx = 'import b'\n>>> import c\n").statements == []


def test_the_own_source() -> None:
    for path in Path(__file__).parents[2].glob("src/**/*.py"):
        test_no_import_is_missed(path.read_bytes())
