"""Configuration: where it is found, what it may say, and what is said about mistakes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leakfix.config import VENDORED, Config, ConfigError, load


def _fails(tree: Path, text: str | bytes, file: str = "leakfix.toml") -> str:
    content = text if isinstance(text, bytes) else text.encode()
    (tree / file).write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load()
    message = str(error.value)
    assert file in message
    return message


def test_without_a_file_the_defaults_hold(tree: Path) -> None:
    assert load() == Config()


def test_the_nearest_file_upward_is_taken(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "leakfix.toml").write_text('select = ["a/b"]')
    (tree / "sub" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tree / "sub" / "deeper")
    assert load().select == ("a/b",)
    (tree / "sub" / "pyproject.toml").write_text("[project]\nname = 'x'")
    assert load().select == ("a/b",)
    (tree / "sub" / "pyproject.toml").write_text('[tool.leakfix]\nselect = ["c/d"]')
    config = load()
    assert config.select == ("c/d",)
    assert config.root == str(tree / "sub")


def test_leakfix_toml_wins_over_pyproject(tree: Path) -> None:
    (tree / "leakfix.toml").write_text("jobs = 2")
    (tree / "pyproject.toml").write_text("[tool.leakfix]\njobs = 3")
    assert load().jobs == 2


def test_a_named_file_is_read_instead(tree: Path) -> None:
    (tree / "leakfix.toml").write_text("jobs = 2")
    (tree / "other.toml").write_text("jobs = 4\ncache = false")
    config = load("other.toml")
    assert (config.jobs, config.cache) == (4, False)
    (tree / "pyproject.toml").write_text("[tool.leakfix]\njobs = 5")
    assert load("pyproject.toml").jobs == 5


def test_a_named_file_that_is_missing(tree: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: No such file"):
        load("gone.toml")


def test_exclude_replaces_and_extend_exclude_adds(tree: Path) -> None:
    (tree / "leakfix.toml").write_text('extend-exclude = ["gen"]')
    assert load().exclude == (*VENDORED, "gen")
    (tree / "leakfix.toml").write_text('exclude = ["gen"]')
    assert load().exclude == ("gen",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('selct = ["a"]', "unknown key 'selct'; did you mean 'select'?"),
        ("zzz = 1", "the keys are"),
        ('select = "a"', "select must be a list of strings, not 'a'"),
        ("select = [1]", "select must be a list of strings"),
        ('select = [" "]', "select holds an empty string"),
        ("jobs = 0", "jobs must be a whole number from 1 to"),
        ("jobs = true", "jobs must be a whole number"),
        ('cache = "no"', "cache must be true or false"),
        ("resource = 3", "resource must be an array of tables"),
        ("[resource]\nid = 'a/b'", "resource must be an array of tables"),
        ("[[resource]]\nnoun = 'x'", "every row needs an id"),
        ("[[resource]]\nid = 'a b, c'", "every row needs an id"),
        ("x = ", "not valid TOML"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = 1979-99-99", "not valid TOML"),
        ("a = " + "9" * 5000, "not valid TOML"),
        ("jobs = 0x" + "f" * 5000, "jobs must be a whole number"),
        (b"a = '\xff'", "not UTF-8"),
        ("a = '" + "x" * 2_000_000 + "'", "larger than 1,000,000 bytes"),
    ],
)
def test_mistakes_are_told(tree: Path, text: str | bytes, expected: str) -> None:
    message = _fails(tree, text)
    assert expected in message
    assert len(message) < 400


@pytest.mark.parametrize("text", ["[tool]\nleakfix = 3", "tool = [", "a = " + "[" * 100_000])
def test_mistakes_in_pyproject_are_told(tree: Path, text: str) -> None:
    _fails(tree, text, "pyproject.toml")


def test_a_fifo_is_not_opened(tree: Path) -> None:
    os.mkfifo(tree / "leakfix.toml")
    with pytest.raises(ConfigError, match="not a regular file"):
        load()


def test_selection() -> None:
    default = Config()
    assert default.selected("a/b", "leak")
    assert default.selected("a/b", "growth")
    assert not default.selected("a/b", "advice")
    assert Config(select=("all",)).selected("a/b", "advice")
    assert Config(select=("advice",)).selected("a/b", "advice")
    assert not Config(select=("advice",)).selected("a/b", "leak")
    assert Config(select=("a/*",)).selected("a/b", "leak")
    assert not Config(select=("a/*",)).selected("c/b", "leak")
    assert not Config(select=("all",), ignore=("a/b",)).selected("a/b", "leak")
    assert not Config(ignore=("leak",)).selected("a/b", "leak")


def test_the_command_line_overrides() -> None:
    config = Config(select=("a/b",), ignore=("a/c",))
    assert config.overridden(None, None) == config
    assert config.overridden(("x/y",), None) == Config(select=("x/y",))
    assert config.overridden(None, ("a/d",)).ignore == ("a/c", "a/d")


def test_rule_names_are_checked() -> None:
    rules = ["psycopg2/unclosed-connection", "sqlalchemy/unclosed-session"]
    Config(select=("all", "leak", "sqlalchemy/*"), ignore=("*/unclosed-session",)).check_names(rules)
    with pytest.raises(ConfigError, match="did you mean 'sqlalchemy/unclosed-session'"):
        Config(select=("sqlalchemy/unclosed-sesion",)).check_names(rules)
    with pytest.raises(ConfigError, match="did you mean 'sqlalchemy/unclosed-session'"):
        Config(ignore=("unclosed-session",)).check_names(rules)
    with pytest.raises(ConfigError, match=r"no rule 'flask/\*'"):
        Config(select=("flask/*",)).check_names(rules)
