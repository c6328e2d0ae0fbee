"""The schema of the configuration says what its reader says."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from leakfix.config import ConfigError, load
from leakfix.config.keys import KEYS
from leakfix.registry import Registry
from leakfix.report.settings import example

jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema")
ROOT = Path(__file__).parent.parent.parent
SCHEMA = json.loads((ROOT / "docs" / "leakfix.schema.json").read_text("utf-8"))

GOOD = [key.example.replace("tool.leakfix.", "") for key in KEYS.values()]
BAD = [
    "selct = []",
    'select = "leak"',
    "select = [1]",
    'select = ["nothing-of-that-name"]',
    'ignore = [" "]',
    "jobs = 0",
    "jobs = 257",
    "jobs = 1.5",
    'cache = "no"',
    "request-timeout = 3601",
    "extend = []",
    'baseline = " "',
    'per-file-ignores = ["x"]',
    '[per-file-ignores]\n"a.py" = "leak"',
    '[per-file-ignores]\n"!" = ["leak"]',
    '[rules."echo/query-without-context"]\nrequest_timeout = 3',
    '[rules."echo/query-without-context"]\nrequest-timeout = "3"',
    "resource = {}",
    '[[resource]]\nnoun = "connection"\nacquire = ["a.b"]',
    '[[resource]]\nid = "a/b"\nnoun = "connection"\nacquire = ["a.b"]\nunknown = 1',
    '[[resource]]\nid = "a/b"\nnoun = "connection"\nacquire = ["a.b"]\nheld = "long"',
    '[[resource]]\nid = "a/b"\nnoun = "connection"\nacquire = [3]',
    '[[owner]]\nnames = ["a.b"]',
    '[[type]]\nnames = ["a.b"]',
]


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", GOOD)
def test_good_settings_are_good_to_both(tree: Path, text: str) -> None:
    (tree / "leakfix.toml").write_text("")  # what the example of `extend` builds upon
    (tree / "inside").mkdir()
    (tree / "inside" / "leakfix.toml").write_text(text)
    jsonschema.validate(tomllib.loads(text), SCHEMA, jsonschema.Draft7Validator)
    Registry.load(load(directory=str(tree / "inside")))


@pytest.mark.parametrize("text", BAD)
def test_bad_settings_are_bad_to_both(tree: Path, text: str) -> None:
    (tree / "leakfix.toml").write_text(text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), SCHEMA, jsonschema.Draft7Validator)
    with pytest.raises(ConfigError, match=r"leakfix\.toml: "):
        Registry.load(load())


def test_examples_are_of_a_pyproject() -> None:
    for name, key in KEYS.items():
        section = tomllib.loads(example(key))["tool"]["leakfix"]
        assert list(section) == [name]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("configuration", ROOT / "scripts" / "configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_schema_and_the_list_of_keys_are_current() -> None:
    script = _script()
    assert script.SCHEMA.read_text("utf-8") == script.schema(), "run `make docs`"
    text = script.GUIDE.read_text("utf-8")
    assert script.with_keys(text) == text, "run `make docs`"


def test_the_command_prints_it(called: Callable[..., Any]) -> None:
    assert json.loads(called("config", "--schema").stdout) == SCHEMA
    assert called("config", "select", "--schema").returncode == 2


def test_the_command_tells_about_keys(called: Callable[..., Any]) -> None:
    assert [line.split()[0] for line in called("config").stdout.decode().splitlines()] == list(KEYS)
    told = called("config", "per-file-ignores").stdout.decode()
    assert "[tool.leakfix.per-file-ignores]" in told
    wrong = called("config", "per-file-ignore")
    assert wrong.returncode == 2
    assert b"did you mean 'per-file-ignores'?" in wrong.stderr
