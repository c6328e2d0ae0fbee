"""Settings that build upon others, and the folders and files they govern."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leakfix import engine
from leakfix.config import VENDORED, Config, ConfigError, load
from leakfix.registry import Registry

LEAK = """import sqlite3


def rows(path):
    connection = sqlite3.connect(path)
    return connection.execute("select 1").fetchall()
"""
RULE = "sqlite3/unclosed-connection"


def _write(tree: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)


def _found(*paths: str, config: Config | None = None) -> list[str]:
    config = config or load()
    report = engine.check(paths or ["."], config, Registry.load(config), jobs=1)
    return [finding.path for finding in report.findings]


def test_a_child_replaces_and_extends(tree: Path) -> None:
    base = """
select = ["leak"]
ignore = ["a/one"]
exclude = ["out", "gen/deep"]
extend-exclude = ["more"]
jobs = 3
request-timeout = 4
[per-file-ignores]
"tests/*" = ["a/two"]
[rules."a/*"]
request-timeout = 5
[[resource]]
id = "base/kind"
"""
    own = """
extend = "../base.toml"
ignore = ["a/three"]
extend-select = ["advice"]
extend-exclude = ["own/deep"]
jobs = 4
[extend-per-file-ignores]
"x.py" = ["a/four"]
[rules."a/b"]
request-timeout = 6
[[resource]]
id = "own/kind"
"""
    _write(tree, {"base.toml": base, "sub/leakfix.toml": own})
    config = load(directory=str(tree / "sub"))
    assert (config.select, config.extend_select, config.ignore) == (("leak",), ("advice",), ("a/one", "a/three"))
    assert config.exclude == ("out", f"{tree}/gen/deep", "more", "own/deep")
    assert config.per_file_ignores == ((f"{tree}/tests/*", ("a/two",)), ("x.py", ("a/four",)))
    assert (config.jobs, config.wishes.request_timeout) == (4, 4)
    assert [config.wishes_for(rule).request_timeout for rule in ("a/b", "a/c", "c/c")] == [6, 5, 4]
    assert [row["id"] for row in config.resources] == ["base/kind", "own/kind"]
    assert [Path(file).name for file in config.origins["ignore"]] == ["base.toml", "leakfix.toml"]
    assert config.root == str(tree / "sub")


def test_a_select_forgets_what_was_chosen_below(tree: Path) -> None:
    _write(tree, {"base.toml": 'select = ["a/a"]\nignore = ["a/b"]\nextend-select = ["a/c"]'})
    _write(tree, {"leakfix.toml": 'extend = "base.toml"\nselect = ["leak"]'})
    config = load()
    assert (config.select, config.extend_select, config.ignore) == (("leak",), (), ())


def test_a_pyproject_can_be_extended_and_names_may_hold_variables(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKFIX_TEST_FOLDER", str(tree / "shared"))
    monkeypatch.setenv("HOME", str(tree / "shared"))
    _write(tree, {"shared/pyproject.toml": "[tool.leakfix]\njobs = 7"})
    for written in ("$LEAKFIX_TEST_FOLDER/pyproject.toml", "~/pyproject.toml"):
        _write(tree, {"leakfix.toml": f'extend = "{written}"'})
        assert load().jobs == 7


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"leakfix.toml": 'extend = "gone.toml"'}, "leakfix.toml: extend: there is no file"),
        ({"leakfix.toml": 'extend = "leakfix.toml"'}, "'leakfix.toml' comes back to itself"),
        ({"leakfix.toml": 'extend = "a.toml"', "a.toml": 'extend = "leakfix.toml"'}, "a.toml: extend: 'leakfix.toml'"),
        ({"leakfix.toml": 'extend = "pyproject.toml"', "pyproject.toml": ""}, "has no [tool.leakfix] section"),
        ({"leakfix.toml": 'extend = "a.toml"', "a.toml": "selct = 1"}, "a.toml: unknown key 'selct'"),
        ({"leakfix.toml": "extend = 3"}, "extend must be the path of a file, not 3"),
        ({"leakfix.toml": 'baseline = ""'}, "baseline must be the path of a file"),
        ({"leakfix.toml": "per-file-ignores = []"}, "per-file-ignores must be a table, not []"),
        ({"leakfix.toml": '[per-file-ignores]\n"x" = "a"'}, "per-file-ignores.'x' must be a list of strings"),
        ({"leakfix.toml": '[per-file-ignores]\n"!" = ["a"]'}, "holds an empty pattern"),
        ({"leakfix.toml": '[rules."a/b"]\nrequest-timout = 3'}, "did you mean 'request-timeout'?"),
        ({"leakfix.toml": '[rules."a/b"]\nrequest-timeout = 0'}, "rules.'a/b'.request-timeout must be a whole number"),
        ({"leakfix.toml": "[rules]\n'a/b' = 3"}, "rules.'a/b' must be a table, not 3"),
    ],
)
def test_mistakes_are_told(tree: Path, files: dict[str, str], expected: str) -> None:
    _write(tree, files)
    with pytest.raises(ConfigError) as error:
        load()
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('extend-select = ["sqlite3/unclosed-conection"]', f"leakfix.toml: extend-select: there is no rule.*{RULE}"),
        ('[per-file-ignores]\n"x.py" = ["unclosed-connectio"]', "per-file-ignores: there is no rule 'unclosed-connect"),
        ('[rules."sqlite3/nothing"]\n', "rules: there is no rule 'sqlite3/nothing'"),
        (f'[rules."{RULE}"]\nrequest-timeout = 3', f"rules: '{RULE}' has no option 'request-timeout'; it has none"),
        ('allow-dependencies = ["cachetool"]', "allow-dependencies: no repair uses 'cachetool'; did you mean 'cachet"),
    ],
)
def test_names_of_rules_options_and_libraries_are_checked_wherever_they_stand(
    tree: Path, text: str, expected: str
) -> None:
    _write(tree, {"leakfix.toml": text, "a.py": ""})
    with pytest.raises(ConfigError, match=expected):
        Registry.load(load())
    _write(tree, {"sub/leakfix.toml": text, "sub/a.py": "", "leakfix.toml": ""})
    config = load()
    with pytest.raises(ConfigError, match=f"sub/leakfix.toml: .*{expected.removeprefix('leakfix.toml: ')}"):
        engine.check(["."], config, Registry.load(config), jobs=1)


@pytest.mark.parametrize(
    ("pattern", "silent"),
    [
        ("a.py", ["a.py", "src/a.py", "src/tests/a.py"]),
        ("src/*", ["src/a.py", "src/b.py", "src/tests/a.py"]),
        ("src/tests/", ["src/tests/a.py"]),
        ("**/tests/*", ["src/tests/a.py"]),
        ("{src,other}/b.py", ["src/b.py"]),
        ("!src/**", ["a.py"]),
        ("./a.py", ["a.py"]),
        ("tests", []),
    ],
)
def test_rules_are_ignored_in_some_files(tree: Path, pattern: str, silent: list[str]) -> None:
    files = ["a.py", "src/a.py", "src/b.py", "src/tests/a.py"]
    _write(tree, dict.fromkeys(files, LEAK))
    _write(tree, {"leakfix.toml": f'[per-file-ignores]\n"{pattern}" = ["{RULE}"]'})
    assert _found() == sorted(set(files) - set(silent))


def test_patterns_of_an_extended_file_are_about_its_own_folder(tree: Path) -> None:
    base = '[per-file-ignores]\n"packages/*/old/*" = ["leak"]\n'
    files = dict.fromkeys(["packages/a/old/x.py", "packages/a/new/x.py", "packages/a/gen/x.py"], LEAK)
    own = {"packages/a/leakfix.toml": 'extend = "../../leakfix.toml"'}
    _write(tree, {"leakfix.toml": 'extend-exclude = ["packages/*/gen"]\n' + base, **own, **files})
    assert _found() == ["packages/a/new/x.py"]
    assert _found("packages/a") == ["packages/a/new/x.py"]


def test_each_file_is_governed_by_the_nearest_settings(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tree, dict.fromkeys(["x.py", "a/x.py", "a/deep/x.py", "b/x.py", "c/x.py", "c/gen/x.py"], LEAK))
    _write(
        tree,
        {
            "pyproject.toml": "[tool.leakfix]\n",
            "a/pyproject.toml": f'[tool.leakfix]\nignore = ["{RULE}"]',
            "a/deep/pyproject.toml": "[project]\nname = 'deep'\n",  # says nothing to us
            "b/leakfix.toml": 'select = ["growth"]',
            "c/pyproject.toml": '[tool.leakfix]\nextend-exclude = ["gen"]',
        },
    )
    assert _found() == ["c/x.py", "x.py"]
    for folder, found in (("a", []), ("b", []), ("c", ["c/x.py"])):
        assert _found(folder) == found
        with monkeypatch.context() as inside:
            inside.chdir(tree / folder)
            assert [f"{folder}/{path}" for path in _found()] == found
    with monkeypatch.context() as inside:
        inside.chdir(tree / "a")
        assert _found("../c") == ["../c/x.py"]


def test_one_file_rules_all_where_it_is_named(tree: Path) -> None:
    _write(tree, {"x.py": LEAK, "a/x.py": LEAK, "a/leakfix.toml": f'ignore = ["{RULE}"]', "ci.toml": ""})
    assert _found() == ["x.py"]
    assert _found(config=load("ci.toml")) == ["a/x.py", "x.py"]
    assert _found(config=load(isolated=True)) == ["a/x.py", "x.py"]


def test_the_command_line_goes_before_all_settings(tree: Path) -> None:
    _write(tree, {"x.py": LEAK, "a/x.py": LEAK, "a/leakfix.toml": 'select = ["growth"]'})
    assert _found(config=load().overridden(("leak",), None)) == ["a/x.py", "x.py"]
    assert _found(config=load().overridden(None, None, (RULE,))) == ["a/x.py", "x.py"]
    assert _found(config=load().overridden(None, (RULE,))) == []


def test_in_house_resources_count_where_they_are_described(tree: Path) -> None:
    row = '[[resource]]\nid = "{0}/connection"\nnoun = "connection"\nacquire = ["inhouse.acquire"]\n'
    code = "import inhouse\n\n\ndef use():\n    connection = inhouse.acquire()\n    connection.run()\n"
    _write(tree, dict.fromkeys(["x.py", "a/x.py", "b/x.py"], code))
    _write(tree, {"a/leakfix.toml": row.format("one"), "b/leakfix.toml": row.format("two")})
    config = load()
    report = engine.check(["."], config, Registry.load(config), jobs=1)
    assert [(f.path, f.rule) for f in report.findings] == [("a/x.py", "one/connection"), ("b/x.py", "two/connection")]
    assert report.files == 3
    repairs = list(engine.repair(report, lambda *_: True))
    assert [(item.path, len(item.applied), item.remaining) for item in repairs] == [
        ("a/x.py", 1, ()),
        ("b/x.py", 1, ()),
    ]


def test_what_a_folder_has_that_is_not_for_us_is_no_matter(tree: Path) -> None:
    _write(tree, {"x.py": LEAK, "a/x.py": LEAK, "a/pyproject.toml": "not = toml = at all"})
    (tree / "b").mkdir()
    (tree / "b" / "pyproject.toml").mkdir()
    _write(tree, {"b/x.py": LEAK, "node_modules/c/leakfix.toml": "broken ="})
    assert _found() == ["a/x.py", "b/x.py", "x.py"]


def test_broken_settings_of_a_folder_end_the_run(tree: Path, called: Callable[..., Any]) -> None:
    _write(tree, {"x.py": LEAK, "a/x.py": LEAK, "a/leakfix.toml": "selct = 1"})
    done = called("check")
    assert done.returncode == 2
    assert b"a/leakfix.toml: unknown key 'selct'; did you mean 'select'?" in done.stderr


def test_options_reach_the_repairs_of_their_rule_alone(tree: Path) -> None:
    code = """package main

import (
	"database/sql"

	"github.com/labstack/echo/v4"
)

type handler struct{ db *sql.DB }

func (h *handler) count(c echo.Context) error {
	var n int
	if err := h.db.QueryRow("SELECT count(*) FROM users").Scan(&n); err != nil {
		return err
	}
	return c.JSON(200, n)
}
"""
    rule = "echo/query-without-context"
    manifest = "module example.com/x\n\ngo 1.22\n\nrequire github.com/labstack/echo/v4 v4.12.0\n"
    _write(tree, {"go.mod": manifest, "main.go": code, "sub/main.go": code})
    _write(tree, {"sub/leakfix.toml": f'select = ["{rule}"]\n[rules."echo/*"]\nrequest-timeout = 7'})
    config = load().overridden((rule,), None)
    report = engine.check(["."], config, Registry.load(config), jobs=1)
    titles = {finding.path: finding.fix.title for finding in report.findings if finding.fix}
    assert titles == {
        "main.go": "end it with the request",
        "sub/main.go": "end it with the request, after 7 s at most",
    }


def test_excluded_files_are_left_out_where_that_is_forced(tree: Path, called: Callable[..., Any]) -> None:
    _write(tree, {"gen/x.py": LEAK, "vendor/deep/x.py": LEAK, "x.py": LEAK, "leakfix.toml": 'extend-exclude = ["gen"]'})
    named = ("gen/x.py", "vendor/deep/x.py", "x.py")

    def paths(*options: str) -> list[str]:
        report = json.loads(called("check", "--output-format", "json", *options, *named).stdout)
        return [finding["path"] for finding in report["findings"]]

    assert paths() == sorted(named)
    assert paths("--force-exclude") == ["x.py"]
    (tree / "leakfix.toml").write_text('extend-exclude = ["gen"]\nforce-exclude = true')
    assert paths() == ["x.py"]


def test_isolated_reads_nothing(tree: Path, called: Callable[..., Any]) -> None:
    _write(tree, {"x.py": LEAK, "leakfix.toml": "this is not TOML"})
    assert called("check").returncode == 2
    assert called("check", "--isolated").returncode == 1
    done = called("check", "--isolated", "--config", "leakfix.toml")
    assert done.returncode == 2
    assert b"--isolated reads no configuration" in done.stderr


def test_what_holds_is_shown_with_its_origin(tree: Path, called: Callable[..., Any]) -> None:
    _write(tree, {"base.toml": f'ignore = ["{RULE}"]', "a/x.py": "", "x.py": ""})
    _write(tree, {"a/leakfix.toml": 'extend = "../base.toml"\nextend-exclude = ["gen"]'})
    shown = called("check", "--show-settings", "a/x.py", "--extend-select", "advice").stdout.decode()
    assert shown.startswith("# a/x.py: a/leakfix.toml\n")
    assert f'ignore = ["{RULE}"]  # base.toml\n' in shown
    assert 'extend-select = ["advice"]  # the command line\n' in shown
    assert 'select = ["leak", "growth"]  # default\n' in shown
    (exclude,) = (line for line in shown.splitlines() if line.startswith("exclude = "))
    assert exclude.endswith('"gen"]  # a/leakfix.toml')
    assert f"#   {RULE}\n" not in shown
    assert "#   sqlalchemy/n-plus-one\n" in shown
    both = called("check", "--show-settings", ".", "a").stdout.decode()
    assert both.startswith("# .: no configuration; the defaults\n")
    assert "# a: a/leakfix.toml\n" in both
    missing = called("check", "--show-settings", "gone")
    assert (missing.returncode, missing.stdout) == (2, b"")


def test_the_default_excludes_are_replaced_only_by_exclude(tree: Path) -> None:
    _write(tree, {"vendor/x.py": LEAK, "x.py": LEAK, "leakfix.toml": 'extend-exclude = ["gen"]'})
    assert load().exclude == (*VENDORED, "gen")
    assert _found() == ["x.py"]
    (tree / "leakfix.toml").write_text('exclude = ["gen"]')
    assert _found() == ["vendor/x.py", "x.py"]
