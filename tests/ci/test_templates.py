"""The action, the hooks and the templates for CI."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BASH = shutil.which("bash")


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.github-actions", "action.yml"),
        ("vendor.github-workflows", "docs/ci/github.yml"),
        ("vendor.github-workflows", "docs/ci/check-github.yml"),
        ("vendor.gitlab-ci", "docs/ci/gitlab.yml"),
        ("vendor.gitlab-ci", "docs/ci/check-gitlab.yml"),
    ],
)
def test_they_are_valid(schema: str, file: str) -> None:
    pytest.importorskip("check_jsonschema", reason="needs check-jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(ROOT / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


def _script(step: str) -> str:
    """The script of a step of the action."""
    text = (ROOT / "action.yml").read_text("utf-8")
    match = re.search(rf"name: {step}\n.*?run: \|\n((?: {{8}}[^\n]*\n|\n)+)", text, re.DOTALL)
    assert match is not None
    return re.sub(r"^ {8}", "", match[1], flags=re.MULTILINE)


class Runner:
    """Runs steps of the action with programs that write down what they are given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.code = 0

    def program(self, path: Path, more: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {self.folder}/given\n{more}\n')
        path.chmod(0o755)

    def run(self, step: str, inputs: Mapping[str, str]) -> list[str]:
        """The arguments that programs were given."""
        (self.folder / "given").write_text("")
        files = {name: str(self.folder / name.lower()) for name in ("GITHUB_OUTPUT", "GITHUB_PATH")}
        own = {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "RUNNER_TEMP": str(self.folder / "temp")}
        assert BASH is not None
        command = [BASH, "--noprofile", "--norc", "-eo", "pipefail", "-c", _script(step)]
        environment = os.environ | own | files | dict(inputs)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        self.code, self.told = done.returncode, done.stdout
        return (self.folder / "given").read_text().splitlines()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    if BASH is None:
        pytest.skip("needs bash")
    return Runner(tmp_path)


LEAK = "import sqlite3\n\n\ndef use(path):\n    one = sqlite3.connect(path)\n    one.execute('x')\n    return 3\n"
INPUTS = {"PATHS": ".", "SELECT": "", "FORMAT": "github", "FAIL_ON": "findings", "DIFF_BASE": ""}


def test_the_action_checks(runner: Runner) -> None:
    sarif = f"{runner.folder}/temp/leakfix.sarif"
    runner.program(runner.bin / "leakfix", f"echo '{{}}' > {sarif}\nexit 1")
    (runner.folder / "temp").mkdir()
    common = ["check", "--output-format=github", f"--output-format=sarif={sarif}"]
    assert runner.run("Check", INPUTS) == [*common, "--", "."]
    assert runner.code == 1
    assert (runner.folder / "github_output").read_text() == f"sarif-file={sarif}\n"
    given = {"PATHS": "src lib\n$(touch owned) *", "SELECT": "leak,a/*", "DIFF_BASE": "origin/main", "FAIL_ON": "never"}
    chosen = ["--select=leak,a/*", "--diff-base=origin/main", "--exit-zero"]
    paths = ["--", "src", "lib", "$(touch", "owned)", "*"]
    assert runner.run("Check", INPUTS | given) == [*common, *chosen, *paths]
    assert runner.run("Check", INPUTS | {"FAIL_ON": "sometimes"}) == []
    assert runner.code == 2
    assert "fail-on is findings or never, not sometimes" in runner.told


def test_the_action_names_no_report_that_is_not_there(runner: Runner) -> None:
    runner.program(runner.bin / "leakfix", "exit 2")
    (runner.folder / "temp").mkdir()
    (runner.folder / "temp" / "leakfix.sarif").write_text("of an earlier step")
    assert runner.run("Check", INPUTS)[0] == "check"
    assert runner.code == 2
    assert not (runner.folder / "github_output").exists()


def test_the_action_with_the_program_itself(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "temp").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    Path("a.py").write_text(LEAK)
    (runner.bin / "leakfix").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m leakfix "$@"\n')
    (runner.bin / "leakfix").chmod(0o755)
    runner.run("Check", INPUTS)
    assert runner.code == 1
    assert runner.told.startswith("::error file=a.py,line=5,")
    (result,) = json.loads((tmp_path / "temp" / "leakfix.sarif").read_text())["runs"][0]["results"]
    assert result["ruleId"] == "sqlite3/unclosed-connection"
    runner.run("Check", INPUTS | {"FAIL_ON": "never", "FORMAT": "text"})
    assert runner.code == 0
    runner.run("Check", INPUTS | {"DIFF_BASE": "nowhere", "FAIL_ON": "never"})
    assert runner.code == 2


def test_the_action_installs(runner: Runner) -> None:
    runner.program(runner.bin / "python3")
    runner.program(runner.folder / "temp" / "leakfix" / "bin" / "python")
    inputs = {"PYTHON": str(runner.bin / "python3"), "VERSION": "", "SOURCE": "/action"}
    assert runner.run("Install leakfix", inputs)[-1] == "/action"
    assert runner.run("Install leakfix", inputs | {"VERSION": "0.1.0"})[-1] == "leakfix==0.1.0"
    assert runner.code == 0
    assert set((runner.folder / "github_path").read_text().split()) == {f"{runner.folder}/temp/leakfix/bin"}


def test_the_hooks_run(tmp_path: Path) -> None:
    pytest.importorskip("pre_commit", reason="needs pre-commit")
    if not (ROOT / ".git").exists():
        pytest.skip("needs a clone: pre-commit installs hooks from git")
    home, project, hooks = tmp_path / "home", tmp_path / "project", tmp_path / "hooks"
    project.mkdir()
    _copy(ROOT, hooks)
    (project / "a.py").write_text(LEAK)
    (project / "vendor").mkdir()
    (project / "vendor" / "b.py").write_text(LEAK)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"PRE_COMMIT_HOME": str(home), "GIT_CONFIG_COUNT": "2", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for number, (key, value) in enumerate({"user.name": "test", "user.email": "test@example.org"}.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}

    def run(*command: str, cwd: Path = project) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=500
        )

    for folder in (hooks, project):
        assert run("git", "init", "-q", cwd=folder).returncode == 0
        assert run("git", "add", "-A", cwd=folder).returncode == 0
    assert run("git", "commit", "-q", "-m", "hooks", cwd=hooks).returncode == 0
    revision = run("git", "rev-parse", "HEAD", cwd=hooks).stdout.strip()
    chosen = [{"id": "leakfix"}, {"id": "leakfix-fix"}]
    used = {"repos": [{"repo": str(hooks), "rev": revision, "hooks": chosen}]}
    (project / ".pre-commit-config.yaml").write_text(json.dumps(used))  # which YAML includes
    assert run("git", "add", "-A").returncode == 0
    manifest = run(sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml"))
    assert manifest.returncode == 0, manifest.stdout
    attempt = (sys.executable, "-m", "pre_commit", "run", "--all-files")
    done = run(*attempt, "leakfix")
    if "Could not find a version" in done.stdout or "Failed to establish" in done.stdout:
        pytest.skip("needs a package index")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "a.py:5:11 error[sqlite3/unclosed-connection]" in done.stdout
    assert "vendor" not in done.stdout
    done = run(*attempt, "leakfix-fix")
    assert "files were modified by this hook" in done.stdout
    assert "closing(sqlite3.connect(path))" in (project / "a.py").read_text()
    assert (project / "vendor" / "b.py").read_text() == LEAK
    assert run("git", "add", "-A").returncode == 0
    done = run(*attempt, "leakfix")
    assert done.returncode == 0, done.stdout


def _copy(checkout: Path, folder: Path) -> None:
    """Copy what git knows of, and what it does not ignore, as it is now: hooks are installed from a commit."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=checkout, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, names):
        source, target = checkout / os.fsdecode(name), folder / os.fsdecode(name)
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
